"""Fixtures for every test; all kernels are watched: each must pass an audit at the end of its test, and leave nothing.

`make_kernel(**options)` builds one with a virtual clock whose log lines go to `log`; `run(target)` runs a program as
init, once in production's loop and once step by step with an audit after every step.
"""

from __future__ import annotations

import functools
import gc
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import Phase, settings

from pyos import Deadlock, ExitStatus
from pyos.kernel.clock import VirtualClock
from pyos.kernel.kernel import Kernel

# to explain a failure, hypothesis traces every line, and a test that failed would run into pytest's time limit instead
settings.register_profile("pyos", phases=set(Phase) - {Phase.explain})
settings.load_profile("pyos")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "breaks_kernels: damages its kernels on purpose, so they are not audited at the end"
    )


@pytest.fixture(autouse=True)
def _no_descriptor_is_left() -> Iterator[None]:
    """The test closes every descriptor that it, or its kernel, has opened."""
    before = open_descriptors()
    yield
    if open_descriptors() - before:
        gc.collect()  # an object in a cycle is no leak of the kernel's
    left = {fd: target(fd) for fd in open_descriptors() - before}
    assert not left, f"descriptors are left open: {left}"


@pytest.fixture(autouse=True)
def _every_kernel_ends_clean(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, _no_descriptor_is_left: None
) -> Iterator[None]:
    """Every kernel the test has built is sound, and after close() nothing is left in it."""
    built: list[Kernel] = []
    original = Kernel.__init__

    @functools.wraps(original)
    def init(kernel: Kernel, *args: Any, **kwargs: Any) -> None:
        original(kernel, *args, **kwargs)
        built.append(kernel)

    monkeypatch.setattr(Kernel, "__init__", init)
    yield
    broken = request.node.get_closest_marker("breaks_kernels") is not None
    for kernel in built:
        if broken:
            kernel.readiness.close()
        else:
            kernel.audit()
            kernel.close()
            kernel.audit()
            assert_nothing_is_left(kernel)


def assert_nothing_is_left(kernel: Kernel) -> None:
    """No task, timer, waiter or grace period in a kernel that has ended."""
    assert list(kernel.table) == []
    timers = [entry for entry in kernel.timers.heap if kernel.timers._lives(entry)]
    assert [entry for entry in timers if entry[2] is not kernel.shutting_down] == []
    assert kernel.timers.eternal == 0
    assert kernel.readiness.waiting == 0
    assert not any(entry.waiters() for entry in kernel.readiness.watched.values())
    assert kernel.signals.graces == {}
    assert [task for task in kernel.scheduler.runq if task.status is None] == []


def open_descriptors() -> set[int]:
    """The numbers open in this process."""
    with os.scandir("/proc/self/fd") as entries:
        numbers = {int(entry.name) for entry in entries}
    return {fd for fd in numbers if target(fd) is not None}


def target(fd: int) -> str | None:
    """What a descriptor leads to; None once it is closed (as the one that lists the folder is by now)."""
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return None


@pytest.fixture
def log() -> list[str]:
    """What kernels from `make_kernel` and `run` have logged."""
    return []


@pytest.fixture
def make_kernel(log: list[str]) -> Callable[..., Kernel]:
    """A factory of kernels with a virtual clock."""

    def make(**options: Any) -> Kernel:
        return Kernel(**{"clock": VirtualClock(), "log": log.append, **options})

    return make


@pytest.fixture(params=["run", "step"])
def run(request: pytest.FixtureRequest, make_kernel: Callable[..., Kernel]) -> Callable[..., ExitStatus]:
    """Run a program as init, and answer how it ended; every test that uses it is a test of both ways to run."""

    def run_it(target: Any, **options: Any) -> ExitStatus:
        kernel = make_kernel(**options)
        kernel.spawn(target)
        if request.param == "run":
            kernel.run()
        else:
            drive(kernel)
        assert kernel.init_status is not None
        assert list(kernel.table) == []
        return kernel.init_status

    return run_it


def drive(kernel: Kernel) -> int:
    """Step a kernel to its end with an audit after every step; answers how many steps there were."""
    steps = 0
    while kernel.step():
        kernel.audit()
        steps += 1
    if kernel.table.alive:
        raise Deadlock("standstill")
    return steps
