"""pytest plugin: `@pytest.mark.pyos` runs a generator or async test as init, inside a kernel with a virtual clock.

    @pytest.mark.pyos
    def test_a_child_is_waited_for():
        tid = yield NewTask(child())
        assert (yield WaitTask(tid)).ok

Keywords of the mark: `seed`, and `clock="real"` for tests that wait for other processes; `check=True` runs the test
under many schedules (pyos/check/pytest.py). The mark may stand on a
test, its class or its module; fixtures, parametrize and hypothesis work as usual. The test ends with an audit, and when
it fails or hangs the table of its tasks is shown with the report. Tests without the mark are left alone, and so are
plain functions.
"""

from __future__ import annotations

import inspect
import sys
import threading
from functools import wraps
from types import CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any

import pytest

from pyos.errors import Deadlock
from pyos.signals import INT

if TYPE_CHECKING:
    from pyos.kernel.kernel import Kernel
    from pyos.status import ExitStatus

MOST_ROWS = 100  # of a table in a report
REACTION = 1.0  # seconds a kernel has to notice a time-out, before its test is taken to spin without yielding

_running: list[Any] = []  # kernels (or checks) of running tests: one, unless a test runs another in a thread
_tables: list[str] = []  # tables of tasks for the next report


# --- collecting and running


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "pyos(seed=None, clock='virtual'): run a generator or async test as init inside a pyos kernel; "
        "with check=True, and the keywords of pyos.check, under many schedules",
    )


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("pyos")
    group.addoption("--pyos-replay", metavar="STRING", help="run one schedule of a checked test again")


def is_task(function: Any) -> bool:
    """True for what a task can be made of, also under decorators that say so (functools.wraps)."""
    if not callable(function):
        return False
    function = inspect.unwrap(getattr(function, "__func__", function))
    return inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function)


def is_checked(mark: pytest.Mark) -> bool:
    """True for a test that is to run under many schedules; it may be a plain function."""
    return bool(mark.kwargs.get("check"))


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_pycollect_makeitem(collector: Any, name: str, obj: Any) -> Any:
    """Collect marked tests as plain items: pytest refuses generators, and pytest-asyncio may take every async test."""
    outcome = yield
    function = getattr(obj, "__func__", obj)  # of a static method
    if not collector.istestfunction(obj, name) or not is_task(function):
        return
    marks = [*getattr(function, "pytestmark", ()), *collector.iter_markers()]
    if getattr(function, "__test__", True) and any(mark.name == "pyos" for mark in marks):
        outcome.force_result(list(collector._genfunctions(name, function)))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> object:
    """Run a marked test; anything else is for the next plugin."""
    __tracebackhide__ = True
    mark = pyfuncitem.get_closest_marker("pyos")
    if mark is None:
        return None
    function = pyfuncitem.obj
    hypothesis = getattr(function, "hypothesis", None)  # what @given leaves on a test: run each example in a kernel
    if hypothesis is not None and is_task(hypothesis.inner_test):
        hypothesis.inner_test = hosted(hypothesis.inner_test, mark, pyfuncitem)
        return None
    if not is_task(function) and not is_checked(mark):
        return None
    hosted(function, mark, pyfuncitem)(**{name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames})
    return True


def hosted(function: Any, mark: pytest.Mark, item: pytest.Function) -> Any:
    """The test as a plain function with the same arguments."""
    if mark.args:
        pytest.fail(f"the pyos mark takes keywords only, not {mark.args[0]!r}", pytrace=False)
    keywords = {name: value for name, value in mark.kwargs.items() if name != "check"}
    if is_checked(mark):
        from pyos.check.pytest import checked

        return checked(function, keywords, item, _running)
    if unknown := keywords.keys() - {"seed", "clock"}:
        there = "seed and clock; with check=True also those of pyos.check"
        pytest.fail(f"the pyos mark has no {sorted(unknown)[0]}: there are {there}", pytrace=False)
    if keywords.get("clock", "virtual") not in ("virtual", "real"):
        pytest.fail(f"the pyos mark's clock is 'virtual' or 'real', not {keywords['clock']!r}", pytrace=False)

    @wraps(function)
    def test(*args: Any, **kwargs: Any) -> None:
        __tracebackhide__ = True
        target = function(*args, **kwargs)
        if type(target) not in (GeneratorType, CoroutineType):
            raise TypeError(f"{function.__name__} returned {type(target).__name__}, not a generator or coroutine")
        run_as_init(target, function.__name__, **keywords)

    return test


