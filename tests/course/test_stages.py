"""Parts 7 and 8: an operating system grown in eight stages."""

import ast
import contextlib
import difflib
import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import sys

import pytest

from tests.course.running import BOOTED, COURSE, LIMIT, PLAIN, ROOT, Server, load, output, run_program

STAGES = [
    "part7_os/stage1_task.py",
    "part7_os/stage2_scheduler.py",
    "part7_os/stage3_exit.py",
    "part7_os/stage4_traps.py",
    "part7_os/stage5_management.py",
    "part7_os/stage6_waiting.py",
    "part7_os/stage7_io.py",
    "part8_stack/stage8_sockets.py",
]
STAGE_7, STAGE_8 = STAGES[6:]
SERVERS = pytest.mark.parametrize("stage", [STAGE_7, STAGE_8])
BOTH_WAYS = pytest.mark.parametrize("by", [PLAIN, BOOTED], ids=["plain", "booted"])


def lines_of(stage):
    return (COURSE / stage).read_text().splitlines()


def said(stage, *args, by=PLAIN):
    """What a stage prints, without the port it happens to listen on."""
    return re.sub(r":\d+$", ":PORT", output(stage, *args, by=by), flags=re.MULTILINE).splitlines()


# --- each stage


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_has_fewer_than_150_lines(stage):
    assert len(lines_of(stage)) < 150


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_stands_alone_on_the_standard_library(stage):
    names = set()
    for node in ast.walk(ast.parse((COURSE / stage).read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module)
    assert names <= sys.stdlib_module_names


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_says_the_same_alone_and_booted_in_pyos(stage):
    assert said(stage, by=PLAIN) == said(stage, by=BOOTED)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_has_help_and_refuses_what_it_does_not_know(stage):
    number = re.search(r"stage(\d)", stage)[1]
    assert f"Stage {number}: " in output(stage, "--help")
    refused = run_program(stage, "--nope")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.endswith("error: unrecognized arguments: --nope\n")
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize(("before", "after"), list(itertools.pairwise(STAGES[1:])))
def test_a_stage_keeps_the_kernel_of_the_one_before(before, after):
    """Up to the programs and the demonstration, what changes is an addition: at most nine lines go."""

    def kernel(stage):
        lines = lines_of(stage)
        end = next(n for n, line in enumerate(lines) if line.startswith("def "))
        code = [line.partition("  #")[0] for line in lines[lines.index("import argparse") : end]]
        return [line for line in code if line.strip() and '"""' not in line]

    difference = list(difflib.ndiff(kernel(before), kernel(after)))
    assert len([line for line in difference if line.startswith("- ")]) <= 9
    assert len([line for line in difference if line.startswith("+ ")]) <= 30


# --- what each one shows


def test_stage_1_resumes_two_tasks_by_hand():
    assert said(STAGES[0])[:4] == ["hare: 1", "tortoise: 1", "tortoise: 2", "hare: 2"]
    assert "StopIteration" in said(STAGES[0])[4]


def test_stage_2_takes_turns_until_a_task_ends():
    *turns, end = said(STAGES[1])
    assert turns == ["hare: 1", "tortoise: 1", "hare: 2", "tortoise: 2"]
    assert "the whole system" in end


def test_stage_3_runs_on_when_a_task_ends():
    lines = said(STAGES[2])
    assert lines.index("task 1 has ended") < lines.index("tortoise: 4")
    assert lines[-1] == "task 2 has ended"


def test_stage_4_answers_a_trap():
    assert {"hare: I am task 1", "tortoise: I am task 2"} <= set(said(STAGES[3]))


def test_stage_5_starts_and_kills_a_task():
    lines = said(STAGES[4])
    assert lines.count("child: task 2 runs") == 2
    assert lines[2:] == [
        "child: cleaning up",
        "task 2 has ended",
        "parent: killed: True",
        "parent: once more: False",
        "task 1 has ended",
    ]


def test_stage_6_waits_for_a_task():
    lines = said(STAGES[5])
    assert lines.index("child: task 2, turn 3") < lines.index("parent: waited: True")
    assert "parent: once more: False" in lines


@SERVERS
@BOTH_WAYS
def test_an_echo_server_tests_itself_when_asked_and_at_the_end_of_its_input(stage, by):
    lines = ["listening on 127.0.0.1:PORT", "a client of our own got b'hello'"]
    assert said(stage, "--self-test", by=by) == lines
    assert said(stage, by=by) == lines


@BOTH_WAYS
def test_the_blocking_server_of_stage_7_stops_everybody(by):
    assert said(STAGE_7, "--blocking", by=by) == [
        "listening on 127.0.0.1:PORT",
        "the server waited a second for a client, and nobody could run, not even that client",
    ]


# --- what a stage can do, the later ones can too


def run_in(stage, program):
    """Run one program in a stage's kernel until it is over; the tids that are left."""
    kernel = stage.Kernel()
    tid = kernel.spawn(program)
    while tid in kernel.tasks:
        kernel.step()
    return set(kernel.tasks)


def in_stages(first):
    """For every stage from that number on."""
    return pytest.mark.parametrize("stage", [load(path) for path in STAGES[first - 1 :]], ids=lambda s: s.__name__)


@in_stages(4)
def test_a_task_learns_its_tid(stage):
    def program(found):
        found.append((yield stage.GetTid()))

    found = []
    kernel = stage.Kernel()
    for _ in range(3):
        kernel.spawn(program(found))
    while kernel.tasks:
        kernel.step()
    assert found == [1, 2, 3]


@in_stages(5)
def test_a_killed_task_cleans_up_and_is_gone(stage):
    def child():
        try:
            while True:
                found.append("runs")
                yield
        finally:
            found.append("cleans up")

    def program():
        tid = yield stage.NewTask(child())
        yield
        found.append((yield stage.KillTask(tid)))
        yield
        found.append((yield stage.KillTask(tid)))

    found = []
    assert run_in(stage, program()) == set()
    assert found.count("runs") >= 1
    assert found[found.index("cleans up") :] == ["cleans up", True, False]


@in_stages(6)
def test_several_tasks_wait_for_one(stage):
    def child():
        for _ in range(10):
            yield
        found.append("child ends")

    def waiter(tid):
        found.append((yield stage.WaitTask(tid)))

    def program():
        tid = yield stage.NewTask(child())
        waiters = []
        for _ in range(2):
            waiters.append((yield stage.NewTask(waiter(tid))))
        for waiter_tid in waiters:
            yield stage.WaitTask(waiter_tid)
        found.append((yield stage.WaitTask(tid)))

    found = []
    assert run_in(stage, program()) == set()
    assert found == ["child ends", True, True, False]


@pytest.mark.parametrize("number", [7, 8])
def test_a_client_that_does_not_read_blocks_only_its_own_task(number):
    """The echo waits for room to write; all of it comes when the client reads at last."""
    stage = load(STAGES[number - 1])
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 20_000)  # so that sends are cut short
        far.setblocking(False)
        kernel = stage.Kernel()
        kernel.spawn(kernel.poll())
        tid = kernel.spawn(stage.echo(near if number == 7 else stage.Socket(near)))
        sent = quiet = 0
        while quiet < 3:  # until neither side can go on
            count = send_some(far)
            sent += count
            kernel.step()
            quiet = 0 if count or len(kernel.ready) > 1 else quiet + 1
        assert tid in kernel.tasks
        assert list(kernel.writing) == [near]
        received = 0
        for _ in range(10_000):
            with contextlib.suppress(BlockingIOError):
                received += len(far.recv(65536))
            if received == sent:
                break
            kernel.step()
        assert received == sent
        far.shutdown(socket.SHUT_WR)
        while tid in kernel.tasks:
            kernel.step()


