"""`python -m pyos check`: options, exit codes, and what is printed."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import textwrap

import pytest

from pyos.cli import main

RACY = """
    from pyos import eventually

    def main(*argv):
        total = [0]

        def count():
            seen = total[0]
            yield
            total[0] = seen + 1

        eventually(lambda: total[0] == 2)
        return [count(), count()]
"""
FAMILY = """
    from pyos import NewTask, WaitTask

    print("loading")

    def child():
        return
        yield

    def main(*argv):
        print("running")
        first = yield NewTask(child())
        second = yield NewTask(child())
        yield WaitTask(first)
        yield WaitTask(second)
        return argv
"""
TURNS = """
    def main():
        order = []

        def work(name):
            yield
            order.append(name)

        return [work(name) for name in "abc"], lambda: "".join(order)
"""
JUDGED = """
    def main():
        order = []

        def work(name):
            yield
            order.append(name)

        def outcome():
            if order[0] == "b":
                raise ValueError(order)
            assert order[0] != "c"

        return [work(name) for name in "abc"], outcome
"""
ISOLATED = """
    from pyos import Cell

    def main():
        def work(cell):
            for _ in range(12):
                yield cell.load()

        return [work(Cell(0)), work(Cell(0)), work(Cell(0))]
"""
ENDLESS = """
    def main():
        def work():
            for _ in range(20):
                yield

        return [work() for _ in range(4)]
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a program file, and be in its folder."""
    monkeypatch.chdir(tmp_path)

    def write(text, name="program.py"):
        (tmp_path / name).write_text(textwrap.dedent(text))
        return name

    return write


@pytest.fixture
def check(write, capsys):
    """Check a program given by its text; answers the exit code, and what was printed on both streams."""

    def check(text, *options, args=()):
        code = main(["check", *options, write(text), *args])
        return code, *capsys.readouterr()

    return check


# --- exit codes


def test_nothing_found_is_0(check):
    code, out, err = check(FAMILY, "--strategy=dfs", "--budget=none")
    assert code == 0
    assert out.startswith("program.py: 11 schedules by dfs, complete: every schedule that matters; nothing found (")
    assert err == ""


def test_a_failure_is_1_and_its_story_is_printed(check):
    code, out, err = check(RACY)
    assert code == 1
    assert out.startswith("program.py: 1 schedule by portfolio, not complete: stopped at the first failure; 1 failure")
    assert "\n\neventually: <lambda> (program.py:12) does not hold at the end\n" in out
    assert "race on total" in out
    assert err == ""


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (RACY, ["--budget=3x"], "'3x' is neither a time"),
        (RACY, ["--budget=0"], "'0' is no budget"),
        (RACY, ["--budget=-1s"], "'-1s' is no budget"),
        (RACY, ["--budget=nans"], "'nans' is no budget"),
        (RACY, ["--jobs=0"], "--jobs is at least 1, not 0"),
        (RACY, ["--depth=0"], "depth is at least 1, not 0"),
        (RACY, ["--max-steps=0"], "max_steps is at least 1, not 0"),
        (RACY, ["--strategy=guess"], "invalid choice: 'guess'"),
        (RACY, ["--replay=what"], "not a replay string: 'what'"),
        (RACY, ["--isolated"], "'total' (a list) is shared by tasks 1 and 2"),
        (RACY, ["--html=no/such/folder.html"], "cannot write no/such/folder.html: there is no such folder"),
        ("def main(:", [], "program.py:1: syntax error"),
        ("main = 5", [], "main in program.py is no function"),
        ("", [], "program.py has no main"),
        ("import nothing_like_it\n", [], "cannot check program.py: it raised ModuleNotFoundError while loading"),
        ("from pyos.kernel import kernel\n", [], "userland may not import pyos.kernel"),
        ("def main(): return 5\n", [], "a program is a generator, or a function that returns a list of them, not 5"),
        ("def main(): return [5]\n", [], "a task is a generator or coroutine object, not int"),
        ("def main(): return 1 / 0\n", [], "cannot check program.py: it raised ZeroDivisionError while loading"),
    ],
)
def test_what_is_wrong_before_the_first_step_is_2_and_one_line(check, text, options, message):
    code, out, err = check(text, *options)
    assert code == 2
    assert out == ""
    assert err.splitlines()[-1].startswith("pyos: ")
    assert message in err.splitlines()[-1]


def test_a_main_that_does_not_take_the_arguments_is_2(check):
    code, _, err = check(TURNS, args=["x"])
    assert code == 2
    assert "program.py cannot be called so: too many positional arguments; usage: main()" in err


def test_a_file_that_is_not_there_is_2(write, capsys):
    write(RACY)
    assert main(["check", "other.py"]) == 2
    assert capsys.readouterr().err == "pyos: cannot check other.py: no such program\n"


# --- programs


def test_arguments_reach_main_as_strings(check):
    code, out, _ = check(FAMILY.replace("return argv", "raise ValueError(argv)"), args=["a", "--b"])
    assert code == 1
    assert "ValueError: ('a', '--b')" in out


def test_our_own_options_after_the_program_are_its_arguments_and_that_is_said(check):
    code, _, err = check(FAMILY, args=["--budget=3"])
    assert code == 0
    assert (
        err == "pyos: note: --budget=3 is taken as an argument of the program; options of check go before program.py\n"
    )


def test_the_top_level_runs_afresh_for_each_schedule(check):
    text = TURNS.replace("order = []", "").replace("    def main():", "    order = []\n\n    def main():")
    code, out, _ = check(text, "--strategy=dfs", "--budget=none")
    assert code == 0
    assert "90 schedules" in out
    assert re.findall(r"^ *15 x (...)$", out, re.MULTILINE)
    assert sorted(re.findall(r"x (\w+)$", out, re.MULTILINE)) == ["abc", "acb", "bac", "bca", "cab", "cba"]


def test_what_the_program_prints_is_not_shown(check):
    _, out, err = check(FAMILY, "--budget=5")
    assert "loading" not in out + err
    assert "running" not in out + err


def test_an_async_main_is_init(check):
    code, out, _ = check("from pyos import Sleep\nasync def main():\n    await Sleep(1)\n    return 7\n")
    assert code == 0
    assert "complete" in out


def test_a_forgotten_yield_is_warned_of_once(check):
    code, _, err = check("from pyos import Sleep\ndef main():\n    Sleep(1)\n    yield\n    yield\n")
    assert code == 0
    assert err.count("does nothing without yield") == 1


def test_exec_finds_programs_beside_the_checked_one(write, tmp_path, monkeypatch, capsys):
    write("def main():\n    yield\n    return 'from beside'\n", "other.py")
    write("from pyos import Exec, WaitTask\ndef main():\n    return (yield WaitTask((yield Exec('other.py')))).value\n")
    monkeypatch.chdir("/")
    assert main(["check", str(tmp_path / "program.py")]) == 0


# --- strategies and budgets


def unwrapped(text):
    """A text without the line ends that are there for its width."""
    return text.replace("\n  ", " ")


@pytest.mark.parametrize("strategy", ["portfolio", "dfs", "dpor", "random", "pct", "delay", "production"])
def test_every_strategy_says_how_it_was_bounded(check, strategy):
    code, out, _ = check(ENDLESS, f"--strategy={strategy}", "--budget=40")
    assert code == 0
    number = 1 if strategy == "production" else 40
    bound = {
        "random": "a random sample",
        "production": "one schedule, production's",
        "delay": "at most 2 deviations from production order",
        "pct": "a bug of depth 3 is hit by a run with a probability of at least ",
    }.get(strategy, "40 schedules used up")
    assert re.match(
        rf"program.py: {number} schedules? by {strategy}, not complete: .*{re.escape(bound)}", unwrapped(out)
    )


def test_a_budget_in_seconds_ends_the_check(check):
    code, out, _ = check(ENDLESS, "--budget=0.2s", "--strategy=dfs")
    assert code == 0
    assert "not complete: 0.2 s used up" in out


@pytest.mark.parametrize(("text", "value"), [("30s", 30.0), ("5m", 300.0), ("1.5h", 5400.0), ("7", 7), ("none", None)])
def test_budgets_are_times_or_schedules(text, value):
    from pyos.check.command import budget

    assert budget(text) == value
    assert type(budget(text)) is type(value)


def test_isolated_tasks_are_reduced(check):
    text = FAMILY.replace("return argv", "return 1")
    assert "6 schedules by dpor, complete" in check(text, "--strategy=dpor", "--isolated")[1]
    assert "11 schedules by dpor, complete" in check(text, "--strategy=dpor")[1]


def test_delays_and_depth_are_given_to_their_strategies(check):
    assert "at most 1 deviation from" in check(ENDLESS, "--strategy=delay", "--delays=1", "--budget=9")[1]
    one, three = (check(ENDLESS, "--strategy=pct", f"--depth={n}", "--budget=9")[1] for n in (1, 3))
    one, three = unwrapped(one), unwrapped(three)
    assert "a bug of depth 1 is hit by a run with a probability of at least 0.25" in one
    assert "a bug of depth 3 is hit" in three


def test_max_steps_and_leaks(check):
    assert "livelock: not at its end after 20 steps" in check(ENDLESS, "--max-steps=20")[1]
    leaky = "from pyos import Sleep, NewTask\ndef w(): yield Sleep(9)\ndef main():\n    yield NewTask(w())\n    yield\n"
    assert check(leaky)[0] == 1
    assert check(leaky, "--no-leaks", "--budget=50")[0] == 0


def test_keep_going_finds_one_failure_of_each_kind(check):
    code, out, _ = check(JUDGED, "--keep-going", "--strategy=dfs", "--budget=none")
    assert code == 1
    assert "90 schedules by dfs, complete: every schedule that matters; 2 failures found" in out
    assert out.count("to see it again:") == 2
    assert "30 x error" in out
    assert "30 x assertion" in out


# --- several processes


@pytest.mark.parametrize("options", [["--strategy=dfs"], ["--strategy=dfs", "--keep-going"], ["--strategy=dpor"]])
def test_processes_share_the_exhaustive_strategies(check, options):
    text = TURNS.replace("yield\n", "yield; yield\n")
    alone = check(text, "--budget=none", *options)
    shared = check(text, "--budget=none", "--jobs=3", *options)
    assert "1680 schedules" in alone[1]
    assert re.sub(r" \(.* s\)", "", alone[1]) == re.sub(r" \(.* s\)", "", shared[1])
    assert alone[0] == shared[0] == 0


def test_a_failure_that_another_process_finds_is_told_here(check):
    code, out, _ = check(JUDGED, "--jobs=2", "--strategy=dfs", "--budget=none")
    assert code == 1
    assert re.search(r"\n(assertion|error): the outcome function raised (Assertion|Value)Error", out)
    assert "to see it again:" in out


def test_processes_share_a_budget_of_schedules(check):
    for strategy in ("random", "pct", "portfolio"):
        out = check(ENDLESS, "--jobs=2", f"--strategy={strategy}", "--budget=101")[1]
        assert "101 schedules by" in out
        assert "101 schedules used up" in out


def test_dpor_is_done_by_one_process_and_the_report_says_so(check):
    alone = check(FAMILY, "--isolated", "--strategy=dpor", "--budget=none")
    shared = check(FAMILY, "--isolated", "--strategy=dpor", "--budget=none", "--jobs=3")
    note = "note: one process was used instead of 3, as dpor cannot be shared between them\n"
    assert "every schedule that matters" in alone[1]
    assert re.sub(r" \(.* s\)", "", alone[1]) + note == re.sub(r" \(.* s\)", "", shared[1])


def test_in_a_portfolio_one_process_does_dpor_and_the_report_says_so(check):
    _, out, _ = check(ISOLATED, "--isolated", "--budget=none", "--jobs=2")
    assert "complete: every schedule that matters" in out
    assert "note: one of 2 processes did dpor, as it cannot be shared; the others took random samples\n" in out


# --- a process of its own: terminal, signals, replay


def run(*words, **options):
    command = [sys.executable, "-m", "pyos", "check", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)


def debugged(program, *commands):
    """What pdb answers to commands, at the failing step."""
    result = run("--pdb", program, input="".join(f"{command}\n" for command in commands))
    assert result.returncode == 1
    return result.stdout.partition("to see it again:")[2].splitlines()[2:]


def test_pdb_is_post_mortem_of_an_error(write):
    program = write(
        "def sub(x):\n    yield\n    y = x + 1\n    raise ValueError(y)\ndef main():\n    z = 5\n    yield sub(z)\n"
    )
    told = "\n".join(debugged(program, "p y", "up", "p z", "q"))
    assert "program.py(4)sub()\n-> raise ValueError(y)\n(pyos) 6\n(pyos) > " in told
    assert "program.py(7)main()\n-> yield sub(z)\n(pyos) 5\n" in told


def test_pdb_is_in_the_failing_tasks_frames_and_can_go_to_another(write):
    program = write("""
        from pyos import Lock

        def take(name, first, second):
            yield first.acquire()
            yield from then(second)
            yield first.release()

        def then(lock):
            yield lock.acquire()
            yield lock.release()

        def main():
            print("main is running")
            a, b = Lock("a"), Lock("b")
            return [take("one", a, b), take("two", b, a)]
    """)
    told = "\n".join(debugged(program, "w", "p lock", "up", "p name", "task 2", "up", "p name", "task 7", "q"))
    assert "main is running" in told  # what the program prints is shown here
    assert "-> yield from then(second)\n> " in told
    assert "(pyos) <Lock 'b'>\n" in told
    assert "(pyos) 'one'\n" in told
    assert "(pyos) 'two'\n" in told
    assert "there is no living task '7': 1 (take), 2 (take)" in told


def test_pdb_says_when_no_task_is_left(write):
    assert debugged(write(RACY), "q") == ["no task is left to look at"]


def on_a_terminal(*words, **variables):
    """What is printed when standard output is a terminal."""
    master, slave = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | variables
    command = [sys.executable, "-m", "pyos", "check", *words]
    process = subprocess.Popen(command, stdout=slave, stderr=slave, stdin=slave, env=environment)
    os.close(slave)
    chunks = []
    while True:
        try:
            chunk = os.read(master, 65536)
        except OSError:
            break
        if not chunk:
            break
        chunks.append(chunk)
    os.close(master)
    assert process.wait(timeout=60) == 1
    return b"".join(chunks).decode()


def test_colours_are_for_terminals_and_no_color_is_honoured(write):
    program = write(RACY)
    assert "\033[31m" in on_a_terminal(program)
    assert "\033" not in on_a_terminal(program, NO_COLOR="1")
    assert "\033" not in run(program).stdout


def test_what_the_terminal_cannot_show_is_escaped(write):
    program = write("def main():\n    yield\n    raise ValueError('caf\\u00e9 \\U0001f600')\n")
    result = run(program, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert result.returncode == 1
    assert "caf\\xe9 \\U0001f600" in result.stdout


def test_a_step_that_never_ends_is_named_at_the_second_interrupt(write):
    program = write("""
        import sys

        def main():
            yield
            print("in the loop", file=sys.stderr, flush=True)
            while True:
                pass
    """)
    command = [sys.executable, "-m", "pyos", "check", program]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr.readline() == "in the loop\n"
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.2)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert re.fullmatch(r"pyos: interrupted in the middle of a step, at program.py:[78]\n", err)


def test_what_the_program_writes_to_its_output_itself_is_not_shown_either(check):
    text = "import sys\ndef main():\n    sys.stdout.buffer.write(b'raw')\n    sys.stdout.write('text')\n    yield\n"
    code, out, _ = check(text)
    assert code == 0
    assert "raw" not in out
    assert "text" not in out


def test_an_interrupt_ends_the_check_with_its_report(write):
    command = [sys.executable, "-m", "pyos", "check", "--budget=none", write(ENDLESS)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert "schedules, " in process.stderr.readline()  # it is on its way
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert re.match(r"program.py: \d+ schedules by portfolio, not complete: interrupted; nothing found", out)


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(("text", "code"), [(RACY, 1), (TURNS, 0)])
def test_a_report_whose_reader_has_gone_has_the_same_exit_code(write, text, code, unbuffered):
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "pyos", "check", write(text)]
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, env=environment, timeout=100, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (code, b"")


def test_progress_and_warnings_that_nobody_reads_disturb_no_check(write):
    reader, writer = os.pipe()
    os.close(reader)
    code = (
        "import sys, pyos.cli\nfrom pyos.check import command\n"
        "command.QUIET = command.PROGRESS = 0\n"
        "sys.exit(pyos.cli.main())"
    )
    command = [
        sys.executable,
        "-c",
        code,
        "check",
        "--budget=600",
        write(ENDLESS.replace("main()", "main(*argv)")),
        "--seed=1",
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=writer, timeout=100, check=False, text=True)
    os.close(writer)
    assert "600 schedules" in done.stdout
    assert done.returncode == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_report_that_cannot_be_written_is_one_line_and_2(write):
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "pyos", "check", write(RACY)]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, timeout=100, check=False, text=True)
    assert done.returncode == 2
    assert done.stderr == "pyos: cannot write to standard output: No space left on device\n"


# --- odd programs


def test_an_error_of_a_class_of_the_programs_own_is_the_same_in_each_run(check):
    text = """
        class Mine(Exception):
            pass

        def main():
            def fails():
                yield
                raise Mine("own")

            return [fails(), fails()]
    """
    code, out, _ = check(text, "--keep-going")
    assert code == 1
    assert out.count("raised Mine: own\n") == 1
    assert "complete: every schedule that matters; 1 failure found" in out


@pytest.mark.parametrize("options", [[], ["--jobs=2"]])
def test_a_main_that_fails_when_it_is_called_again_is_2_with_its_traceback(check, options):
    text = """
        import json

        def main():
            json.calls = getattr(json, "calls", 0) + 1
            if json.calls > 3:
                del json.calls
                raise RuntimeError("again")
            return [work(), work()]

        def work():
            yield
    """
    try:
        code, out, err = check(text, *options)
    finally:
        vars(json).pop("calls", None)  # of this process: with several, it is another that has failed
    assert (code, out) == (2, "")
    assert re.match(r'Traceback .*\n  File "\S*program.py", line 8, in main\n', err)
    told = "main was called before, and now it raised RuntimeError: again"
    assert err.endswith(f"\nRuntimeError: again\npyos: cannot check program.py: {told}\n")


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ("t = work(); return [t, t]", "the same generator is twice in the list of tasks"),
        ("t = work(); next(t); return [t]", "work has started already: it is no new task"),
        ("return [1]", "a task is a generator or coroutine object, not int"),
        ("return 1", "a program is a generator, or a function that returns a list of them, not 1"),
    ],
)
def test_tasks_that_are_none_are_named_in_one_line(check, made, message):
    code, _, err = check(f"def work():\n    yield\n\ndef main():\n    {made}\n")
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


def test_a_list_without_tasks_has_one_schedule(check):
    code, out, _ = check("def main():\n    return []\n")
    assert code == 0
    assert "1 schedule by portfolio, complete" in out


def test_an_error_with_a_huge_message_is_told_in_short_and_soon(check):
    text = """
        def main():
            yield
            raise ValueError("x" * 10_000_000)
    """
    code, out, _ = check(text)
    assert code == 1
    assert len(out) < 10_000
    assert "... (10,000,000 characters)" in out


def test_what_a_terminal_would_obey_is_escaped(check):
    _, out, _ = check("def main():\n    yield\n    raise ValueError('\\x1b[2J \\x07 \\x9b')\n")
    assert r"ValueError: \x1b[2J \x07 \x9b" in out
    assert not set(out) & set("\x1b\x07\x9b")


def test_options_are_not_abbreviated(check):
    code, _, err = check(FAMILY, "--bud=3")
    assert code == 2
    assert "--bud=3" in err


def test_notes_fit_100_columns(check):
    out = check(ISOLATED, "--budget=50")[1]
    assert "note: " in out
    assert max(map(len, out.splitlines())) <= 100


@pytest.mark.parametrize(("kind", "shown"), [("enum.Enum", "<C.RED: 1>"), ("", "<userland.program.C object>")])
def test_outcomes_of_a_class_of_the_programs_own_are_counted_together(check, kind, shown):
    text = f"""
        import enum

        class C({kind}):
            RED = 1

        def main():
            order = []

            def work(name):
                yield
                order.append(name)

            return [work("a"), work("b")], lambda: "first" if order[0] == "a" else {"C.RED" if kind else "C()"}
    """
    _, out, _ = check(text)
    counted = re.findall(r"^ +(\d+) x (.*)$", out, re.M)
    assert sorted(name for _, name in counted) == sorted(["first", shown])
    assert sum(int(count) for count, _ in counted) == int(re.search(r"(\d+) schedules", out)[1])


# --- exact counts, as pyos.check has them (test_exact_counts.py)

COUNTED = """
    from pyos import Cell, Lock, NewTask, WaitTask

    def yields(n):
        for _ in range(n):
            yield

    def main(what, *numbers):
        return globals()[what](*map(int, numbers))

    def yielders(*counts):
        return [yields(n) for n in counts]

    def racy_variable():
        value = [0]

        def increment():
            read = value[0]
            yield
            value[0] = read + 1

        return [increment(), increment()], lambda: value[0]

    def racy_cell():
        cell = Cell(0)

        def increment():
            yield cell.store((yield cell.load()) + 1)

        return [increment(), increment()]

    def locked():
        lock = Lock()

        def locks():
            yield lock.acquire()
            yield
            yield lock.release()

        return [locks(), locks()]

    def family():
        first = yield NewTask(yields(0))
        second = yield NewTask(yields(0))
        yield WaitTask(first)
        yield WaitTask(second)

    def writers(n):
        cell = Cell(0)

        def write(value):
            yield cell.store(value)

        return [write(i) for i in range(n)]

    def writer_and_readers(n):
        cells = tuple(Cell(0) for _ in range(n))

        def write():
            for cell in cells:
                yield cell.store(1)

        def read(cell):
            yield cell.load()

        return [write(), *(read(cell) for cell in cells)]
"""
ALL = {  # words -> schedules under dfs, and under dpor with --isolated
    "yielders 1 1": (6, 1),
    "yielders 2 2": (20, 1),
    "yielders 4 4": (252, 1),
    "yielders 1 1 1": (90, 1),
    "yielders 1 2 3": (1260, 1),
    "racy_variable": (6, None),
    "racy_cell": (20, 4),
    "locked": (26, 4),
    "family": (11, None),
    "writers 4": (None, 24),
    "writer_and_readers 5": (None, 32),
}


@pytest.mark.parametrize(("words", "counts"), ALL.items(), ids=ALL)
def test_the_command_runs_exactly_so_many_schedules(check, words, counts):
    for options, count in zip((["--strategy=dfs"], ["--strategy=dpor", "--isolated"]), counts):
        if count is not None:
            code, out, _ = check(COUNTED, "--budget=none", *options, args=words.split())
            assert code == 0
            assert re.match(rf"program\.py: {count} schedules? by \w+, complete", out)
            if words == "racy_variable":
                assert re.findall(r"^ +(\d) x (\d)$", out, re.M) == [("4", "1"), ("2", "2")]
