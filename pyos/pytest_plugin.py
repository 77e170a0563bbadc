"""pytest plugin: `@pytest.mark.pyos` runs a generator or async test as init, inside a kernel with a virtual clock.

    @pytest.mark.pyos
    def test_a_child_is_waited_for():
        tid = yield NewTask(child())
        assert (yield WaitTask(tid)).ok

Keywords of the mark: `seed`, and `clock="real"` for tests that wait for other processes. The test ends with an audit,
and when it fails or hangs the table of tasks is printed with the report. Tests without the mark are left alone.
"""

from __future__ import annotations

import inspect
from functools import wraps
from typing import Any

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "pyos(seed=None, clock='virtual'): run a generator or async test as init inside a pyos kernel"
    )


def is_task(function: Any) -> bool:
    """True for what a task can be made of."""
    return inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function)


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: Any, name: str, obj: Any) -> Any:
    """pytest refuses generator tests, so a marked one becomes a plain function before it is looked at."""
    if not collector.istestfunction(obj, name):
        return None
    mark = marked(collector, obj)
    if mark is None or not is_task(obj):
        return None
    return list(collector._genfunctions(name, hosted(obj, mark)))


def marked(collector: Any, function: Any) -> pytest.Mark | None:
    """The `pyos` mark of a test function, its class or its module."""
    marks = [*getattr(function, "pytestmark", []), *(mark for mark in collector.iter_markers())]
    return next((mark for mark in marks if mark.name == "pyos"), None)


def hosted(function: Any, mark: pytest.Mark) -> Any:
    """The test as a plain function with the same arguments, so that fixtures and parametrize work."""

    @wraps(function)
    def test(*args: Any, **kwargs: Any) -> None:
        run_as_init(function(*args, **kwargs), function.__name__, **mark.kwargs)

    return test


def run_as_init(target: Any, name: str, *, seed: Any = None, clock: str = "virtual") -> None:
    """Run a test's generator as init of its own kernel; raises the test's error."""
    from pyos.host import signals_shut_down
    from pyos.kernel.clock import RealClock, VirtualClock
    from pyos.kernel.kernel import Kernel

    if clock not in ("virtual", "real"):
        raise ValueError(f"clock is 'virtual' or 'real', not {clock!r}")
    with Kernel(clock=VirtualClock() if clock == "virtual" else RealClock(), seed=seed) as kernel:
        kernel.host_takes_error = True
        kernel.spawn(target, name=name)
        _running.append(kernel)
        try:
            with signals_shut_down(kernel) as caught:
                status = kernel.run()
        finally:
            _running.remove(kernel)
        kernel.audit()
    if caught.signal is not None:
        raise KeyboardInterrupt
    assert status is not None
    if status.error is not None:
        raise status.error
    if status.signal is not None:
        pytest.fail(f"the test was killed by {status.signal.name}")


_running: list[Any] = []  # kernels of running tests: one, unless a test runs another in a thread
