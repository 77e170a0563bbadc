"""The watchdog: who holds the machine is named, and held to its max_slice; nobody else is ever hit.

Most tests have no timer: time is a number, and a task that `passes` some of it is found there by the tick, as if the
signal had come at that line. The real timer is in test_watchdog_timer.py.
"""

import gc
import io
import re
import signal
import socket
import sys
import traceback
import weakref

import pytest

import pyos
from pyos import (
    CONT,
    INT,
    KILL,
    STOP,
    Channel,
    Exec,
    GetTid,
    KillTask,
    Limits,
    NewTask,
    ReadWait,
    Sleep,
    SliceExceeded,
    TaskInfo,
    TaskKilled,
    Tasks,
    TaskTimeout,
    Timeout,
    WaitTask,
)
from pyos.kernel import running
from pyos.kernel.watchdog import INTERVAL, Watchdog
from pyos.lib.ps import table
from pyos.observe.debug import Unyielded
from pyos.observe.strace import Strace
from tests.conftest import drive
from tests.kernel.programs import fails, outcome, sleeps, yields


class Watched:
    """A kernel with a watchdog, and the time that its ticks go by."""

    def __init__(self, kernel):
        self.kernel = kernel
        self.now = self.used = self.starved = 0.0
        self.dog = Watchdog(kernel, now=lambda: self.now, usage=lambda: (self.used, self.starved))

    def passes(self, seconds, every=INTERVAL):
        """Time passes while the caller runs; the timer ticks meanwhile."""
        frame = sys._getframe(1)
        end = self.now + seconds - 1e-9
        while self.now < end:
            self.now += every
            self.used += every
            self.dog.on_alarm(signal.SIGALRM, frame)

    def one_call(self, seconds, uses=True, starves=False):
        """Time passes in a call of C code: the tick that came due in it is seen when it is over."""
        frame = sys._getframe(1)
        self.now += seconds
        self.used += seconds * uses
        self.starved += seconds * starves
        self.dog.on_alarm(signal.SIGALRM, frame)


@pytest.fixture
def watch(make_kernel):
    """Build a watched kernel with these options."""
    return lambda **options: Watched(make_kernel(**options))


@pytest.fixture(params=["run", "step"])
def through(request):
    """Run a program as init of a watched kernel, in production's loop and step by step."""

    def run(watched, target):
        watched.kernel.spawn(target)
        if request.param == "run":
            watched.kernel.run()
        else:
            drive(watched.kernel)
        return watched.kernel.init_status

    return run


def line_number(function, offset):
    """Of a line of a function, counted from its `def`."""
    return function.__code__.co_firstlineno + offset


# --- naming


def test_a_task_that_holds_the_machine_is_named_with_file_and_line_while_it_runs(watch, through, log):
    watched = watch()
    seen = []

    def hog():
        yield
        work()
        seen.extend(log)

    def work():
        watched.passes(0.2)

    def main():
        yield WaitTask((yield NewTask(hog(), name="piggy")))

    assert through(watched, main()).ok
    where = (
        f"{__file__}:{line_number(hog, 2)} {hog.__qualname__}, in {__file__}:{line_number(work, 1)} {work.__qualname__}"
    )
    assert seen == log == [f"task 2 (piggy) at {where} has not let others run for 0.1 s"]


def test_it_is_named_once_a_slice(watch, through, log):
    watched = watch()

    def main():
        for _ in range(3):
            watched.passes(5)
            yield Sleep(1)

    through(watched, main())
    assert len(log) == 3


def test_tasks_that_share_the_machine_are_not_named(watch, log):
    watched = watch()

    def fair():
        for _ in range(100):
            watched.passes(0.05)
            yield

    def main():
        for _ in range(3):
            yield NewTask(fair())
        while (yield WaitTask()):
            pass

    watched.kernel.spawn(main())
    watched.kernel.run()
    assert log == []


