"""pyos.run, the way in from an ordinary Python program; and the process's signals while a kernel runs."""

import contextlib
import math
import os
import signal
import subprocess
import sys
import threading

import pytest

import pyos
from pyos import (
    Deadlock,
    Exit,
    GetTid,
    GetTime,
    KillTask,
    NewTask,
    Random,
    ReadWait,
    Signal,
    Sleep,
    TaskKilled,
    WaitTask,
)
from pyos.host import HANDLED_SIGNALS, signals_handled
from pyos.kernel.clock import VirtualClock
from pyos.kernel.kernel import Kernel, current_kernel
from pyos.kernel.poller import BACKENDS
from tests.kernel.programs import fails, forever, sleeps, yields
from tests.system import ROOT, environment


@pytest.fixture(autouse=True)
def _handlers_are_as_before():
    """Whatever happens, the process has its signal handlers back."""
    before = [signal.getsignal(number) for number in HANDLED_SIGNALS]
    yield
    assert [signal.getsignal(number) for number in HANDLED_SIGNALS] == before
    assert current_kernel() is None


def signalled(number):
    """Have this process be sent a signal, from inside."""
    os.kill(os.getpid(), number)
    yield Sleep(math.inf)


# --- what comes out


def test_run_returns_inits_value():
    assert pyos.run(yields(3, "value")) == "value"

    async def main():
        return await GetTid()

    assert pyos.run(main()) == 1


def test_exit_and_sys_exit_are_values_too():
    def main(end):
        yield
        yield end()

    assert pyos.run(main(lambda: Exit("value"))) == "value"
    assert pyos.run(main(lambda: sys.exit(4))) == 4


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, GeneratorExit])
def test_run_raises_inits_error_with_its_own_traceback(kind, capfd):
    error = kind("mine")
    with pytest.raises(kind) as caught:
        pyos.run(fails(error))
    assert caught.value is error
    assert caught.traceback[-1].name == "fails"
    assert capfd.readouterr().err == ""  # it has not been logged as well


def test_an_error_of_another_task_is_logged(capfd):
    def main():
        yield NewTask(fails(ValueError("lost otherwise")), name="kid")
        yield Sleep(0)
        return "unharmed"

    assert pyos.run(main()) == "unharmed"
    err = capfd.readouterr().err
    assert err.startswith("pyos: task 2 (kid) died of an uncaught ValueError\nTraceback")
    assert err.endswith("\nValueError: lost otherwise\n")


def test_a_standstill_is_a_deadlock_that_says_who_waits_for_what():
    def child(parent):
        yield WaitTask(parent)

    def main():
        yield WaitTask((yield NewTask(child((yield GetTid())), name="kid")))

    with pytest.raises(Deadlock) as caught:
        pyos.run(main())
    lines = str(caught.value).splitlines()
    assert lines[0] == "nothing can ever run again:"
    assert lines[1] == "  a cycle: 1 -> 2 -> 1"
    assert lines[2].startswith("  task 1 (main) waits: wait task 2, at ")
    assert lines[3].startswith("  task 2 (kid) waits: wait task 1, at ")
    assert len(lines) == 4


@pytest.mark.parametrize("number", [Signal.KILL, Signal.TERM, Signal.INT])
def test_an_init_that_was_killed_is_taskkilled(number):
    def main():
        yield KillTask(1, number)
        yield Sleep(math.inf)

    with pytest.raises(TaskKilled) as caught:
        pyos.run(main())
    assert caught.value.signal is number


def test_finally_blocks_run_before_run_returns():
    closed = []

    def child():
        try:
            yield Sleep(math.inf)
        finally:
            yield
            closed.append("child")

    def main():
        yield NewTask(child())
        yield Sleep(0)
        return "value"

    assert pyos.run(main()) == "value"
    assert closed == ["child"]


# --- what goes in


def test_the_options():
    def main():
        start = yield GetTime()
        yield Sleep(3600)
        return (yield Random()), (yield GetTime()) - start

    first = pyos.run(main(), seed=1, clock=VirtualClock())
    assert first == pyos.run(main(), seed=1, clock=VirtualClock())
    assert first != pyos.run(main(), seed=2, clock=VirtualClock())
    assert first[1] == 3600


def test_at_most_so_many_tasks():
    def main():
        for _ in range(3):
            yield NewTask(yields(), detached=True)

    assert pyos.run(main(), limits=pyos.Limits(max_tasks=4)) is None
    with pytest.raises(pyos.LimitExceeded):
        pyos.run(main(), limits=pyos.Limits(max_tasks=3))


