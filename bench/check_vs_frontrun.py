"""Bugs found per CPU second: `pyos.check` and frontrun, on five programs that both can express.

    frontrun python bench/check_vs_frontrun.py [ROUNDS]

Each program exists three times: as tasks of pyos, and as threads and as asyncio tasks for frontrun. All run with the
tool's defaults, up to the first failure (frontrun by its own command, which it asks for). Frontrun's replays of what it
has found are switched off, while pyos shrinks, runs again and tells what it has found. The measurements are
interleaved; shown is the median of the rounds (5).
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import platform
import statistics
import sys
import threading
from collections.abc import Callable
from importlib.metadata import version
from time import process_time
from types import SimpleNamespace
from typing import Any

import pyos

try:
    import frontrun
except ImportError:
    sys.exit("frontrun is not installed: pip install frontrun")

LEAST = 0.3  # CPU seconds of one measurement


class State(SimpleNamespace):
    """What the tasks of one run share."""


# --- the programs: state, bodies (generators that yield where others may run), and what must hold in the end


def counter() -> State:
    return State(value=0)


def increments(state: State) -> Any:
    read = state.value
    yield
    state.value = read + 1


def seats() -> State:
    return State(seats=1)


def buys(state: State) -> Any:
    if state.seats > 0:
        yield
        state.seats -= 1


def stack() -> State:
    return State(top="A", below={"A": "B", "B": None}, in_use=[])


def pops(state: State, then_pushes: bool = False) -> Any:
    taken = []
    for _ in range(1 + then_pushes):
        top = state.top
        if top is None:
            return
        below = state.below[top]
        yield
        if state.top == top:
            state.top = below
            state.in_use.append(top)
            taken.append(top)
    if then_pushes and taken:
        yield
        state.in_use.remove(taken[0])
        state.below[taken[0]] = state.top
        state.top = taken[0]


def pops_and_pushes(state: State) -> Any:
    return pops(state, then_pushes=True)


def descriptors() -> State:
    return State(files={0: "connection"})


def closes(state: State) -> Any:
    yield
    state.files.pop(0, None)


def opens(state: State) -> Any:
    yield
    state.files[next(n for n in range(9) if n not in state.files)] = "log"


PROGRAMS: dict[str, tuple[Callable[[], State], list[Callable[[State], Any]], Callable[[State], bool]]] = {
    "racy counter": (counter, [increments, increments], lambda s: s.value == 2),
    "check then act": (seats, [buys, buys], lambda s: s.seats >= 0),
    "aba": (stack, [pops, pops_and_pushes], lambda s: s.top not in s.in_use),
    "double close": (descriptors, [closes, closes, opens], lambda s: "log" in s.files.values()),
}


def as_pyos(make: Callable[[], State], bodies: list[Any], holds: Callable[[State], bool]) -> Callable[[], bool]:
    def program() -> list[Any]:
        state = make()
        pyos.eventually(lambda: holds(state))
        return [body(state) for body in bodies]

    return lambda: bool(pyos.check(program).failures)


def as_threads(make: Callable[[], State], bodies: list[Any], holds: Callable[[State], bool]) -> Callable[[], bool]:
    def worker(body: Any) -> Callable[[State], None]:
        def run(state: State) -> None:
            for _ in body(state):
                pass

        return run

    workers = [worker(body) for body in bodies]
    return lambda: found(frontrun.explore(make, workers, holds, reproduce_on_failure=0))


def as_asyncio(make: Callable[[], State], bodies: list[Any], holds: Callable[[State], bool]) -> Callable[[], bool]:
    def worker(body: Any) -> Callable[[State], Any]:
        async def run(state: State) -> None:
            for _ in body(state):
                await asyncio.sleep(0)

        return run

    workers = [worker(body) for body in bodies]
    return lambda: found(explore_async(make, workers, holds))


def explore_async(*arguments: Any) -> Any:
    result = frontrun.explore(*arguments, reproduce_on_failure=0)
    return asyncio.run(result) if asyncio.iscoroutine(result) else result


def found(result: Any) -> bool:
    return not result.property_holds


# --- three philosophers: locks are each tool's own


def dining_pyos() -> bool:
    def dines(left: pyos.Lock, right: pyos.Lock) -> pyos.Program:
        yield left.acquire()
        yield right.acquire()
        yield right.release()
        yield left.release()

    def program() -> list[pyos.Program]:
        forks = [pyos.Lock() for _ in range(3)]
        return [dines(forks[i], forks[(i + 1) % 3]) for i in range(3)]

    return bool(pyos.check(program).failures)


def dining_threads() -> bool:
    def worker(i: int) -> Callable[[State], None]:
        def dines(state: State) -> None:
            with state.forks[i], state.forks[(i + 1) % 3]:
                pass

        return dines

    def table() -> State:
        return State(forks=[threading.Lock() for _ in range(3)])

    workers = [worker(i) for i in range(3)]
    return found(frontrun.explore(table, workers, lambda s: True, reproduce_on_failure=0))


def dining_asyncio() -> bool:
    def worker(i: int) -> Callable[[State], Any]:
        async def dines(state: State) -> None:
            async with state.forks[i]:
                await asyncio.sleep(0)
                async with state.forks[(i + 1) % 3]:
                    pass

        return dines

    def table() -> State:
        return State(forks=[asyncio.Lock() for _ in range(3)])

    return found(explore_async(table, [worker(i) for i in range(3)], lambda s: True))


# --- the measurement


def rate(finds: Callable[[], bool]) -> float:
    """Bugs found per CPU second; 0 if the first attempt finds nothing."""
    bugs, start = 0, process_time()
    while process_time() - start < LEAST:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            if not finds():
                return 0.0
        bugs += 1
    return bugs / (process_time() - start)


def main(rounds: str = "5") -> None:
    tools = {"pyos check": as_pyos, "frontrun, threads": as_threads, "frontrun, asyncio": as_asyncio}
    cases = {name: [tool(*program) for tool in tools.values()] for name, program in PROGRAMS.items()}
    cases["philosophers"] = [dining_pyos, dining_threads, dining_asyncio]
    versions = f"pyos {pyos.__version__}, frontrun {version('frontrun')}, Python {platform.python_version()}"
    print(f"bugs found per CPU second, median of {rounds}, interleaved; {versions}")
    print(f"{'':16}" + "".join(f"{tool:>20}" for tool in tools))
    for name, finders in cases.items():
        samples = [[rate(finds) for finds in finders] for _ in range(int(rounds))]
        medians = [statistics.median(column) for column in zip(*samples)]
        print(f"{name:16}" + "".join(f"{m:>20.1f}" if m else f"{'none found':>20}" for m in medians), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
