"""The small programs of userland/bin, run inside pyos."""

import pytest

from pyos import Exec, GetTime, ProgramError, WaitTask
from tests.userland.conftest import USERLAND


def test_hello_greets_and_says_which_task_does(execute):
    status, out, err = execute("bin/hello.py")
    assert (status.value, out, err) == (None, "Hello, world, from task 2!\n", "")
    assert execute("bin/hello.py", "Ada")[1] == "Hello, Ada, from task 2!\n"


def test_countdown_counts_down_once_a_second(execute):
    status, out, _ = execute("bin/countdown.py", "3")
    assert (status.value, out) == (None, "T-minus 3\nT-minus 2\nT-minus 1\nLiftoff!\n")
    assert execute("bin/countdown.py", "0")[1] == "Liftoff!\n"
    assert execute("bin/countdown.py")[1].startswith("T-minus 10\nT-minus 9\n")


@pytest.mark.parametrize(
    ("path", "argv", "seconds"),
    [
        ("bin/countdown.py", ("3",), 3),
        ("bin/countdown.py", ("4", "0.5"), 2),
        ("bin/sleep.py", ("0.25",), 0.25),
        ("bin/sleep.py", ("0",), 0),
    ],
)
def test_how_long_a_program_takes(run, path, argv, seconds):
    def init():
        start = yield GetTime()
        assert (yield WaitTask((yield Exec(path, *argv)))).ok
        return (yield GetTime()) - start

    assert run(init(), home=USERLAND).value == pytest.approx(seconds)


@pytest.mark.parametrize("path", ["bin/sleep.py", "bin/countdown.py"])
def test_what_is_no_number_is_the_programs_own_error(execute, path):
    status, _, err = execute(path, "soon")
    assert isinstance(status.error, ValueError)
    assert err == ""


def test_sleep_wants_to_know_how_long(run):
    def init():
        with pytest.raises(ProgramError, match=r"bin/sleep.py .* usage: main\(seconds\)$"):
            yield Exec("bin/sleep.py")
        return "said"

    assert run(init(), home=USERLAND).value == "said"
