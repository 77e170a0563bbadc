"""Coroutines as targets: how one is made, how a flow ends, and how items get into it.

A *target* receives items through `send`. A *stage* is a target that sends on to targets of its own; a *sink* has none.
A flow ends in one of three ways, and every stage passes it on (`outlet` does that for it):

- `close()` goes down: there are no more items. A stage flushes what it holds, then closes its targets.
- an error goes both ways: down, thrown into the targets, so that nobody takes a broken flow for a complete one; and
  up, to whoever sent the item.
- a target that returns has had enough: its sender gets StopIteration and returns too, up to the source, which stops.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterable
from functools import wraps
from types import TracebackType
from typing import Any, ParamSpec, Protocol, TypeVar

from pyos.traps import Trap

P = ParamSpec("P")
Coroutine = Generator[Any, Any, Any]
Stage = TypeVar("Stage", bound=Coroutine)


class Target(Protocol):
    """What items can be sent to: a primed generator, or anything with its three methods."""

    def send(self, item: Any, /) -> Any: ...
    def throw(self, error: BaseException, /) -> Any: ...
    def close(self) -> Any: ...


class Worker(Target, Protocol):
    """A target that works elsewhere (threads.py, processes.py); a task can wait for it without stopping the system."""

    def room(self) -> Generator[Any, Any, None]: ...
    def settle(self) -> Generator[Any, Any, None]: ...


def coroutine(function: Callable[P, Stage]) -> Callable[P, Stage]:
    """Decorator of a generator function: what it returns has run to its first `yield`, and can be sent to.

    Errors: TypeError for what is no generator function; RuntimeError from a call whose generator never yields.
    """
    if not inspect.isgeneratorfunction(function):
        raise TypeError(f"{getattr(function, '__name__', function)!s} is no generator function: it has no yield")

    @wraps(function)
    def primed(*args: P.args, **kwargs: P.kwargs) -> Stage:
        stage = function(*args, **kwargs)
        for _ in stage:
            return stage
        raise RuntimeError(f"{function.__name__} ended before its first yield, and can receive nothing")

    return primed


class outlet:
    """A stage's way down, as a context: `with outlet(target) as send: while True: send((yield))`.

    Leaving it ends the target as this stage ends: by close, or by the error. A target that has had enough ends the
    `with` block quietly, so that the stage returns.
    """

    __slots__ = ("target",)

    def __init__(self, target: Target) -> None:
        self.target = target

    def __enter__(self) -> Callable[[Any], Any]:
        return self.target.send

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        try:
            if error is not None and not isinstance(error, GeneratorExit | StopIteration):
                self._throw(error)
        finally:
            self.target.close()
        return isinstance(error, StopIteration)

    def _throw(self, error: BaseException) -> None:
        """Tell the target that the flow broke; what it raises instead of `error` goes up in its place."""
        trace = error.__traceback__
        try:
            self.target.throw(error)
        except StopIteration:
            pass
        except BaseException as raised:
            if raised is not error:
                raise
        finally:
            error.__traceback__ = trace  # the way down and up again explains nothing


def pump(
    items: Iterable[Any], target: Target, *, breath: int = 1000, worker: Worker | None = None
) -> Generator[Any, Any, int]:
    """A source, as a subroutine: send every item, then close the target; answers how many it sent.

    Others run after each `breath` items. A trap among the items is for the kernel, and is yielded to it. With a
    `worker` somewhere down the flow, the source waits for it instead of letting it stop the system.
    """
    sent = 0
    with outlet(target) as send:
        for item in items:
            if isinstance(item, Trap):
                yield item
                continue
            sent += 1
            send(item)
            if sent % breath == 0:
                yield
                if worker is not None:
                    yield from worker.room()
        if worker is not None:
            yield from worker.settle()
    return sent


def push(items: Iterable[Any], target: Target) -> int:
    """As `pump`, for programs without a kernel: an ordinary call. Raises TypeError for a trap among the items."""
    source = pump(items, target)
    while True:
        try:
            step = next(source)
        except StopIteration as stop:
            sent: int = stop.value
            return sent
        if step is not None:
            source.throw(TypeError(f"{step!r} needs a kernel: use pump in a task"))
