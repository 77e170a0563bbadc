"""The shell, run inside pyos with a pipe for its standard input, and as a process at a terminal."""

import re
import signal

import pytest

from pyos import KILL, TERM
from tests.system import INIT, at_terminal, booted, pyos

CTRL_C = "\x03"


@pytest.fixture
def program(tmp_path):
    """Write a program file; answers its path as a word of a command line."""

    def write(source, name="prog.py"):
        path = tmp_path / name
        path.write_text("from pyos import *\n" + source)
        return str(path)

    return write


# --- lines


def test_no_input_ends_with_0(sh):
    assert sh() == (0, "", "")


def test_from_a_pipe_there_is_no_prompt(sh):
    assert sh("hello", "", "   ", "# nothing", "hello Ada  # with a comment") == (
        0,
        "Hello, world, from task 3!\nHello, Ada, from task 4!\n",
        "",
    )


def test_the_last_line_may_lack_its_newline(execute, stdin):
    stdin("hello\nhello again")
    assert execute("bin/sh.py")[1] == "Hello, world, from task 3!\nHello, again, from task 4!\n"


def test_words_are_quoted_as_in_other_shells(sh):
    assert sh("hello 'Ada L.'", r"hello Ada\ L.") == (
        0,
        "Hello, Ada L., from task 3!\nHello, Ada L., from task 4!\n",
        "",
    )


def test_the_status_is_that_of_the_last_line(sh):
    assert sh("nope", "hello")[0] == 0


def test_the_status_of_a_line_survives_empty_ones(sh):
    assert sh("kill 99", "", "# and a comment")[0] == 1


# --- ps, help, exit


def test_ps_shows_what_every_task_is_and_waits_for(sh):
    _, out, _ = sh("sleep 1000 &", "ps")
    assert out.splitlines()[1:] == [
        "TID  PARENT  STATE    WAITING ON   NAME   PROGRAM",
        "1    0       blocked  wait task 2  init   -",
        "2    1       running  -            sh     userland/bin/sh.py",
        "3    2       ready    -            sleep  userland/bin/sleep.py",
    ]


def test_help_lists_every_command(sh):
    code, out, err = sh("help")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == ["exit", "help", "kill", "ps", "run", "wait", "PROGRAM"]
    assert all(len(line.split(maxsplit=1)) == 2 for line in out.splitlines())


@pytest.mark.parametrize(("line", "code"), [("exit", 1), ("exit 0", 0), ("exit 5", 5)])
def test_exit_leaves_the_rest_undone(sh, line, code):
    assert sh("kill 99", line, "hello")[:2] == (code, "")


@pytest.mark.parametrize("line", ["exit soon", "exit -1", "exit 1 2"])
def test_exit_used_wrongly_leaves_nothing(sh, line):
    assert sh(line, "hello", "kill 99") == (
        1,
        "Hello, world, from task 3!\n",
        "sh: usage: exit [STATUS]\nsh: there is no task 99\n",
    )


@pytest.mark.parametrize("status", ["256", "300", "9" * 5000])
def test_exit_with_more_than_a_process_can_report_leaves_nothing(sh, status):
    assert sh(f"exit {status}", "kill 99") == (1, "", "sh: an exit status is at most 255\nsh: there is no task 99\n")


# --- run


def test_programs_are_run_by_path_and_by_name(sh, program):
    path = program("def main(*argv):\n    yield\n    print(argv)\n")
    lines = ["hello", "run hello", "run bin/hello.py", "bin/hello", f"run {path} a 'b c'", path.removesuffix(".py")]
    code, out, err = sh(*lines)
    assert (code, err) == (0, "")
    hellos = [f"Hello, world, from task {tid}!\n" for tid in (3, 4, 5, 6)]
    assert out == "".join(hellos) + "('a', 'b c')\n()\n"


@pytest.mark.parametrize(("value", "code"), [("None", 0), ("7", 7), ("300", 300), ("False", 0)])
def test_a_programs_value_is_its_status(sh, program, value, code):
    assert sh(program(f"def main():\n    yield\n    return {value}\n")) == (code, "", "")