def test_a_lonely_task_that_yields_is_not_named(watch, log):
    """Nobody else is ready, and yet each resume is a slice of its own."""
    watched = watch()

    def main():
        for _ in range(200):
            watched.passes(0.05)
            yield

    watched.kernel.spawn(main())
    watched.kernel.run()
    assert log == []


def test_traps_answered_at_once_do_not_hide_a_hog(watch, log):
    """It yields all the time, and nobody else runs."""
    watched = watch()

    def main():
        for _ in range(30):
            watched.passes(0.05)
            yield GetTid()

    watched.kernel.spawn(main())
    watched.kernel.run()
    assert len(log) == 1


# --- cutting turns short


def test_tasks_that_take_long_steps_do_not_keep_io_waiting_for_a_whole_turn(watch, log):
    watched = watch()
    steps = []

    def slow():
        for _ in range(300):
            watched.passes(0.05)
            steps.append(watched.now)
            yield

    def main():
        reader, writer = socket.socketpair()
        with reader, writer:
            yield NewTask(slow())
            writer.send(b"x")
            yield ReadWait(reader)
            return len(steps)

    watched.kernel.spawn(main())
    assert watched.kernel.run().value <= 4
    assert log == []


def test_every_task_has_its_turn_when_turns_are_cut_short(watch):
    watched = watch()
    order = []

    def slow(n):
        for _ in range(5):
            watched.passes(0.05)
            order.append(n)
            yield

    def main():
        for n in range(60):
            yield NewTask(slow(n))
        while (yield WaitTask()):
            pass

    watched.kernel.spawn(main())
    watched.kernel.run()
    assert order == [*range(60)] * 5


def test_a_hog_in_a_turn_that_is_cut_short_again_and_again_is_named_once(watch, log):
    """Each tick cuts the turn, and the slice is still known for the same."""
    watched = watch()

    def main():
        watched.passes(1.0)
        yield

    watched.kernel.spawn(main())
    watched.kernel.run()
    assert len(log) == 1


def test_a_short_turn_is_not_cut(watch):
    watched = watch()
    turns = []
    turn = watched.kernel.scheduler.turn
    watched.kernel.scheduler.turn = lambda *args: (turns.append(1), turn(*args))

    def main():
        for n in range(640):
            if n % 128 == 5:
                watched.passes(0.05)
            yield

    watched.kernel.spawn(main())
    watched.kernel.run()
    assert len(turns) == 640 // 64 + 1


def test_a_hog_is_held_to_its_slice_also_when_its_turn_has_been_cut(watch, log):
    watched = watch(limits=Limits(max_slice=1.0))

    def main():
        yield
        try:
            watched.passes(5)
        except SliceExceeded:
            return watched.now

    watched.kernel.spawn(main())
    assert watched.kernel.run().value == pytest.approx(1.0 + INTERVAL)
    assert len(log) == 1


def test_a_second_interrupt_finds_the_same_step_also_when_the_turn_has_been_cut_meanwhile(watch):
    watched = watch()
    insistence = running.Insistence(watched.kernel)

    def main():
        yield
        frame = sys._getframe()
        insistence.signalled(frame)
        watched.passes(0.2)
        with pytest.raises(TaskKilled):
            insistence.signalled(frame)
        yield

    watched.kernel.spawn(main())
    watched.kernel.run()


@pytest.mark.parametrize("uses", [True, False])
def test_one_long_call_is_reported_when_it_is_over(watch, through, log, uses):
    """Be it one that computes, or one that waits for something."""
    watched = watch()

    def main():
        yield
        watched.passes(0.04)
        watched.one_call(3, uses)

    through(watched, main())
    assert len(log) == 1
    assert f"task 1 (main) at {__file__}:{line_number(main, 3)} " in log[0]
    assert log[0].endswith(" has held up all others for 3 s, in a call that cannot be interrupted")


def test_time_that_other_processes_had_is_nobodys(watch, through, log):
    """It was ready, and did not get its turn."""
    watched = watch(limits=Limits(max_slice=0.1))

    def main():
        yield
        for _ in range(10):
            watched.one_call(10, uses=False, starves=True)
        return "innocent"

    assert through(watched, main()).value == "innocent"
    assert log == []


