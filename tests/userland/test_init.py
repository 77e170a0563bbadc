"""init: its boot log, its services and its shell. Each test boots it as a process."""

import os
import re
import shutil
import signal
import socket

import pytest

from tests.system import INIT, ROOT, address_in, booted, client, pyos, receive

STAMP = r"\[ *\d+\.\d{4}\] "


def unstamped(text):
    """A boot log without the times, and with the port as N."""
    return re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:N", re.sub(STAMP, "[T] ", text))


BOOT_LOG = """\
[T] init is task 1
[T] task 2 runs srv/echo.py
[T] task 3 is the shell (try help)
echo: listening on 127.0.0.1:N
"""


def test_with_no_input_it_boots_and_ends_with_0():
    done = pyos("boot", INIT)
    assert (done.returncode, unstamped(done.stdout), done.stderr) == (0, BOOT_LOG, "")


def test_the_times_of_the_boot_log_do_not_go_back():
    times = [float(stamp) for stamp in re.findall(r"^\[ *(\d+\.\d{4})\] ", pyos("boot", INIT).stdout, re.M)]
    assert len(times) == 3
    assert times == sorted(times)
    assert times[0] < 1  # since init started, not since the machine did


def test_lines_of_a_pipe_are_executed_and_the_last_status_is_the_systems():
    done = pyos("boot", INIT, stdin="ps\nrun userland/bin/countdown.py 0\nkill 99\n")
    assert done.returncode == 1
    assert unstamped(done.stdout) == BOOT_LOG + (
        "TID  PARENT  STATE    WAITING ON          NAME  PROGRAM\n"
        "1    0       blocked  wait for any child  init  userland/init.py\n"
        "2    1       blocked  read fd 6           echo  userland/srv/echo.py\n"
        "3    1       running  -                   sh    userland/bin/sh.py\n"
        "Liftoff!\n"
    )
    assert done.stderr == "sh: there is no task 99\n"


@pytest.mark.parametrize("status", ["0", "5", "255"])
def test_what_the_shell_exits_with_is_the_systems_exit_code(status):
    assert pyos("boot", INIT, stdin=f"exit {status}\nhello\n").returncode == int(status)


@pytest.mark.parametrize(
    ("line", "code"), [("kill 3", 143), ("kill -KILL 3", 137), ("kill 1", 143), ("kill -9 1", 137)]
)
def test_killing_the_shell_or_init_ends_the_system(line, code):
    done = pyos("boot", INIT, stdin=f"{line}\nsleep 1000\n")
    assert done.returncode == code


def test_a_shell_that_dies_of_an_error_says_so():
    with open(os.devnull, "w") as unreadable:
        done = pyos("boot", INIT, stdin=unreadable)
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert done.stderr.endswith("OSError: [Errno 9] Bad file descriptor\n")


def test_a_taken_port_is_logged_and_the_boot_goes_on():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = pyos("boot", INIT, stdin="ps\nhello\n", env={"ECHO_PORT": port})
    assert (done.returncode, done.stderr) == (0, "")
    lines = unstamped(done.stdout).splitlines()
    assert "echo: cannot listen on 127.0.0.1:N: [Errno 98] Address already in use" in lines
    assert "[T] task 2 (echo) ended with 1" in lines
    assert lines[-1] == "Hello, world, from task 4!"


def test_a_service_that_dies_is_reaped_and_logged():
    done = pyos("boot", INIT, stdin="kill 2\nps\nhello\nps\n")
    assert "[T] task 2 (echo) was killed by TERM\n" in unstamped(done.stdout)
    assert re.findall(r"^(\d+) ", done.stdout.rpartition("PROGRAM\n")[2], re.M) == ["1", "3"]


def test_a_service_that_cannot_start_does_not_stop_the_boot(tmp_path):
    shutil.copytree(ROOT / "userland", tmp_path, dirs_exist_ok=True)
    (tmp_path / "srv/echo.py").write_text("1 / 0\n")
    done = pyos("boot", tmp_path / "init.py", stdin="exit 4\n")
    assert done.returncode == 4
    assert "[T] cannot start srv/echo.py: ZeroDivisionError: division by zero\n" in unstamped(done.stdout)


def test_an_unknown_option_is_told():
    done = pyos("boot", INIT, "--shell")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "init: unknown option --shell\nusage: init.py [--no-shell]\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_without_a_shell_it_serves_until_signalled(number):
    with booted(INIT, "--no-shell") as system:
        system.until("no shell: serving until signalled")
        address = address_in(system.until("listening"))
        system.stdin.close()
        with client(address) as conn:
            conn.sendall(b"still there?")
            assert receive(conn, 12) == b"still there?"
            system.signal(number)
            assert system.end() == (128 + number, "", "")
            assert conn.recv(1) == b""


def test_without_a_shell_it_goes_on_without_services_too():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with booted(INIT, "--no-shell", env={"ECHO_PORT": port}) as system:
            system.until("task 2 (echo) ended with 1")
            system.signal(signal.SIGTERM)
            assert system.end() == (143, "", "")