def test_a_value_that_is_no_number_is_said(sh, program):
    path = program("def main():\n    yield\n    return 'done'\n")
    assert sh(path) == (0, "", "sh: task 3 (prog) ended with 'done'\n")


def test_a_program_that_fails_is_1_with_its_traceback(sh, program, log):
    path = program("def main():\n    yield\n    1 / 0\n")
    code, out, err = sh(path)
    assert (code, out, log) == (1, "", [])
    assert err.startswith(
        "sh: task 3 (prog) died of an uncaught ZeroDivisionError\nTraceback (most recent call last):\n"
    )
    assert f'File "{path}", line 4, in main\n' in err
    assert err.endswith("\nZeroDivisionError: division by zero\n")


def test_a_program_that_is_killed_is_128_and_the_signal(sh, program):
    path = program("def main():\n    me = yield GetTid()\n    yield KillTask(me, KILL)\n")
    assert sh(path) == (128 + 9, "", "sh: task 3 (prog) was killed by KILL\n")


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("nope", 127, "no such command or program: nope (try help)"),
        ("run nope", 127, "no such command or program: nope (try help)"),
        ("run", 2, "usage: run PROGRAM [ARG...] [&]"),
        ("run &", 2, "usage: run PROGRAM [ARG...] [&]"),
        ("hello 'x", 2, "No closing quotation"),
        ("/tmp", 126, "cannot run /tmp: a program is a file, and this is a directory"),
        ("bin", 126, "cannot run bin: a program is a file, and this is a directory"),
    ],
)
def test_what_cannot_be_run_is_told(sh, line, code, message):
    assert sh(line) == (code, "", f"sh: {message}\n")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def main():\n    yield )\n", "{path}:3: syntax error: unmatched ')'"),
        ("x = 1\n", "{path} has no main: a program defines `def main(*argv)`"),
        ("def main(a):\n    yield\n", "{path} cannot be called so: missing a required argument: 'a'; usage: main(a)"),
        (
            "import pyos.kernel\n",
            "{path}:2: userland may not import pyos.kernel; it talks to the kernel by yielding traps",
        ),
        ("import sys\nsys.exit()\n", "{path} called sys.exit(None) while loading"),
        ("raise KeyboardInterrupt\n", "{path} raised KeyboardInterrupt while loading"),
        ("import asyncio\nraise asyncio.CancelledError\n", "{path} raised CancelledError while loading"),
        ("from pyos import TaskKilled\nraise TaskKilled(KILL)\n", "{path} raised TaskKilled while loading"),
    ],
)
def test_a_program_that_cannot_be_loaded_is_told(sh, program, source, message):
    path = program(source)
    assert sh(path, "exit") == (126, "", f"sh: {message.format(path=path)}\n")


def test_an_exception_while_loading_shows_the_programs_traceback(sh, program):
    path = program("open('/nowhere')\ndef main():\n    yield\n")
    code, out, err = sh(path)
    assert (code, out) == (126, "")
    lines = [line for line in err.splitlines() if not set(line) <= set(" ~^")]  # where Python points at the call
    assert lines == [
        f"sh: {path} raised FileNotFoundError while loading",
        "Traceback (most recent call last):",
        f'  File "{path}", line 2, in <module>',
        "    open('/nowhere')",
        "FileNotFoundError: [Errno 2] No such file or directory: '/nowhere'",
    ]


# --- background, wait, kill


@pytest.mark.parametrize("line", ["sleep 5 &", "run sleep 5 &", "sleep 5&"])
def test_a_program_in_the_background_does_not_hold_up_the_shell(sh, line):
    assert sh(line, "hello", "wait") == (0, "[3]\nHello, world, from task 4!\n[3] sleep ended with 0\n", "")


def test_wait_waits_for_all_of_the_shells_children(sh, program):
    path = program("def main(n):\n    yield Sleep(int(n))\n    return int(n)\n")
    code, out, err = sh(f"{path} 9 &", f"{path} 4 &", "wait", "wait")
    assert out == "[3]\n[4]\n[4] prog ended with 4\n[3] prog ended with 9\n"
    assert (code, err) == (0, "")  # that of the second wait, which has nothing to wait for