def test_a_handler_that_takes_long_is_its_tasks(watch, through, log):
    """User code that the kernel calls: the task is named, and waits at its yield."""
    watched = watch(limits=Limits(max_slice=1.0))

    class Slow:
        def fileno(self):
            watched.passes(10)
            return -1

    def main():
        return type((yield outcome(ReadWait(Slow()))))

    assert through(watched, main()).value is OSError
    assert len(log) == 1
    assert log[0].startswith("task 1 (main) at ")


def test_nobody_is_named_between_the_turns(watch, log):
    watched = watch()
    watched.kernel.spawn(yields(3))
    watched.kernel.post(lambda: watched.passes(1))
    watched.kernel.run()
    assert log == []


# --- SliceExceeded


def test_past_max_slice_sliceexceeded_is_raised_in_the_task_and_the_others_go_on(watch, through, log):
    watched = watch(limits=Limits(max_slice=0.5))

    def sub():
        try:
            while True:
                watched.passes(0.05)
        finally:
            times.append(watched.now)
        yield

    def hog():
        yield
        yield sub()

    times = []

    def main():
        tid = yield NewTask(hog())
        status = yield WaitTask(tid)
        return status.error, (yield GetTid())

    error, tid = through(watched, main()).value
    assert (type(error), error.seconds, tid) == (SliceExceeded, 0.5, 1)
    assert 0.5 <= times[0] <= 0.6 + 1e-6
    assert [frame.name for frame in traceback.extract_tb(error.__traceback__)][:2] == ["hog", "sub"]


def test_the_traceback_of_sliceexceeded_shows_userland_alone(watch, through, log):
    watched = watch(limits=Limits(max_slice=0.1))

    def hog():
        yield
        watched.passes(1)

    def main():
        yield NewTask(hog())
        yield Sleep(1)

    through(watched, main())
    assert log[-1].startswith("task 2 (hog) died of an uncaught SliceExceeded\nTraceback")
    assert log[-1].endswith("pyos.errors.SliceExceeded: the task did not let others run for 0.1 s")
    assert "/pyos/" not in log[-1]


def test_without_a_limit_it_is_only_named(watch, through, log):
    watched = watch()

    def main():
        yield
        watched.passes(1000)
        return "done"

    assert through(watched, main()).value == "done"
    assert len(log) == 1


@pytest.mark.parametrize(
    ("system", "own", "limit"),
    [(None, 0.5, 0.5), (2.0, None, 2.0), (2.0, 0.5, 0.5), (0.5, 2.0, 0.5)],
)
def test_the_limit_is_the_systems_or_the_tasks_own_whichever_is_less(watch, through, system, own, limit):
    watched = watch(limits=Limits(max_slice=system))

    def hog():
        yield
        try:
            watched.passes(100)
        except SliceExceeded as error:
            return error.seconds

    def parent():  # limits are inherited
        return (yield WaitTask((yield NewTask(hog())))).value

    def main():
        return (yield WaitTask((yield NewTask(parent(), limits=Limits(max_slice=own))))).value

    assert through(watched, main()).value == limit


def test_clean_up_has_as_long_again(watch, through):
    watched = watch(limits=Limits(max_slice=0.5))

    def main():
        yield
        try:
            watched.passes(100)
        except SliceExceeded:
            begin = watched.now
            watched.passes(0.45)
            try:
                watched.passes(100)
            except SliceExceeded:
                return round(watched.now - begin, 2)

    assert through(watched, main()).value == 0.5


def test_one_long_call_past_the_limit_gets_sliceexceeded_when_it_is_over(watch, through):
    watched = watch(limits=Limits(max_slice=1.0))

    def main():
        yield
        try:
            watched.one_call(3)
        except SliceExceeded:
            return "late"

    assert through(watched, main()).value == "late"


