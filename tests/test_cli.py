"""The command line as users run it: the real thing, as a process.

Where many kinds of bad input take the same way, `refused` asks for each of them in this process.
"""

import os
import re
import signal
import subprocess
import sys

import pytest

import pyos as package
from pyos.cli import main
from pyos.kernel.poller import BACKENDS
from tests.system import INIT, ROOT, address_in, at_terminal, booted, client, environment, pyos, receive


@pytest.fixture
def program(tmp_path):
    """Write a program file; answers its path."""

    def write(source, name="prog.py"):
        path = tmp_path / name
        path.write_text(source if isinstance(source, str) else source.decode("latin-1"), encoding="latin-1")
        return path

    return write


@pytest.fixture
def refused(capsys):
    """Have a command refused before the first step; answers what it said."""

    def refuse(*args):
        assert main(list(map(str, args))) == 2
        out, err = capsys.readouterr()
        assert out == ""
        return err

    return refuse


def one_line(pattern, text):
    """The text is one line, and says so."""
    assert re.fullmatch(f"pyos: {pattern}\n", text), text


RETURNS = "def main(*argv):\n    yield\n    return {}\n"
FINALLY = """
from pyos import *
import math

def child(wait):
    try:
        while True:
            yield Sleep(math.inf) if wait else None
    finally:
        print("child cleaned up")

def main(mode):
    tid = yield NewTask(child(mode == "idle"))
    try:
        print("up")
        yield WaitTask(tid)
    finally:
        yield
        print("init cleaned up")
"""


# --- exit codes


@pytest.mark.parametrize(
    ("value", "code"),
    [("None", 0), ("0", 0), ("7", 7), ("255", 255), ("256", 0), ("300", 44), ("-1", 255), ("True", 1)],
)
def test_the_exit_code_is_inits_integer_value(program, value, code):
    done = pyos("boot", program(RETURNS.format(value)))
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


def test_a_value_that_is_no_exit_code_is_said(program):
    done = pyos("boot", program(RETURNS.format("'hello'")))
    assert done.returncode == 0
    assert done.stderr == "pyos: init ended with 'hello', which is no exit code: 0 is reported\n"


def test_sys_exit_and_exit_end_init_with_their_value(program):
    source = "import sys\nfrom pyos import Exit\ndef main(how):\n    yield\n    {}\n"
    assert pyos("boot", program(source.format("sys.exit(5)")), "x").returncode == 5
    assert pyos("boot", program(source.format("yield Exit(6)")), "x").returncode == 6


@pytest.mark.parametrize(("what", "said"), [('"no such port"', "no such port"), ("[1]", "[1]"), ('""', "")])
def test_sys_exit_with_a_text_says_it_and_is_1_as_in_python(program, what, said):
    done = pyos("boot", program(f"import sys\ndef main():\n    yield\n    sys.exit({what})\n"))
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{said}\n")


def test_sys_exit_with_what_cannot_be_printed_is_1(program):
    source = "import sys\nclass Odd:\n    def __str__(self):\n        raise ValueError\n"
    done = pyos("boot", program(source + "def main():\n    yield\n    sys.exit(Odd())\n"))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_an_uncaught_error_is_1_with_a_traceback_of_userland_alone(program):
    path = program("def sub():\n    yield\n    1 / 0\n\ndef main():\n    yield sub()\n")
    done = pyos("boot", path)
    assert (done.returncode, done.stdout) == (1, "")
    lines = [line for line in done.stderr.splitlines() if not set(line) <= set(" ~^")]  # where Python points at 1 / 0
    assert lines == [
        "pyos: task 1 (prog) died of an uncaught ZeroDivisionError",
        "Traceback (most recent call last):",
        f'  File "{path}", line 6, in main',
        "    yield sub()",
        f'  File "{path}", line 3, in sub',
        "    1 / 0",
        "ZeroDivisionError: division by zero",
    ]


