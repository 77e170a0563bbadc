"""The watchdog on its real timer: hogs of every kind are found, and the process's alarm is left as it was."""

import re
import signal
import socket
import threading
import time

import pytest

import pyos
from pyos import Limits, NewTask, ReadWait, SliceExceeded, WaitTask
from pyos.kernel.clock import usage
from pyos.kernel.watchdog import INTERVAL
from tests.kernel.programs import fails
from tests.system import pyos as command


def alarm():
    """What can be seen of the timer and its handler from outside."""
    return signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)


QUIET = (signal.SIG_DFL, (0.0, 0.0))


def spins():
    while True:
        pass


def sleeps_in_c():
    while True:
        time.sleep(1000)


def matches():
    while True:
        re.match(r"(a+)+$", "a" * 40 + "b")


def multiplies():
    number = 3**10_000
    while True:
        number * number


def sums():
    while True:
        sum(range(1_000_000))


@pytest.mark.parametrize("work", [spins, sleeps_in_c, matches, multiplies, sums])
def test_every_kind_of_hog_is_named_and_ended(work, capfd):
    def hog():
        yield
        work()

    def main():
        return type((yield WaitTask((yield NewTask(hog())))).error)

    assert pyos.run(main(), limits=Limits(max_slice=0.2)) is SliceExceeded
    said = capfd.readouterr().err
    assert f"pyos: task 2 (hog) at {__file__}:{hog.__code__.co_firstlineno + 2} " in said
    assert alarm() == QUIET


def test_a_thread_is_told_what_processor_time_it_has_used():
    used, starved = usage()
    while time.thread_time() < used + 0.05:
        pass
    later, starved_later = usage()
    assert 0.05 <= later - used < time.thread_time()
    assert 0 <= starved <= starved_later


def test_in_run_there_is_no_timer_without_max_slice():
    def main():
        yield
        return alarm()

    assert pyos.run(main()) == QUIET
    assert pyos.run(main(), limits=Limits(max_tasks=10)) == QUIET
    assert pyos.run(main(), limits=Limits(max_slice=10)) != QUIET
    assert alarm() == QUIET


def test_boot_watches_without_being_asked(tmp_path):
    path = tmp_path / "hog.py"
    path.write_text(
        "import signal, sys\n"
        "class Err:\n"
        "    def write(self, text): err.write(text); self.said = True\n"
        "    def flush(self): err.flush()\n"
        "def main():\n"
        "    global err\n"
        "    yield\n"
        "    err, sys.stderr = sys.stderr, Err()\n"
        "    sys.stderr.said = False\n"
        "    while not sys.stderr.said: pass\n"
    )
    done = command("boot", path)
    assert done.returncode == 0
    assert done.stderr.startswith(f"pyos: task 1 (hog) at {path}:10 main has not let others run for 0.")


def test_while_the_poller_blocks_the_timer_is_off_and_then_it_is_on_again():
    """The kernel is woken once it is off: if it were left on, this test would not end."""
    left, right = socket.socketpair()

    def wake():
        while signal.getitimer(signal.ITIMER_REAL)[1]:
            threading.Event().wait(0.001)
        right.send(b"!")

    def main():
        before = alarm()
        thread = threading.Thread(target=wake)
        thread.start()
        yield ReadWait(left)
        thread.join()
        assert alarm() == (before[0], (pytest.approx(INTERVAL, abs=INTERVAL), pytest.approx(INTERVAL)))
        try:
            spins()
        except SliceExceeded:
            return "found"

    with left, right:
        assert pyos.run(main(), limits=Limits(max_slice=0.1)) == "found"


@pytest.mark.parametrize(
    ("handler", "timer", "user"),
    [(lambda number, frame: None, 0, "<lambda>"), (signal.SIG_IGN, 1000, "a timer"), (print, 1000, "print")],
)
def test_it_declines_in_one_line_if_sigalrm_is_taken(handler, timer, user, capfd):
    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, timer)
    try:
        before = alarm()[0]

        def main():
            yield
            return alarm()[0]

        assert pyos.run(main(), limits=Limits(max_slice=0.1)) is before is handler
        assert (signal.getitimer(signal.ITIMER_REAL)[0] > 0) == (timer > 0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    said = capfd.readouterr().err
    assert re.fullmatch(
        rf"pyos: no watchdog: SIGALRM is taken by .*{user}, so that nobody is held to a max_slice\n", said
    )


def test_handler_and_timer_are_as_before_whatever_happens():
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    try:
        with pytest.raises(KeyError):
            pyos.run(fails(KeyError()), limits=Limits(max_slice=1))
        assert alarm() == (signal.SIG_IGN, (0.0, 0.0))
    finally:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


def test_outside_the_main_thread_it_does_nothing():
    results = []

    def main():
        yield
        return alarm()

    thread = threading.Thread(target=lambda: results.append(pyos.run(main(), limits=Limits(max_slice=1))))
    thread.start()
    thread.join()
    assert results == [QUIET]


CANNOT_BE_STOPPED = """
from pyos import *

def service():
    try:
        yield Sleep(1000)
    finally:
        print("service cleaned up", end="")

def main():
    yield NewTask(service())
    yield
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
"""


def test_the_process_of_a_task_that_cannot_be_stopped_ends_with_1_and_its_output_is_written(tmp_path):
    path = tmp_path / "mad.py"
    path.write_text(CANNOT_BE_STOPPED)
    done = command("boot", "--max-slice", "0.1", path)
    assert (done.returncode, done.stdout) == (1, "service cleaned up")
    assert done.stderr.splitlines()[-1].startswith(f"pyos: task 1 (mad) at {path}:")
    assert " has swallowed SliceExceeded 5 times and cannot be stopped" in done.stderr