def test_a_task_that_is_past_its_limit_in_a_handler_gets_it_in_its_own_code(watch, through):
    watched = watch(limits=Limits(max_slice=1.0))

    class Slow:
        def fileno(self):
            watched.passes(10)
            return -1

    def main():
        answer = yield outcome(ReadWait(Slow()))
        try:
            watched.passes(0.05)
        except SliceExceeded:
            return type(answer)

    watched.kernel.spawn(main())
    watched.kernel.run()
    assert watched.kernel.init_status.value is OSError


def test_clean_up_that_hogs_while_its_task_is_killed_is_interrupted(watch, through, log):
    watched = watch(limits=Limits(max_slice=0.5))
    closed = []

    def victim():
        try:
            yield Sleep(10)
        finally:
            watched.passes(100)

    def outer():
        try:
            yield victim()
        finally:
            closed.append("outer")

    def main():
        tid = yield NewTask(outer())
        yield
        yield KillTask(tid, KILL)
        return (yield WaitTask(tid)).signal

    assert through(watched, main()).value is KILL
    assert closed == ["outer"]
    assert log[0].startswith("task 2 (outer) at ")
    assert "victim: its clean-up raised SliceExceeded(" in log[1]


def test_a_program_that_hogs_while_it_is_loaded_is_its_callers_error(tmp_path):
    path = tmp_path / "program.py"
    path.write_text("while True: pass\ndef main():\n    yield\n")

    def main():
        try:
            yield Exec(str(path))
        except SliceExceeded:
            return "refused"

    assert pyos.run(main(), limits=Limits(max_slice=0.1)) == "refused"


def test_nothing_of_a_task_ended_by_sliceexceeded_stays_alive(watch):
    """Its error's traceback must not lead back to the error."""
    watched = watch(limits=Limits(max_slice=0.1))

    class Local:
        pass

    def hog():
        local = Local()
        refs.append(weakref.ref(local))
        yield
        watched.passes(1)

    refs = []

    def main():
        status = yield WaitTask((yield NewTask(hog())))
        assert type(status.error) is SliceExceeded
        assert refs[0]() is not None
        del status
        yield
        return refs[0]()

    gc.disable()
    try:
        watched.kernel.spawn(main())
        watched.kernel.run()
        assert watched.kernel.init_status.value is None
    finally:
        gc.enable()


def test_sliceexceeded_is_freed_once_it_has_been_caught(watch, through):
    """The handler that raised it is in its traceback, and must not keep it."""
    watched = watch(limits=Limits(max_slice=0.1))

    def main():
        yield
        try:
            watched.passes(1)
        except SliceExceeded as error:
            ref = weakref.ref(error)
        return ref()

    gc.disable()
    try:
        assert through(watched, main()).value is None
    finally:
        gc.enable()


# --- whatever the task has been through, it is found


def from_a_deep_subroutine(hog):
    def sub(n):
        return (yield sub(n - 1)) if n else (yield from inner())

    def inner():
        yield GetTid()
        return hog()

    return (yield sub(20))


async def from_coroutines(hog):
    async def sub():
        await Sleep(0)
        return hog()

    return await sub()


def with_an_answer(hog):
    tid = yield NewTask(sleeps(1, "answer"))
    assert (yield WaitTask(tid)).value == "answer"
    return hog()


def after_an_error(hog):
    try:
        yield Sleep(-1)
    except ValueError:
        return hog()


def in_the_caller_of_what_failed(hog):
    try:
        yield fails(KeyError())
    except KeyError:
        return hog()


def under_a_timeout(hog):
    def target():
        yield Sleep(0.5)
        return hog()

    return (yield Timeout(5, target()))


def after_a_timeout(hog):
    try:
        yield Timeout(1, Sleep(10))
    except TaskTimeout:
        return hog()


def with_a_signal_held_back(hog):
    channel = Channel()
    tid = yield GetTid()

    def put():
        yield Sleep(1)
        yield channel.put("answer")
        yield KillTask(tid, INT)

    yield NewTask(put())
    try:
        assert (yield channel.get()) == "answer"
        result = hog()
        yield
        return "the interrupt was lost"
    except TaskKilled:
        return result