def test_a_deadlock_is_3_and_says_who_waits_for_what(program):
    path = program(
        """from pyos import *

def child(parent):
    yield WaitTask(parent)

def main():
    tid = yield NewTask(child((yield GetTid())), name="kid")
    try:
        yield WaitTask(tid)
    finally:
        print("cleaned up")
"""
    )
    done = pyos("boot", path)
    assert (done.returncode, done.stdout) == (3, "cleaned up\n")
    prog = f"  task 1 (prog) waits: wait task 2, at {path}:9 main"
    kid = f"  task 2 (kid) waits: wait task 1, at {path}:4 child"
    assert done.stderr.splitlines() == [
        "pyos: these tasks wait for each other:",
        kid,
        prog,
        "pyos: deadlock: nothing can ever run again:",
        "  a cycle: 1 -> 2 -> 1",
        prog,
        kid,
    ]


@pytest.mark.parametrize("mode", ["idle", "busy"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_shuts_down_in_order(program, mode, number):
    with booted(program(FINALLY), mode) as system:
        system.until("up")
        system.signal(number)
        order = ["child", "init"]  # newest first
        if number == signal.SIGINT:
            order.reverse()  # it is init that is interrupted, and its end shuts the system down
        assert system.end() == (128 + number, "".join(f"{name} cleaned up\n" for name in order), "")


def test_a_system_whose_init_was_killed_says_by_what(program):
    path = program(
        "from pyos import *\ndef main(number):\n    yield KillTask(1, Signal(int(number)))\n    yield Sleep(9)\n"
    )
    assert pyos("boot", path, "15").returncode == 128 + 15
    assert pyos("boot", path, "9").returncode == 128 + 9


def test_a_signal_at_the_shell_ends_what_it_runs(program):
    with booted(INIT) as system:
        system.until("listening")
        system.tell(f"run {program(FINALLY)} busy")
        system.until("up")
        system.signal(signal.SIGINT)
        system.stdin.close()  # the shell goes on, up to the end of its input
        killed = "sh: task 4 (prog) was killed by INT\n"
        assert system.end() == (130, "init cleaned up\nchild cleaned up\n", killed)


# --- bad input


BAD_PROGRAMS = {
    "a syntax error": ("def main():\n    yield )\n", "{path}:2: syntax error: unmatched ')'"),
    "null bytes": ("def main():\n    yield\n\0", "{path}:3: syntax error: source code cannot contain null bytes"),
    "no text": (
        b"def main():\n    yield '\xff'\n",
        "{path}:2: syntax error: .*'utf-8' codec can't decode byte 0xff in .*",
    ),
    "an unknown encoding": ("# coding: klingon\n", "{path}:1: syntax error: unknown encoding.*klingon"),
    "no main": ("def Main():\n    yield\n", "{path} has no main: a program defines `def main(*argv)`"),
    "a plain main": (
        "def main():\n    return 3\n",
        "main in {path} is neither a generator nor an async function: it never yields to the kernel",
    ),
    "a main that is no function": (
        "main = 3\n",
        "main in {path} is neither a generator nor an async function: it never yields to the kernel",
    ),
    "a main that wants arguments": (
        "def main(a: int, b='x') -> None:\n    yield\n",
        "{path} cannot be called so: missing a required argument: 'a'; usage: main(a, b='x')",
    ),
}


@pytest.mark.parametrize(("source", "message"), BAD_PROGRAMS.values(), ids=list(BAD_PROGRAMS))
def test_a_program_that_cannot_be_booted_is_told_in_one_line(program, refused, source, message):
    path = program(source)
    one_line(re.escape(message.format(path=path)).replace(r"\.\*", ".*"), refused("boot", path))


def test_a_refused_command_ends_the_process_with_2():
    done = pyos("boot", "nowhere.py")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "pyos: cannot boot nowhere.py: no such program\n")
    done = pyos()
    one_line(".*arguments are required.*", done.stderr)
    assert (done.returncode, done.stdout) == (2, "")


LIMIT = "NAME=VALUE with one of max_tasks, max_mailbox, max_slice"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["boot", "nowhere.py"], "cannot boot nowhere.py: no such program"),
        (["boot", "tests"], "cannot boot tests: a program is a file, and this is a directory"),
        (["boot", INIT + "/x.py"], f"cannot boot {INIT}/x.py: no such program"),
        (["boot"], "the following arguments are required: program (see pyos boot --help)"),
        (["boot", "--nope", INIT], "unrecognized arguments: --nope (see pyos --help)"),
        (["boot", "--stra", INIT], "unrecognized arguments: --stra (see pyos --help)"),
        (["boot", "--seed"], "argument --seed: expected one argument (see pyos boot --help)"),
        (["boot", "--limit", "tasks=3", INIT], f"argument --limit: 'tasks=3' is not {LIMIT} (see pyos boot --help)"),
        (
            ["boot", "--limit", "max_tasks", INIT],
            f"argument --limit: 'max_tasks' is not {LIMIT} (see pyos boot --help)",
        ),
        (["boot", "--limit", "max_tasks=x", INIT], "argument --limit: max_tasks is a whole number, not 'x' (…)"),
        (["boot", "--limit", "max_tasks=0", INIT], "argument --limit: max_tasks is at least 1, not 0 (…)"),
        (
            ["boot", "--limit", "max_mailbox=1.5", INIT],
            "argument --limit: max_mailbox is a whole number, not '1.5' (…)",
        ),
        (["boot", "--limit", "max_slice=", INIT], "argument --limit: max_slice is a number of seconds, not '' (…)"),
        (
            ["boot", "--max-slice", "soon", INIT],
            "argument --max-slice: max_slice is a number of seconds, not 'soon' (…)",
        ),
        (
            ["boot", "--max-slice", "0", INIT],
            "argument --max-slice: max_slice is a number of seconds above 0, not 0.0 (…)",
        ),
        (
            ["boot", "--max-slice=inf", INIT],
            "argument --max-slice: max_slice is a number of seconds above 0, not inf (…)",
        ),
        (["--nope"], "the following arguments are required: COMMAND (see pyos --help)"),
        ([], "the following arguments are required: COMMAND (see pyos --help)"),
        (["man", "Nope"], "there is no trap or object Nope (see pyos man)"),
    ],
)
def test_a_wrong_command_line_is_told_in_one_line(refused, args, message):
    one_line(re.escape(message.replace("…", "see pyos boot --help")), refused(*args))


