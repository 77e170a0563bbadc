"""Part 8: the trampoline, and what is wrong with the kernel of the last stage but not with pyos."""

import re
import resource

import pytest

from tests.course.running import PLAIN, load, output, run_program

TRAMPOLINE = "part8_stack/trampoline.py"
DEFECTS = "part8_stack/defects.py"

# name: what the program finds in stage 8, and in pyos
FOUND = {
    "kill_in_a_subroutine": ("the subroutine is closed; the caller runs on", "the subroutine is closed"),
    "error_in_a_subroutine": (
        "the system dies of ValueError: from a subroutine",
        "the caller catches ValueError: from a subroutine",
    ),
    "error_in_a_task": (
        "the system dies of ValueError: from a task",
        "the others run on, and are told of ValueError.'from a task'.",
    ),
    "bad_argument": ("the system dies of AttributeError: .*", "the caller catches TypeError: .* not int"),
    "closed_file": ("the system dies of ValueError: .*", "the caller catches OSError.9, 'Bad file descriptor.*"),
    "reset_connection": (
        "the system dies of ConnectionResetError: .*",
        r"the next client gets b'hello'; task \d+ \(echo\) died of an uncaught ConnectionResetError",
    ),
    "kill_while_waiting": ("2 tasks wait for ever", "the killed task is gone"),
    "two_readers": ("the second wakes; 2 tasks wait for ever", "the first wakes; the second wakes"),
    "bare_yield": ("a bare yield delivers 2", "a bare yield delivers None"),
    "wait_for_oneself": ("1 task waits for ever", "the caller catches ValueError: task 1 would wait for itself"),
    "deadlock": (
        "2 tasks wait for ever",
        "Deadlock: nothing can ever run again: a cycle: 1 -> 2 -> 1; .* wait for each other",
    ),
    "exit_value": ("waiting answers True", r"waiting answers ExitStatus\(.*value=42, .*"),
    "many_descriptors": ("the system dies of ValueError: .*select.*", r"descriptor \d{4,} is readable"),
    "never_ends": ("the system polls for ever, for nobody", "the system has ended"),
}


@pytest.fixture(scope="module")
def reports():
    """What the program says of each defect: its title, stage 8, pyos."""
    found = re.findall(r"^(\w+): (.*)\n    stage 8: (.*)\n    pyos:    (.*)$", output(DEFECTS), re.MULTILINE)
    return {name: lines for name, *lines in found}


@pytest.mark.parametrize("name", FOUND)
def test_a_defect_shows_in_stage_8_and_not_in_pyos(reports, name):
    if name == "many_descriptors" and resource.getrlimit(resource.RLIMIT_NOFILE)[1] <= 1024:
        pytest.skip("this system allows no descriptor above 1023")
    title, stage_8, pyos = reports[name]
    assert title.endswith(".")
    assert re.fullmatch(FOUND[name][0], stage_8)
    assert re.fullmatch(FOUND[name][1], pyos)


def test_every_defect_is_tested(reports):
    assert list(reports) == list(FOUND)


def test_one_defect_can_be_chosen_and_an_unknown_one_is_one_line():
    assert re.findall(r"^\w+", output(DEFECTS, "bare_yield"), re.MULTILINE) == ["bare_yield"]
    refused = run_program(DEFECTS, "bare_yield", "nonsense")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == "defects: error: there is no defect nonsense (see --help)\n"
    assert "trampoline.py" in output(DEFECTS, "--help")


def test_the_trampoline_shows_calls_that_wait_and_how_deep_they_go():
    lines = [line.strip() for line in output(TRAMPOLINE).splitlines()]
    assert "a plain call, add(2, 3), gives a generator, and nothing has run" in lines
    assert [line for line in lines if line.startswith("the system sees")] == [
        "the system sees: add(2, 3) waits",
        "the system sees: add(10, 20) waits",
        "the system sees: add(5, 30) waits",
    ]
    assert "and calls nest: 35" in lines
    assert lines[-2:] == ["deep: 100,000 levels", "deep_from: RecursionError"]
    assert output(TRAMPOLINE, by=PLAIN) == output(TRAMPOLINE)
    assert "Part 8" in output(TRAMPOLINE, "--help")
    assert run_program(TRAMPOLINE, "x").returncode == 2


def test_a_trampolined_program_gets_what_its_subroutine_returns():
    trampoline = load(TRAMPOLINE).trampoline

    def leaf(x):
        return (yield x) + 1

    def program():
        return (yield leaf(1)), (yield leaf(2))

    running = trampoline(program())
    assert running.send(None) == 1
    assert running.send(10) == 2
    with pytest.raises(StopIteration) as end:
        running.send(20)
    assert end.value.value == (11, 21)