def run_as_init(target: Any, name: str, *, seed: Any = None, clock: str = "virtual") -> None:
    """Run a test's generator as init of its own kernel; raises the test's error."""
    __tracebackhide__ = True
    from pyos.host import signals_handled
    from pyos.kernel.clock import RealClock, VirtualClock
    from pyos.kernel.kernel import Kernel, all_of_it

    with Kernel(clock=VirtualClock() if clock == "virtual" else RealClock(), seed=seed) as kernel:
        kernel.host_takes_error = all_of_it
        snapshot = Snapshot(kernel)
        kernel.spawn(target, name=name)
        _running.append(kernel)
        try:
            with signals_handled(kernel) as caught:
                status, deadlock = ran(kernel)
            kernel.audit()
            if deadlock is not None:
                raise deadlock
            if caught.terminated or (caught.signal and status is not None and status.signal is INT):
                raise KeyboardInterrupt
            assert status is not None
            if status.error is not None:
                raise status.error
            if status.signal is not None:
                pytest.fail(f"the test was killed by {status.signal.name}")
        except BaseException as error:
            if not isinstance(error, pytest.skip.Exception):
                _tables.append(snapshot.table or ps(kernel))
            raise
        finally:
            _running.remove(kernel)


def ran(kernel: Kernel) -> tuple[ExitStatus | None, Deadlock | None]:
    """Run a kernel to its end: how init ended, or the deadlock, without the kernel's frames in its traceback."""
    try:
        return kernel.run(), None
    except Deadlock as error:
        return None, error.with_traceback(None)


# --- showing the tasks


class Snapshot:
    """The tasks as they were when the end began: after the shutdown there are none left to show."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.table = ""
        self.shut_down = kernel.shut_down
        self.interrupt = kernel.interrupt
        setattr(kernel, "shut_down", self._before_shutdown)
        setattr(kernel, "interrupt", self._before_interrupt)

    def _before_shutdown(self, reason: str, *args: Any, **kwargs: Any) -> None:
        self._take(reason)
        self.shut_down(reason, *args, **kwargs)

    def _before_interrupt(self, *args: Any) -> None:
        self._take("SIGINT")
        self.interrupt(*args)

    def _take(self, reason: str) -> None:
        self.table = self.table or f"{reason}; the tasks at that moment:\n{ps(self.kernel)}"


def ps(kernel: Any) -> str:
    """The table of a kernel's tasks, with the line at which each one is."""
    from pyos.lib.ps import table

    tasks = kernel.tasks()
    shown = tasks[:MOST_ROWS]
    more = f"... and {len(tasks) - MOST_ROWS} more\n" if len(tasks) > MOST_ROWS else ""
    lines = "".join(f"task {t.tid} is at {t.stack[-1]}\n" for t in shown if t.stack)
    return (table(shown) if tasks else "(none)\n") + more + lines


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Any:
    """Put the table into the report of a failed test."""
    outcome = yield
    report = outcome.get_result()
    if report.when == "call":
        if report.failed:
            report.sections += [("pyos tasks", table) for table in _tables]
        _tables.clear()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What checks have seen; and the tasks of a test that was interrupted, which has no report."""
    if checks := sys.modules.get("pyos.check.pytest"):
        checks.summarize(terminalreporter)
    for table in _tables:
        terminalreporter.section("pyos tasks")
        terminalreporter.write(table)
    _tables.clear()


# --- tests that hang


class Hang:
    """One test's time limit, in the place of pytest-timeout's own: the kernel itself is asked to end the test.

    A test that spins without yielding cannot be asked: the tasks are shown, and pytest-timeout does what it does.
    """

    def __init__(self, item: pytest.Item, settings: Any) -> None:
        self.item = item
        self.settings = settings
        self.noticed = threading.Event()
        self.ended = threading.Event()
        self.timer = threading.Timer(settings.timeout, self.strike)
        self.timer.daemon = True
        self.timer.start()

    def cancel(self) -> None:
        self.ended.set()
        self.timer.cancel()
        self.timer.join()

    def strike(self) -> None:
        """In the timer's thread: the time is up."""
        import pytest_timeout  # type: ignore[import-untyped]

        if not self.settings.disable_debugger_detection and pytest_timeout.is_debugging():
            return
        for kernel in list(_running):
            kernel.post(self.fail)
        if self.noticed.wait(REACTION) and self.ended.wait(self.settings.timeout):
            return
        for kernel in list(_running):
            writer = self.item.config.get_terminal_writer()
            writer.line()
            writer.write(f"pyos tasks\n{ps(kernel)}")
        pytest_timeout.timeout_timer(self.item, self.settings)

    def fail(self) -> None:
        """In the kernel's thread, between two steps."""
        self.noticed.set()
        pytest.fail(f"Timeout: the test ran for more than {self.settings.timeout:g} s", pytrace=False)


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_timeout_set_timer(item: Any, settings: Any) -> object:
    """pytest-timeout asks who sets the timer: for marked tests, this plugin."""
    mark = item.get_closest_marker("pyos")
    if mark is None or not (is_task(getattr(item, "obj", None)) or is_checked(mark)):
        return None
    item.cancel_timeout = Hang(item, settings).cancel
    return True