@pytest.mark.parametrize("poller", BACKENDS)
def test_every_poller(poller):
    reader, writer = os.pipe()

    def main():
        os.write(writer, b"x")
        yield ReadWait(reader)
        return os.read(reader, 1)

    with contextlib.closing(os.fdopen(reader)), contextlib.closing(os.fdopen(writer, "w")):
        assert pyos.run(main(), poller=poller) == b"x"


def test_an_unknown_poller_is_an_error():
    target = yields()
    with pytest.raises(ValueError, match=r"no poller 'kqueue' here: .*select"):
        pyos.run(target, poller="kqueue")


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        (yields, TypeError, "yields is a function: call it"),
        (3, TypeError, "a task is a generator or coroutine object, not int"),
        (None, TypeError, "not NoneType"),
    ],
)
def test_what_can_be_no_task_is_refused(target, error, message):
    with pytest.raises(error, match=message):
        pyos.run(target)


def test_a_started_target_is_refused():
    target = yields(2)
    next(target)
    with pytest.raises(ValueError, match="yields has started already"):
        pyos.run(target)
    target.close()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"poller": "kqueue"}, ValueError),
        ({"limits": pyos.Limits(max_tasks=0)}, ValueError),
        ({"seed": [1]}, TypeError),
    ],
)
def test_a_target_is_closed_when_no_kernel_can_be_made_for_it(options, error, recwarn):
    async def never_started():
        await Sleep(0)

    for target in (yields(), never_started()):
        with pytest.raises(error):
            pyos.run(target, **options)
        with pytest.raises((StopIteration, RuntimeError)):
            target.send(None)
    assert list(recwarn) == []


# --- one kernel a thread


def test_nesting_is_refused_and_the_target_closed(recwarn):
    async def never_started():
        await Sleep(0)

    def main():
        for target in (yields(), never_started()):
            with pytest.raises(RuntimeError, match="a kernel is already running in this thread: use NewTask"):
                pyos.run(target)
            with pytest.raises((StopIteration, RuntimeError)):
                target.send(None)
        return (yield GetTid())

    assert pyos.run(main()) == 1
    assert list(recwarn) == []  # such as "coroutine was never awaited"


def test_a_second_run_after_the_first_is_fine():
    assert [pyos.run(yields(1, n)) for n in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="x"):
        pyos.run(fails(ValueError("x")))
    assert pyos.run(yields(1, "again")) == "again"