def send_some(sock):
    """How many bytes a socket takes at once."""
    try:
        return sock.send(bytes(65536))
    except BlockingIOError:
        return 0


# --- real clients


@pytest.mark.skipif(shutil.which("nc") is None, reason="nc is not installed")
@SERVERS
@BOTH_WAYS
def test_nc_gets_everything_back_from_an_echo_server(stage, by):
    data = os.urandom(3_000_000)  # more than the buffers of a connection hold
    with Server(stage, by=by) as server:
        done = subprocess.run(
            ["nc", "-N", "127.0.0.1", str(server.port)], input=data, capture_output=True, check=True, timeout=LIMIT
        )
        assert done.stdout == data


@SERVERS
@BOTH_WAYS
def test_an_echo_server_serves_others_while_a_client_is_silent(stage, by):
    with Server(stage, by=by) as server:
        address = ("127.0.0.1", server.port)
        with socket.create_connection(address, LIMIT), socket.create_connection(address, LIMIT) as eager:
            for message in (b"one", b"two"):
                eager.sendall(message)
                assert eager.recv(100) == message


@SERVERS
def test_a_signal_ends_a_booted_echo_server_in_order(stage):
    with Server(stage) as server:
        assert server.process.stdout.readline() == "a client of our own got b'hello'\n"
        assert server.end(signal.SIGINT) == (130, "", "")


INIT = """
from pyos import Exec, KillTask, Tasks, WaitTask

def main(stage):
    tid = yield Exec(stage)
    for _ in range(100):
        yield
    print(*[task.name for task in (yield Tasks())])
    print((yield KillTask(tid)), (yield WaitTask(tid)).signal.name)
"""


def test_a_stage_is_a_task_of_pyos_among_others(tmp_path):
    """The toy system lets its host run after each of its steps, and is killed like any task."""
    (tmp_path / "init.py").write_text(INIT)
    command = [*BOOTED, str(tmp_path / "init.py"), str(COURSE / STAGE_8)]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        lines = process.stdout.read().splitlines()  # its input stays open, so the server has no reason to end
    assert lines[1:] == ["a client of our own got b'hello'", "init stage8_sockets", "True TERM"]


# --- what became of it


def test_the_last_stage_links_each_idea_to_a_file_of_pyos():
    links = set(re.findall(r"pyos/[\w/.]+", (COURSE / STAGE_8).read_text()))
    assert links >= {
        "pyos/traps.py",
        "pyos/kernel/tasks.py",
        "pyos/kernel/kernel.py",
        "pyos/kernel/scheduler.py",
        "pyos/kernel/lifecycle.py",
        "pyos/kernel/trampoline.py",
        "pyos/kernel/syscalls/",
        "pyos/kernel/poller.py",
        "pyos/lib/sockets.py",
    }
    assert [link for link in links if not (ROOT / link).exists()] == []