@pytest.mark.parametrize("args", [["reboot"], ["boot", "--poller", "kqueue", INIT]])
def test_a_wrong_choice_names_the_right_ones(refused, args):
    one_line(r"argument .*: invalid choice: .*'?(boot|epoll)'?, '?(check|poll)'?.*", refused(*args))


RAISES = {
    "an exception": "def f():\n    return 1 / 0\n\nf()\n",
    "a missing file": "open('nowhere.txt')\n",
    "a missing module": "import nowhere\n",
    "a chain": "try:\n    import nowhere\nexcept ImportError as error:\n    raise ValueError from error\n",
    "an exit": "import sys\nsys.exit(0)\n",
    "another file's syntax error": "exec(')')\n",
}


@pytest.mark.parametrize("source", RAISES.values(), ids=list(RAISES))
def test_an_exception_while_loading_shows_userlands_traceback(program, refused, source):
    path = program(source + "def main():\n    yield\n")
    said = refused("boot", path)
    assert f'File "{path}", line' in said
    assert "/pyos/" not in said
    error = re.findall(r"^(\w+)(?::|$)", said.rpartition("pyos: ")[0], re.M)[-1]
    assert said.endswith(f"\npyos: cannot boot {path}: it raised {error} while loading\n")


def test_a_signal_while_loading_ends_it_quietly(program):
    with booted(program("import time\nprint('loading', flush=True)\ntime.sleep(60)\n")) as system:
        system.until("loading")
        system.signal(signal.SIGINT)
        assert system.end() == (130, "", "")