def in_thread(function):
    """Call a function in another thread; answers its result or raises its error."""
    outcome = []

    def call():
        try:
            outcome.append((function(), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    [(value, error)] = outcome
    if error is not None:
        raise error
    return value


def test_in_another_thread_there_are_no_signal_handlers():
    before = signal.getsignal(signal.SIGINT)

    def main():
        yield Sleep(0.001)
        return signal.getsignal(signal.SIGINT)

    assert in_thread(lambda: pyos.run(main())) is before
    assert pyos.run(main()) is not before


def test_errors_come_out_of_other_threads_alike():
    with pytest.raises(ValueError, match="mine"):
        in_thread(lambda: pyos.run(fails(ValueError("mine"))))
    with pytest.raises(Deadlock):
        in_thread(lambda: pyos.run(wait_for_me()))


def wait_for_me():
    """Init waits for a child that waits for init."""

    def child():
        yield WaitTask(1)

    yield WaitTask((yield NewTask(child())))


def test_kernels_in_several_threads_do_not_meet():
    inside = threading.Barrier(3)

    def main(n):
        yield Sleep(0)
        inside.wait(60)  # all three are running now
        assert current_kernel() is not None
        yield Sleep(0.001)
        return (yield GetTid()), n, current_kernel()

    results = []
    threads = [threading.Thread(target=lambda n=n: results.append(pyos.run(main(n)))) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(result[:2] for result in results) == [(1, 0), (1, 1), (1, 2)]
    assert len({id(kernel) for _, _, kernel in results}) == 3


def test_a_kernel_in_a_thread_may_run_beside_that_of_the_main_one():
    def main():
        value = in_thread(lambda: pyos.run(yields(2, "inner")))
        yield
        return value

    assert pyos.run(main()) == "inner"


# --- signals


@pytest.mark.parametrize("busy", [False, True])
@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_signal_shuts_down_in_order(number, error, busy):
    closed = []

    def child():
        try:
            while True:
                yield None if busy else Sleep(math.inf)
        finally:
            yield Sleep(0)
            closed.append("child")

    def main():
        yield NewTask(child())
        try:
            yield signalled(number)
        finally:
            yield
            closed.append("init")

    with pytest.raises(error) as caught:
        pyos.run(main())
    assert sorted(closed) == ["child", "init"]
    assert error is KeyboardInterrupt or caught.value.code == 128 + signal.SIGTERM


def test_a_signal_from_another_process_wakes_an_idle_kernel():
    """The kernel is in its poller, with no deadline, when the signal comes."""
    command = f"read line; kill -TERM {os.getpid()}"
    with subprocess.Popen(["sh", "-c", command], stdin=subprocess.PIPE) as killer:

        def main():
            yield
            killer.stdin.close()
            yield Sleep(math.inf)

        with pytest.raises(SystemExit):
            pyos.run(main())


def test_init_may_survive_an_interrupt():
    def main():
        try:
            yield signalled(signal.SIGINT)
        except TaskKilled as killed:
            yield Sleep(0)
            return killed.signal, killed.reason

    assert pyos.run(main()) == (Signal.INT, "SIGINT")


def test_sigterm_wins_over_what_init_makes_of_it():
    def main():
        try:
            yield signalled(signal.SIGTERM)
        except TaskKilled as killed:
            return killed.reason

    with pytest.raises(SystemExit):
        pyos.run(main())


def test_tasks_learn_which_signal_it_was():
    reasons = []

    def main():
        try:
            yield signalled(signal.SIGTERM)
        except TaskKilled as killed:
            reasons.append(str(killed))
            raise

    with pytest.raises(SystemExit):
        pyos.run(main())
    assert reasons == ["TERM from the kernel: SIGTERM"]


def test_the_first_signal_counts():
    def main():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        yield Sleep(math.inf)

    with pytest.raises(SystemExit):
        pyos.run(main())


def test_handlers_are_restored_after_every_kind_of_end():
    mine = {number: lambda *_: None for number in HANDLED_SIGNALS}
    before = {number: signal.signal(number, handler) for number, handler in mine.items()}
    ends = [
        lambda: pyos.run(yields()),
        lambda: pyos.run(fails(ValueError())),
        lambda: pyos.run(wait_for_me()),
        lambda: pyos.run(signalled(signal.SIGINT)),
        lambda: pyos.run(signalled(signal.SIGTERM)),
        lambda: pyos.run(3),
    ]
    try:
        for end in ends:
            with contextlib.suppress(ValueError, TypeError, Deadlock, KeyboardInterrupt, SystemExit):
                end()
            assert {number: signal.getsignal(number) for number in mine} == mine
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_handler_that_could_not_be_put_back_is_left_alone(monkeypatch):
    """Python knows of one that was installed in C only that it is there."""
    monkeypatch.setattr(signal, "getsignal", lambda number: None)

    def main():
        yield
        monkeypatch.undo()
        return [signal.getsignal(number) for number in HANDLED_SIGNALS]

    before = [signal.signal(number, signal.SIG_DFL) for number in HANDLED_SIGNALS]
    try:
        assert pyos.run(main()) == [signal.SIG_DFL, signal.SIG_DFL]
    finally:
        for number, handler in zip(HANDLED_SIGNALS, before):
            signal.signal(number, handler)


def test_signals_handled_says_which_it_was(make_kernel):
    kernel = make_kernel()
    kernel.spawn(forever())
    with signals_handled(kernel) as caught:
        assert caught.signal is None
        os.kill(os.getpid(), signal.SIGTERM)
        assert kernel.run().signal is pyos.TERM
    assert caught.signal is signal.SIGTERM


def test_importing_pyos_imports_no_kernel():
    """Userland imports it, and must not need what it may not import."""
    code = """
import sys, pyos, pyos.lib.sockets, pyos.lib.console, pyos.lib.ps, pyos.lib.exits
print([name for name in sys.modules if name.startswith("pyos.kernel")])
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=environment(), check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


def test_a_kernel_refuses_to_run_inside_another(make_kernel):
    inner = make_kernel()
    inner.spawn(sleeps(1))

    def main():
        yield
        with pytest.raises(RuntimeError, match="already running in this thread"):
            inner.run()
        return "refused"

    assert pyos.run(main()) == "refused"
    assert isinstance(inner, Kernel)
    assert inner.run().ok
