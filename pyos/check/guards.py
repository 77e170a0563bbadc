"""Catches what a checked program must not depend on: real time, unseeded chance, threads, processes, sockets.

While a check runs, the functions below are replaced by ones that report their caller's line if a task calls them, and
then do what they always did. What was imported by name before (`from time import time`) is not seen; it may show when
a schedule is run twice.
"""

from __future__ import annotations

import gc
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pyos.check.report import Failure

if TYPE_CHECKING:
    from pyos.check.harness import Harness

INSTEAD = "GetTime() or Sleep()"
CHANCE = "Random() or Choose()"
WATCHED: list[tuple[Any, str, str]] = [
    *[(time, name, INSTEAD) for name in ("time", "monotonic", "perf_counter", "time_ns", "monotonic_ns", "sleep")],
    *[(random, name, CHANCE) for name in ("random", "randint", "randrange", "choice", "shuffle", "sample", "uniform")],
    (os, "urandom", CHANCE),
    (threading.Thread, "start", "NewTask()"),
    (subprocess.Popen, "__init__", "tasks"),
    (socket.socket, "__init__", "a Channel"),
]


@contextmanager
def guarded(harnesses: list[Harness]) -> Iterator[list[Harness]]:
    """While inside, the listed harnesses' runs fail when one of their tasks calls a watched function."""
    thread = threading.current_thread()
    originals = [(owner, name, getattr(owner, name)) for owner, name, _ in WATCHED]

    def watch(owner: Any, name: str, instead: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **kwargs: Any) -> Any:
            if threading.current_thread() is thread:
                running = next((harness for harness in harnesses if harness.running), None)
                where = userland_line(sys._getframe(1))
                if running is not None and running.failure is None and where is not None:
                    what = f"{getattr(owner, '__name__', owner)}.{name}".removesuffix(".__init__")
                    message = f"{where}: {what}() is not under the checker's control; use {instead}"
                    running.failure = Failure("nondeterminism", message)
            return original(*args, **kwargs)

        return watched

    for (owner, name, instead), (_, _, original) in zip(WATCHED, originals):
        setattr(owner, name, watch(owner, name, instead, original))
    try:
        yield harnesses
    finally:
        for owner, name, original in originals:
            setattr(owner, name, original)


def userland_line(frame: Any) -> str | None:
    """file:line of the caller, None if it is pyos, the standard library or a callback of the collector's that calls."""
    if any(getattr(callback, "__code__", None) is frame.f_code for callback in gc.callbacks):
        return None
    module = frame.f_globals.get("__name__", "")
    if module.startswith("pyos.") or module in ("threading", "random", "uuid", "tempfile", "secrets"):
        return userland_line(frame.f_back) if frame.f_back is not None and not module.startswith("pyos.") else None
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