def after_a_stop(hog):
    def other(tid):
        yield KillTask(tid, STOP)
        yield Sleep(2)
        yield KillTask(tid, CONT)

    yield NewTask(other((yield GetTid())))
    yield Sleep(1)
    return hog()


def after_the_first_hogging(hog):
    assert hog() == "exceeded"
    yield Sleep(1)
    return hog()


SITUATIONS = [
    from_a_deep_subroutine, from_coroutines, with_an_answer, after_an_error, in_the_caller_of_what_failed,
    under_a_timeout, after_a_timeout, with_a_signal_held_back, after_a_stop, after_the_first_hogging,
]  # fmt: skip
WRAPPERS = {
    "plain": lambda: [],
    "strace": lambda: [Strace(lambda line: None).wrap],
    "debug": lambda: [Unyielded(print).wrap],
}


@pytest.mark.parametrize("wrappers", WRAPPERS.values(), ids=list(WRAPPERS))
@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.__name__)
def test_sliceexceeded_hits_the_task_that_runs_whatever_it_has_been_through(watch, through, situation, wrappers, log):
    watched = watch(limits=Limits(max_slice=0.5), wrappers=wrappers())

    def hog():
        begin = watched.now
        try:
            watched.passes(100)
        except SliceExceeded:
            assert watched.now - begin < 0.7
            return "exceeded"

    def main():
        return (yield situation(hog)), (yield GetTid())

    assert through(watched, main()).value == ("exceeded", 1)
    assert all(re.match(r"task 1 \(main\) at .* has not let others run for", line) for line in log), log


# --- processor time


def test_processor_time_is_charged_to_who_has_the_machine_at_a_tick(watch, through):
    watched = watch()

    def hog(seconds):
        yield
        watched.passes(seconds)
        yield Sleep(10)

    def idler():
        yield
        watched.one_call(5, uses=False)
        yield Sleep(10)

    def main():
        for target in (hog(0.5), hog(2), idler()):
            yield NewTask(target)
        yield Sleep(1)
        return [round(info.cpu, 6) for info in (yield Tasks())]

    assert through(watched, main()).value == [0, 0.5, 2, 0]


def test_processor_time_of_the_kernels_own_is_nobodys(watch):
    watched = watch()

    def main():
        yield
        yield
        return sum(info.cpu for info in (yield Tasks()))

    watched.kernel.spawn(main())
    watched.kernel.post(lambda: watched.passes(1))
    watched.kernel.run()
    assert watched.kernel.init_status.value == 0


def test_ps_shows_processor_times_where_there_are_any():
    def info(tid, cpu):
        return TaskInfo(tid, 0, "name", "ready", "", (), "x.py", cpu)

    assert table([info(1, 0.0), info(2, 0.05)]).startswith("TID  PARENT  STATE  WAITING ON  NAME  PROGRAM\n")
    assert table([info(1, 0.0), info(2, 1.234)]) == (
        "TID  PARENT  STATE  CPU   WAITING ON  NAME  PROGRAM\n"
        "1    0       ready  0.00  -           name  x.py\n"
        "2    0       ready  1.23  -           name  x.py\n"
    )


# --- a task that cannot be stopped


class Ended(BaseException):
    """In the place of the end of the process."""


@pytest.fixture
def process_ends(monkeypatch):
    """With which codes the process would have ended."""
    codes = []

    def end(code):
        codes.append(code)
        raise Ended

    monkeypatch.setattr(running, "end_process", end)
    return codes