def test_wait_takes_one_task_and_its_status(sh, program):
    path = program("def main(n):\n    yield Sleep(int(n))\n    return int(n)\n")
    code, out, _ = sh(f"{path} 4 &", f"{path} 9 &", "wait 4")
    assert (code, out) == (9, "[3]\n[4]\n[4] prog ended with 9\n[3] prog ended with 4\n")


def test_a_job_that_has_ended_is_announced_before_the_next_line(sh, program):
    path = program("def main(n):\n    yield Sleep(int(n))\n    return int(n)\n")
    code, out, err = sh(f"{path} 4 &", "sleep 9", "hello", "wait 3")
    assert out == "[3]\n[3] prog ended with 4\nHello, world, from task 5!\n"
    assert (code, err) == (4, "")  # its status can be asked for once


@pytest.mark.parametrize(("last", "code"), [("wait", 4), ("wait\nwait", 0), ("wait 3\nwait 3", 127)])
def test_the_status_of_an_announced_job_is_answered_once(sh, program, last, code):
    path = program("def main(n):\n    yield Sleep(int(n))\n    return int(n)\n")
    assert sh(f"{path} 4 &", "sleep 9", *last.split("\n"))[:2] == (code, "[3]\n[3] prog ended with 4\n")


def test_an_announced_job_that_died_has_had_its_traceback_logged(sh, program, log):
    path = program("def main():\n    yield Sleep(1)\n    1 / 0\n")
    assert sh(f"{path} &", "sleep 2", "hello")[1:] == (
        "[3]\n[3] prog died of an uncaught ZeroDivisionError\nHello, world, from task 5!\n",
        "",
    )
    assert len(log) == 1


UNPRINTABLE = {
    "10 ** 5000": "int, whose repr raised ValueError",
    "Odd()": "Odd, whose repr raised ZeroDivisionError",
    "OddInt(7)": "OddInt, whose repr raised ZeroDivisionError",
}
ODD = """
def fail(*_):
    1 / 0


class Odd:
    __repr__ = __bool__ = __eq__ = __str__ = fail
    __class__ = property(fail)


class OddInt(int):
    __repr__ = __bool__ = __eq__ = __str__ = __int__ = __index__ = fail


class OddError(Exception):
    __repr__ = __str__ = fail

"""


@pytest.mark.parametrize("value", UNPRINTABLE)
@pytest.mark.parametrize("ampersand", ["", "&"])
def test_a_value_that_cannot_be_printed_does_not_break_the_shell(sh, program, value, ampersand):
    path = program(f"{ODD}\ndef main():\n    yield\n    return {value}\n")
    code, out, err = sh(f"{path} {ampersand}", "wait", "hello")
    assert code == 0
    assert out.endswith("Hello, world, from task 4!\n")
    assert "Traceback" not in err
    assert ampersand or value != "Odd()" or err.endswith(f"a value that cannot be printed: {UNPRINTABLE[value]}\n")
    if ampersand:
        assert f"[3] prog ended with a value that cannot be printed: {UNPRINTABLE[value]}\n" in out


def test_an_error_that_cannot_be_printed_does_not_break_the_shell(sh, program):
    path = program(f"{ODD}\ndef main():\n    yield\n    raise OddError\n")
    code, out, err = sh(path, "hello")
    assert (code, out) == (0, "Hello, world, from task 4!\n")
    assert err.startswith("sh: task 3 (prog) died of an uncaught OddError\n")