SPELLINGS = [
    "import pyos.kernel",
    "import os, pyos . kernel",
    "import pyos.kernel.tasks as tasks",
    "from pyos import kernel",
    "from pyos import GetTid, kernel as k",
    "from pyos.kernel import *",
    "from pyos.kernel.kernel import Kernel",
    "import pyos\nk = pyos.kernel",
    "import pyos as p\nk = p.kernel",
    "__import__('pyos.kernel')",
    "__import__('pyos', fromlist=['kernel'])",
    "__import__(name='pyos.kernel.tasks')",
    "import builtins\nbuiltins.__import__('pyos.' + 'kernel')",
    "import importlib\nimportlib.import_module('pyos.kernel')",
    "import importlib\nimportlib.import_module('.kernel', 'pyos')",
    "import importlib\nimportlib.import_module('.' + 'kernel', package='pyos')",
    "import importlib\nimportlib.__import__('pyos.kernel')",
    "from importlib import import_module as load\nload(name='pyos.' + 'kernel')",
    "exec('import pyos.kernel')",
    "k = eval('__import__(\"pyos.kernel\")')",
    "import runpy\nrunpy.run_module('pyos.kernel.tasks')",
    "import sys\nk = sys.modules['pyos.kernel']",
    "import pyos\nk = getattr(pyos, 'ker' + 'nel')",
    "import pkgutil\ntable = pkgutil.resolve_name('pyos.kernel.tasks:TaskTable')",
    "from pyos.cli import Kernel",
    "from pyos.cli import log_to_stderr as log",
    "def later():\n    import pyos.kernel",
    "import pyos as p\ndef later():\n    return p.kernel",
    "try:\n    import pyos.kernel\nexcept ImportError:\n    pass",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_userland_may_not_import_the_kernel(program, refused, spelling):
    path = program(spelling + "\ndef main():\n    yield\n")
    where = rf"{re.escape(str(path))}(:\d+)?"
    one_line(f"{where}: userland may not import pyos.kernel; it talks .* by yielding traps", refused("boot", path))


def test_what_only_looks_like_the_kernel_may_be_imported(program, tmp_path):
    (tmp_path / "kernel.py").write_text("x = 1\n")
    source = "import sys\nsys.path.insert(0, {!r})\nimport kernel, pyos.lib.sockets\nfrom pyos import *\n"
    assert pyos("boot", program(source.format(str(tmp_path)) + RETURNS.format("kernel.x"))).returncode == 1


def test_elsewhere_than_on_posix_it_says_so_at_start():
    code = """
import os, sys
os.name = "nt"
sys.modules["fcntl"] = sys.modules["resource"] = None
from pyos.__main__ import main
sys.exit(main())
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=environment(), check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "pyos: this needs a POSIX system, and this is nt\n")


# --- options


def test_version():
    done = pyos("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"pyos {package.__version__}\n", "")


@pytest.mark.parametrize("args", [["--help"], ["boot", "--help"], ["man", "--help"]])
def test_help_names_every_option(args):
    done = pyos(*args)
    assert (done.returncode, done.stderr) == (0, "")
    wanted = {
        1: ["boot", "man", "--version"],
        2: ["--poller", "--seed", "--limit", "--max-slice", "--strace", "--debug", "program"],
    }
    assert all(word in done.stdout for word in (["NAME"] if "man" in args else wanted[len(args)]))


def test_the_help_of_boot_and_the_readme_have_the_exit_codes():
    help_text = pyos("boot", "--help").stdout
    readme = (ROOT / "README.md").read_text()
    for code in ("0 to 255", "1", "2", "3", "128+n"):
        assert re.search(rf"^  {re.escape(code)} +\w", help_text, re.M), code
        assert f"\n| {code} | " in readme, code


@pytest.mark.parametrize(
    ("args", "wrong"),
    [
        (["--strace"], "--strace"),
        (["x", "--seed=3", "--strace", "--strace"], "--seed, --strace"),
        (["--poller", "select"], "--poller"),
    ],
)
def test_an_option_of_boots_own_behind_the_program_is_the_programs_with_a_hint(program, args, wrong):
    path = program("def main(*argv):\n    yield\n    print(argv)\n")
    done = pyos("boot", path, *args)
    assert (done.returncode, done.stdout) == (0, f"{tuple(args)}\n")
    first = wrong.partition(",")[0]
    assert done.stderr == (
        f"pyos: hint: the program is given {wrong}; options of boot go before it: boot {first} {path}\n"
    )


@pytest.mark.parametrize("args", [["--help"], ["--straces"], ["strace"], []])
def test_other_options_of_a_program_get_no_hint(program, args):
    done = pyos("boot", program("def main(*argv):\n    yield\n"), *args)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_program_that_knows_an_option_itself_gets_no_hint(program):
    done = pyos("boot", program("def main(*argv):\n    yield\n    assert argv == ('--seed', '3')\n"), "--seed", "3")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("poller", BACKENDS)
def test_every_poller_serves(poller):
    with booted("--poller", poller, "userland/srv/echo.py") as system:
        with client(address_in(system.until("listening"))) as conn:
            conn.sendall(b"hello")
            assert receive(conn, 5) == b"hello"
        system.signal(signal.SIGTERM)
        assert system.end() == (143, "", "")


FORK_BOMB = """
from pyos import *

def bomb():
    while True:
        yield NewTask(bomb(), detached=True)

def main():
    yield NewTask(bomb())
    for _ in range(100):
        yield Sleep(0.0001)
    tasks = yield Tasks()
    print(len(tasks) > 1, len(tasks) <= 30)
"""


def test_a_fork_bomb_is_held_to_the_limit_and_the_rest_goes_on(program):
    done = pyos("boot", "--limit", "max_tasks=30", program(FORK_BOMB))
    assert (done.returncode, done.stdout) == (0, "True True\n")
    heads = set(re.findall(r"^pyos: (?:task \d+ )?(.*)", done.stderr, re.M))
    assert heads == {"(bomb) died of an uncaught LimitExceeded"}
    errors = set(re.findall(r"^pyos\.errors\.\w+: (.*)", done.stderr, re.M))
    assert "this system takes 30 tasks at most, and has them already" in errors


def test_the_last_of_two_limits_counts(program):
    path = program(
        "from pyos import *\n"
        "def main():\n"
        "    for sent in range(9):\n"
        "        try:\n"
        "            yield Timeout(0, Send(1, 'x'))\n"
        "        except TaskTimeout:\n"
        "            return sent\n"
    )
    assert pyos("boot", "--limit", "max_mailbox=2", "--limit", "max_mailbox=5", path).returncode == 5
    assert pyos("boot", "--limit", "max_mailbox=2", "--limit", "max_tasks=5", path).returncode == 2


def test_max_slice_ends_a_hog_and_the_others_go_on(program):
    path = program(
        "from pyos import *\n"
        "def hog():\n"
        "    yield\n"
        "    while True:\n"
        "        pass\n"
        "def main():\n"
        "    status = yield WaitTask((yield NewTask(hog())))\n"
        "    print(type(status.error).__name__, status.error.seconds)\n"
    )
    for option in (
        ("--max-slice", "0.2"),
        ("--limit", "max_slice=0.2"),
        ("--max-slice", "99", "--limit", "max_slice=0.2"),
    ):
        done = pyos("boot", *option, path)
        assert (done.returncode, done.stdout) == (0, "SliceExceeded 0.2\n")
        one_line(rf"task 2 \(hog\) at {path}:\d hog has not let others run for 0.\d+ s", done.stderr)


RANDOM = "from pyos import *\ndef main():\n    print((yield Random()), (yield Choose(range(1000))))\n"


def test_a_seed_makes_random_and_choose_repeat(program):
    path = program(RANDOM)

    def drawn(*args):
        done = pyos("boot", *args, path)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    assert drawn("--seed", "1") == drawn("--seed", "1") == drawn("--seed", "01")
    assert drawn("--seed", "any text") == drawn("--seed", "any text")
    assert len({drawn("--seed", seed) for seed in ("1", "2", "-3", "²", "")}) == 5
    assert drawn().endswith(" 0\n")  # the first option, without a seed
    assert drawn() != drawn()


def test_options_after_the_program_are_the_programs(program):
    path = program("def main(*argv):\n    yield\n    print(argv)\n")
    assert pyos("boot", path, "--strace", "-x", "--", "y").stdout == "('--strace', '-x', '--', 'y')\n"


def test_strace_prints_every_trap_on_standard_error(program):
    done = pyos(
        "boot", "--strace", program("from pyos import *\ndef main():\n    yield\n    print((yield GetTid()))\n")
    )
    assert (done.returncode, done.stdout) == (0, "1\n")
    assert re.fullmatch(r" +0\.\d{6} \[   1\] GetTid\(\) = 1\n", done.stderr)


def test_debug_reports_traps_that_were_never_yielded(program):
    path = program("from pyos import *\ndef main():\n    nap = Sleep(1)\n    del nap\n    yield Sleep(0)\n")
    done = pyos("boot", "--debug", path)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"pyos: warning: {path}:3: Sleep(...) was never yielded\n"


@pytest.mark.parametrize("imported", ["from pyos import *", "from pyos import Sleep", "from pyos import Sleep as S"])
def test_a_forgotten_yield_is_warned_of(program, imported):
    name = imported.split()[-1].replace("*", "Sleep")
    path = program(f"{imported}\ndef main():\n    {name}(1)\n    yield\n")
    done = pyos("boot", path)
    assert done.returncode == 0
    assert done.stderr == f"pyos: warning: {path}:3: {name}(...) does nothing without yield: `yield {name}(...)`\n"


def test_a_program_is_compiled_as_it_is_written(program):
    path = program("def f(x: int): pass\ndef main():\n    yield\n    print(f.__annotations__)\n")
    assert pyos("boot", path).stdout == "{'x': <class 'int'>}\n"  # the loader's own __future__ imports are its own


def test_programs_are_found_from_here_then_beside_the_booted_one(program, tmp_path):
    booted_one = program("from pyos import *\ndef main():\n    yield WaitTask((yield Exec('other.py')))\n")
    program("def main():\n    yield\n    print('beside', __file__)\n", "other.py")
    done = pyos("boot", booted_one)
    assert done.stdout == f"beside {tmp_path}/other.py\n", done.stderr
    here = tmp_path / "here"
    here.mkdir()
    (here / "other.py").write_text("def main():\n    yield\n    print('here', __file__)\n")
    assert pyos("boot", booted_one, cwd=here).stdout == "here other.py\n"


# --- standard files


@pytest.mark.parametrize(
    ("args", "unbuffered"),
    [(["man"], ""), (["man"], "1"), (["man", "Sleep"], ""), (["--help"], ""), (["--version"], "")],
)
def test_a_reader_that_has_gone_is_no_error(args, unbuffered):
    done = into_closed_pipe(args, unbuffered)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_an_init_that_prints_to_a_reader_that_has_gone_ends_quietly_as_by_the_signal(program, unbuffered):
    path = program("from pyos import *\ndef main():\n    yield Sleep(0)\n    while True:\n        print('x')\n")
    done = into_closed_pipe(["boot", path], unbuffered)
    assert (done.returncode, done.stderr) == (141, "")


def test_an_init_that_catches_the_error_of_printing_goes_on(program):
    source = "def main():\n    yield\n    try:\n        print('x')\n    except BrokenPipeError:\n        return 7\n"
    done = into_closed_pipe(["boot", program(source)])
    assert (done.returncode, done.stderr) == (7, "")


def test_another_task_that_prints_to_a_reader_that_has_gone_dies_of_it_alone(program):
    path = program(
        "from pyos import *\ndef child():\n    yield\n    print('x')\ndef main():\n    yield NewTask(child())\n"
        "    yield Sleep(0.01)\n    return 7\n"
    )
    done = into_closed_pipe(["boot", path])
    assert done.returncode == 7
    assert done.stderr.startswith("pyos: task 2 (child) died of an uncaught BrokenPipeError\nTraceback")
    assert f'File "{path}", line 4' in done.stderr
    assert "/pyos/" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_a_broken_pipe_of_inits_own_is_told(program):
    source = "import os\ndef main():\n    yield\n    r, w = os.pipe()\n    os.close(r)\n    os.write(w, b'x')\n"
    done = pyos("boot", program(source))
    assert done.returncode == 1
    assert "BrokenPipeError" in done.stderr


def into_closed_pipe(args, unbuffered=""):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return pyos(*args, stdout=writer, env={"PYTHONUNBUFFERED": unbuffered})
    finally:
        os.close(writer)


NOISY = """
from pyos import *
def fails():
    yield
    1 / 0
def main():
    yield NewTask(fails())
    for _ in range(10):
        yield Sleep(0)
    return 7
"""


def test_a_log_that_nobody_reads_harms_nothing(program):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert pyos("boot", "--strace", program(NOISY), stderr=writer).returncode == 7
    finally:
        os.close(writer)


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_task_that_closes_a_standard_file_does_not_change_the_exit_code(program, name):
    source = NOISY.replace("    1 / 0", f"    import sys\n    sys.{name}.close()\n    1 / 0")
    assert pyos("boot", program(source)).returncode == 7


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_cannot_be_written_is_an_error(unbuffered):
    with open("/dev/full", "w") as full:
        done = pyos("man", stdout=full, env={"PYTHONUNBUFFERED": unbuffered})
    assert done.returncode == 1
    assert done.stderr == "pyos: cannot write to standard output: No space left on device\n"


def test_closed_standard_files_are_as_good_as_empty(program):
    path = program(NOISY)
    for redirections, code in {
        "<&-": 7,
        ">&-": 7,
        "2>&-": 7,
        "<&- >&- 2>&-": 7,
    }.items():
        shell(f'"$0" -m pyos boot {path} {redirections}', code)
    done = shell(f'"$0" -m pyos boot {INIT} <&-', 0)
    assert done.stdout.count("\n") == 4
    assert shell(f'"$0" -m pyos boot {path} 2>&-', 7).stdout == ""  # no number is taken by something else


def shell(command, code):
    arguments = ["sh", "-c", command, sys.executable]
    done = subprocess.run(arguments, cwd=ROOT, env=environment(), check=False, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done


def test_no_colour_where_none_is_wanted(program):
    """At a terminal, which is where others would colour their output."""
    path = program(NOISY)
    for args in (["boot", path], ["boot", "--strace", path], ["man"], ["--help"], ["boot"]):
        with at_terminal(*args, NO_COLOR="1") as terminal:
            _, shown = terminal.end()
            assert shown
            assert "\x1b" not in shown


def test_as_many_descriptors_as_the_system_lets_it_have(program):
    path = program("import resource\ndef main():\n    yield\n    print(*resource.getrlimit(resource.RLIMIT_NOFILE))\n")
    soft, hard = shell(f'ulimit -S -n 100; "$0" -m pyos boot {path}', 0).stdout.split()
    assert soft == hard != "100"


# --- man


def test_man_lists_and_explains_the_traps():
    listed = pyos("man")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert re.search(r"^Sleep +Wait for `seconds` to pass", listed.stdout, re.M)
    explained = pyos("man", "Sleep")
    assert explained.stdout.startswith("Sleep(seconds)\n\nWait for `seconds` to pass")
    assert "ValueError for a negative number" in explained.stdout


def test_an_init_that_is_killed_by_one_of_its_tasks_is_told_of(program):
    killer = "def killer():\n    yield KillTask(1, KILL)\n"
    main = "def main():\n    yield NewTask(killer())\n    yield Sleep(9)\n"
    done = pyos("boot", program("from pyos import *\n" + killer + main))
    assert (done.returncode, done.stderr) == (137, "pyos: init was killed by KILL, which ended the system\n")