def test_a_task_that_swallows_it_again_and_again_ends_the_system_and_the_others_are_cleaned_up(
    watch, through, log, process_ends
):
    watched = watch(limits=Limits(max_slice=0.5))
    order = []

    def service(n):
        try:
            yield Sleep(1000)
        finally:
            order.append((n, (yield GetTid())))

    def main():
        for n in "abc":
            yield NewTask(service(n))
        yield
        for swallowed in range(100):
            try:
                watched.passes(100)
            except SliceExceeded:
                continue
            except Ended:
                return swallowed

    assert through(watched, main()).value == 5
    assert order == [("c", 4), ("b", 3), ("a", 2)]
    assert process_ends == [1]
    assert log[-1].startswith(f"task 1 (main) at {__file__}:")
    assert " has swallowed SliceExceeded 5 times and cannot be stopped: the other tasks are killed" in log[-1]


def test_swallowing_it_once_a_slice_is_no_reason_to_end(watch, through, process_ends):
    watched = watch(limits=Limits(max_slice=0.5))

    def main():
        for _ in range(20):
            yield
            try:
                watched.passes(100)
            except SliceExceeded:
                yield Sleep(0)
        return "alive"

    assert through(watched, main()).value == "alive"
    assert process_ends == []


# --- a shutdown that has to wait


@pytest.mark.parametrize("begun", [True, False])
def test_a_task_that_holds_up_a_shutdown_is_killed(watch, through, log, begun):
    watched = watch()

    def hog():
        yield
        if begun:
            try:
                yield Sleep(1000)
            finally:
                watched.passes(100)
        watched.kernel.ending = True  # as SIGTERM does, before the shutdown can begin
        watched.passes(100)

    def main():
        tid = yield NewTask(hog())
        yield Sleep(1)
        if not begun:
            return (yield WaitTask(tid)).signal

    assert through(watched, main()).value is (None if begun else KILL)
    assert 5.0 <= watched.now <= 5.2
    assert len(log) == 2
    assert log[1].startswith(f"task 2 (hog) at {__file__}:")
    assert log[1].endswith(" did not yield within 5 s of shutdown: KILL")


def test_while_the_kernel_waits_the_timer_is_stopped_once_and_set_again_when_a_task_is_ready(watch, monkeypatch):
    """Not when the wait merely ends, as it does with each signal: an idle system would tick for ever."""
    settings = []
    monkeypatch.setattr(signal, "setitimer", lambda which, *seconds: settings.append(seconds))
    left, right = socket.socketpair()
    watched = watch()
    dog = watched.dog
    backend = watched.kernel.readiness.backend
    real_poll = backend.poll
    waits = []

    def poll(timeout):
        if timeout == 0:
            return real_poll(0)
        waits.append(dog.armed)
        if dog.armed and len(waits) < 6:
            dog.on_alarm(signal.SIGALRM, sys._getframe())
        if len(waits) in (4, 6):
            right.send(b"!")
        return real_poll(0)  # as if a signal had rung

    def main():
        for _ in range(2):
            yield ReadWait(left)
            left.recv(1)

    with left, right:
        monkeypatch.setattr(backend, "poll", poll)
        dog.arm()
        watched.kernel.spawn(main())
        watched.kernel.run()
    assert watched.kernel.init_status.ok
    assert waits == [True, True, False, False, True, True]
    assert settings == [(INTERVAL, INTERVAL), (0,), (INTERVAL, INTERVAL)]


def test_a_log_line_from_within_a_write_to_the_log_is_not_lost(watch, capfd):
    """As a signal handler may find it: the task was in the middle of a write to the very same stream."""

    class Pipe(io.RawIOBase):
        def writable(self):
            return True

        def write(self, data):
            watched.passes(1)
            return len(data)

    stream = io.TextIOWrapper(io.BufferedWriter(Pipe()), line_buffering=True)
    watched = watch(log=lambda line: print(line, file=stream, flush=True))

    def main():
        yield
        print("x", file=stream)
        return "unharmed"

    watched.kernel.spawn(main())
    watched.kernel.run()
    assert watched.kernel.init_status.value == "unharmed"
    assert re.fullmatch(r"pyos: task 1 \(main\) at .* has not let others run for 0\.1 s\n", capfd.readouterr().err)