def test_wait_shows_what_a_task_died_of(sh, program):
    path = program("def main():\n    yield Sleep(1)\n    1 / 0\n")
    code, out, err = sh(f"{path} &", "wait 3")
    assert (code, out) == (1, "[3]\n[3] prog died of an uncaught ZeroDivisionError\n")
    assert err.endswith("ZeroDivisionError: division by zero\n")


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("wait 99", 127, "there is no task 99"),
        ("wait 2", 2, "a shell cannot wait for itself"),
        ("wait 1", 2, "task 1 will not end before this shell, which it has started"),
        ("wait x", 2, "a tid is a number, not x"),
        ("wait ²", 2, "a tid is a number, not ²"),
        ("kill", 2, "usage: kill [-SIGNAL] TID..."),
        ("kill -TERM", 2, "usage: kill [-SIGNAL] TID..."),
        ("kill x", 2, "a tid is a number, not x"),
        ("kill 99", 1, "there is no task 99"),
        ("kill " + "9" * 5000, 2, "a tid has at most 18 digits"),
        ("kill -HUP 2", 2, "no signal HUP: there are INT, KILL, TERM, CONT, STOP"),
    ],
)
def test_wait_and_kill_used_wrongly(sh, line, code, message):
    assert sh(line) == (code, "", f"sh: {message}\n")


@pytest.mark.parametrize(
    ("option", "signal"),
    [
        ("", TERM),
        ("-TERM ", TERM),
        ("-term ", TERM),
        ("-SIGTERM ", TERM),
        ("-15 ", TERM),
        ("-KILL ", KILL),
        ("-9 ", KILL),
    ],
)
def test_kill_sends_a_signal(sh, option, signal):
    code, out, err = sh("sleep 1000 &", f"kill {option}3", "wait 3")
    assert (code, err) == (128 + signal, "")
    assert out == f"[3]\n[3] sleep was killed by {signal.name}\n"


def test_kill_takes_several_tids_and_names_those_that_are_gone(sh):
    code, out, err = sh("sleep 1000 &", "sleep 1000 &", "kill 3 99 4", "wait", "ps")
    assert (code, err) == (0, "sh: there is no task 99\n")
    assert out.count("was killed by TERM") == 2
    assert out.splitlines()[-1].split()[:2] == ["2", "1"]  # and nothing is left of them


def test_killing_init_says_that_it_shuts_the_system_down():
    done = pyos("boot", INIT, stdin="kill -STOP 1\nkill -CONT 1\nkill 1\n")
    assert done.stdout.count("task 1 is init: when it ends, the system shuts down\n") == 1
    assert done.stderr == "pyos: init was killed by TERM, which ended the system\n"


def test_killing_the_shell_ends_it(execute, stdin):
    stdin("kill 2\nhello\n")
    status, out, _ = execute("bin/sh.py")
    assert (status.signal, out) == (TERM, "")


# --- as a process


def test_the_shell_boots_alone_too():
    done = pyos("boot", "userland/bin/sh.py", stdin="hello\nexit 4\n")
    assert (done.returncode, done.stdout, done.stderr) == (4, "Hello, world, from task 2!\n", "")


def test_lines_may_come_from_a_file(tmp_path):
    (tmp_path / "script").write_text("hello\nhello again\n")
    with open(tmp_path / "script") as script:
        done = pyos("boot", "userland/bin/sh.py", stdin=script)
    assert (done.returncode, done.stdout) == (0, "Hello, world, from task 2!\nHello, again, from task 3!\n")


def test_at_a_terminal_it_prompts():
    with at_terminal("boot", INIT) as terminal:
        assert "the shell (try help)" in terminal.until("pyos$ ")
        terminal.type("ps\n")
        shown = terminal.until("pyos$ ")
        assert "TID  PARENT  STATE    WAITING ON" in shown
        assert "sh    userland/bin/sh.py" in shown
        terminal.type("\n")
        terminal.until("pyos$ ")
        terminal.type("sleep 1000 &\n")
        terminal.until("[4]\npyos$ ")
        terminal.type("kill 4\nwait\n")
        terminal.until("[4] sleep was killed by TERM\n")
        terminal.type("exit 3\n")
        assert terminal.end()[0] == 3


def test_ctrl_d_at_the_prompt_leaves():
    with at_terminal("boot", INIT) as terminal:
        terminal.until("pyos$ ")
        terminal.type("\x04")
        assert terminal.end() == (0, "\n")


