"""Catches what a checked program must not depend on: real time, unseeded chance, threads, processes, sockets.

While a check runs, the functions below are replaced by ones that report their caller's line if a task calls them, and
then do what they always did. What was imported by name before (`from time import time`) is seen where a run is
recorded (tracing.py). Chance is allowed once a run has called `random.seed` with a seed.
"""

from __future__ import annotations

import _thread
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
FROZEN = "<frozen "  # modules that are built in: os, importlib
STANDARD = os.path.dirname(os.__file__)
OF_CHANCE = frozenset(("random", "uuid", "tempfile", "secrets"))  # modules that draw on behalf of their caller
TIMES = (
    "time", "monotonic", "perf_counter", "process_time", "thread_time", "clock_gettime", "time_ns", "monotonic_ns",
    "perf_counter_ns", "process_time_ns", "thread_time_ns", "clock_gettime_ns", "sleep",
)  # fmt: skip
OF_NOW = {"localtime": 0, "gmtime": 0, "ctime": 0, "asctime": 0, "strftime": 1}  # the arguments where that means now
PROCESSES = ("fork", "forkpty", "system", "posix_spawn", "posix_spawnp")
DRAWS = (
    "random", "randint", "randrange", "choice", "choices", "shuffle", "sample", "uniform", "gauss", "normalvariate",
    "expovariate", "triangular", "betavariate", "getrandbits", "randbytes",
)  # fmt: skip
ONE_AT_A_TIME = threading.RLock()
"""Checks in several threads wait for each other: what they replace is shared by all, and so are the descriptors that a
kernel opens, which would be the leak of another one's program."""
WATCHED: list[tuple[Any, str, str]] = [
    *[(time, name, INSTEAD) for name in (*TIMES, *OF_NOW) if hasattr(time, name)],
    *[(random, name, CHANCE) for name in DRAWS],
    (random, "seed", CHANCE),
    (random.Random, "seed", CHANCE),
    *[(os, name, CHANCE) for name in ("urandom", "getrandom") if hasattr(os, name)],
    (threading.Thread, "start", "NewTask()"),
    (_thread, "start_new_thread", "NewTask()"),
    *[(os, name, "tasks") for name in PROCESSES if hasattr(os, name)],
    (subprocess.Popen, "__init__", "tasks"),
    (socket.socket, "__init__", "a Channel"),
]


@contextmanager
def guarded(harnesses: list[Harness]) -> Iterator[list[Harness]]:
    """While inside, the listed harnesses' runs fail when one of their tasks calls a watched function.

    Only for who has ONE_AT_A_TIME.
    """
    originals = [(owner, name, getattr(owner, name)) for owner, name, _ in WATCHED]
    thread = threading.get_ident()

    def watch(owner: Any, name: str, instead: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **kwargs: Any) -> Any:
            running = next((harness for harness in harnesses if harness.running), None)
            if running is not None and threading.get_ident() == thread:
                see(running, owner, name, instead, args)
            return original(*args, **kwargs)

        return watched

    for (owner, name, instead), (_, _, original) in zip(WATCHED, originals):
        setattr(owner, name, watch(owner, name, instead, original))
    try:
        yield harnesses
    finally:
        for owner, name, original in originals:
            setattr(owner, name, original)


def see(harness: Harness, owner: Any, name: str, instead: str, args: tuple[Any, ...]) -> None:
    """A watched function is called while a run is on: a failure, if it is the program that calls it."""
    if name == "seed":
        value = args[-1] if len(args) > (owner is not random) else None
        if value is not None:
            harness.seeded = harness.seeded or owner is random
            return
    elif owner is random and harness.seeded:
        return
    elif owner is time and len(args) > OF_NOW.get(name, len(args)):
        return  # a time that was given is made another form of
    where = userland_line(sys._getframe(2), instead)
    if where is not None and harness.failure is None:
        what = "random.Random" if owner is random.Random else f"{getattr(owner, '__name__', owner)}.{name}"
        harness.failure = uncontrolled(where, what.removesuffix(".__init__"), instead)


def uncontrolled(where: str, what: str, instead: str) -> Failure:
    """The failure of a call whose result is another one each time."""
    return Failure("nondeterminism", f"{where}: {what}() is not under the checker's control; use {instead}")


def is_library(path: str) -> bool:
    """True for a file of Python's or of an installed package."""
    return path.startswith((STANDARD, FROZEN)) or "site-packages" in path


def userland_line(frame: Any, instead: str) -> str | None:
    """file:line of the program's call; None if it is pyos, a library or a callback of the collector's that calls.

    A library's use of the time (a log's time stamps, what it measures at a collection of garbage) is its own affair;
    chance, a thread, a process or a socket is not. So is what a callback of the garbage collector does.
    """
    if any(getattr(callback, "__code__", None) is frame.f_code for callback in gc.callbacks):
        return None
    while frame is not None:
        module, path = frame.f_globals.get("__name__", ""), frame.f_code.co_filename
        if module.startswith("pyos.") or (path.startswith("<") and module != "__main__" and not is_library(path)):
            return None
        if not is_library(path):
            return f"{path}:{frame.f_lineno}"
        if instead == INSTEAD or (instead == CHANCE and module not in OF_CHANCE):
            return None
        frame = frame.f_back
    return None