@pytest.mark.parametrize("job", ["naps", "spins", None])
def test_ctrl_c_ends_the_job_in_the_foreground_or_only_gives_a_new_prompt(job, tmp_path):
    body = {"naps": "yield Sleep(1000)", "spins": "while True: yield"}
    for name in body:
        (tmp_path / f"{name}.py").write_text(f"from pyos import *\ndef main():\n    print('up')\n    {body[name]}\n")
    with at_terminal("boot", INIT) as terminal:
        terminal.until("pyos$ ")
        terminal.type("sleep 2000 &\n")
        terminal.until("[4]\npyos$ ")
        if job:
            terminal.type(f"{tmp_path}/{job}\n")
            terminal.until("up\n")
        else:
            terminal.type("half a comma")
        terminal.type(CTRL_C)
        shown = terminal.until("pyos$ ").partition("^C")[2]
        assert shown == (f"\nsh: task 5 ({job}) was killed by INT\npyos$ " if job else "\npyos$ ")
        terminal.type("ps\n")
        tasks = [line.split()[0] for line in terminal.until("pyos$ ").splitlines()[2:-1]]
        assert tasks == ["1", "2", "3", "4"]
        terminal.type("exit 3\n")
        assert terminal.end()[0] == 3


def test_a_job_that_survives_ctrl_c_is_waited_for(tmp_path):
    (tmp_path / "tough.py").write_text(
        "from pyos import *\n"
        "def main():\n"
        "    print('tough')\n"
        "    try:\n"
        "        yield Sleep(1000)\n"
        "    except TaskKilled as killed:\n"
        "        print('survived', killed.signal.name)\n"
        "        yield Sleep(1000)\n"
    )
    with at_terminal("boot", INIT) as terminal:
        terminal.until("pyos$ ")
        terminal.type(f"{tmp_path}/tough.py\n")
        terminal.until("tough\n")
        terminal.type(CTRL_C)
        assert "pyos$" not in terminal.until("survived INT\n")
        terminal.type(CTRL_C)
        assert terminal.until("pyos$ ") == "^C\nsh: task 4 (tough) was killed by INT\npyos$ "


def test_a_second_ctrl_c_ends_a_job_that_never_yields(tmp_path):
    hog = tmp_path / "hog.py"
    hog.write_text(
        "import os\n"
        "def main():\n"
        "    yield\n"
        "    os.kill(os.getpid(), 2)\n"  # the first: taken note of by the time that this is over
        "    print('hogs')\n"
        "    while True:\n"
        "        pass\n"
    )
    with at_terminal("boot", INIT) as terminal:
        terminal.until("pyos$ ")
        terminal.type(f"{hog}\n")
        terminal.until("hogs\n")
        terminal.type(CTRL_C)
        assert "sh: task 4 (hog) was killed by KILL\n" in terminal.until("pyos$ ")
        terminal.type("exit 3\n")
        assert terminal.end()[0] == 3


def test_ctrl_c_ends_a_wait():
    with at_terminal("boot", INIT) as terminal:
        terminal.until("pyos$ ")
        terminal.type("sleep 1000 &\n")
        terminal.until("[4]\npyos$ ")
        terminal.type("wait\n")
        terminal.until("wait\n")
        terminal.type(CTRL_C)
        assert terminal.until("pyos$ ") == "^C\npyos$ "


def test_a_shell_without_a_prompt_does_not_survive_an_interrupt():
    with booted(INIT) as system:
        system.until("is the shell")
        system.signal(signal.SIGINT)
        assert system.end()[0] == 128 + signal.SIGINT


def test_kill_stops_and_continues_and_interrupts(sh):
    status, out, _ = sh(
        "sleep 1 &", "kill -STOP 3", "ps", "kill -CONT 3", "wait 3", "sleep 9 &", "kill -INT 4", "wait 4"
    )
    assert re.search(r"^3 +2 +stopped +- +sleep", out, re.M)
    assert out.splitlines()[-3:] == ["[3] sleep ended with 0", "[4]", "[4] sleep was killed by INT"]
    assert status == 128 + signal.SIGINT
