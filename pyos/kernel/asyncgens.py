"""Async generators that are left before their end: by a `break`, an error, or the death of their task.

Their clean-up may await, so the collector cannot do it: it hands them over here, and they are closed
- by a task of their own, as soon as it is its turn; the system does not end before that;
- or, if they were left because their task has been killed, with its other frames, which referred to them;
- or, if nothing runs any more, or shutdown has sent its last KILL, at once: what would have to wait is abandoned, and
  so is what leaves others without end, and the log says so.

Nothing here is asked while nobody leaves one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from gc import get_referents
from types import AsyncGeneratorType, CoroutineType
from typing import TYPE_CHECKING, Any

from pyos.kernel import closing
from pyos.kernel.awaitables import DRIVERS, async_generator_of
from pyos.kernel.trampoline import BLOCKED, units

if TYPE_CHECKING:
    from pyos.kernel.kernel import Kernel
    from pyos.kernel.tasks import Task

LIMIT = 1000  # how many may be left by the clean-up of one that is closed at once; more is a chain without end


class _BareYield:
    """`await`ed, a bare yield, without a frame of its own."""

    def __await__(self) -> Any:
        return iter((None,))


async def _close(items: Any) -> None:
    try:
        await _BareYield()  # whatever comes next, also a kill, closes them
    finally:
        await items.aclose()


def closer_of(items: Any) -> CoroutineType[Any, Any, Any]:
    """A coroutine, suspended at a bare yield, that closes an async generator when it is resumed or closed itself."""
    closer: Any = _close(items)
    closer.__qualname__ = items.__qualname__
    closer.send(None)
    return closer  # type: ignore[no-any-return]


def is_closer(task: Task) -> bool:
    """True for a task that closes what another has left."""
    outermost = next(units(task), None)
    return type(outermost) is CoroutineType and outermost.cr_code is _close.__code__


def ids_in(frames: Iterable[Any]) -> set[int]:
    """The ids of the async generators that frames (as `trampoline.units` tells them) are of, or refer to.

    To refer to the objects themselves would keep them from being dropped.
    """
    found = set()
    for gen in frames:
        if type(gen) in DRIVERS:
            gen = async_generator_of(gen)
            found.add(id(gen))
        found.update(id(thing) for thing in get_referents(gen) if type(thing) is AsyncGeneratorType)
    return found


class AsyncGens:
    """The async generators that one kernel's tasks have left."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.dropped: list[Any] = []
        self.over = False  # nothing runs here any more
        self.closing = False  # inside `close_all`

    def hook(self) -> Any:
        """Have this thread's new async generators come here; answers what to give `unhook`."""
        before = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(None, self.drop)
        return before

    @staticmethod
    def unhook(before: Any) -> None:
        sys.set_asyncgen_hooks(*before)

    def drop(self, items: Any) -> None:
        """Nobody refers to a started async generator any more. The collector calls this, at any line, in any thread."""
        self.dropped.append(items)
        if self.over:
            self.close_all()
        elif len(self.dropped) == 1:
            self.kernel.post(self.adopt)

    def adopt(self) -> bool:
        """Have a task close each; True if there was any. After shutdown's last KILL nothing would end such a task."""
        if self.kernel.grace_is_over():
            self.close_all()
            return False
        dropped = self._take()
        for items in dropped:
            closer = closer_of(items)
            self.kernel.lifecycle.adopt(closer, f"aclose {closer.__qualname__}")
        return bool(dropped)

    def close_with(self, whose: set[int], answer_now: closing.AnswerNow, complain: closing.Complain) -> None:
        """Close those that have been dropped with a task's frames: `whose` are `ids_in` them.

        What their own frames refer to goes with them. All others are left for `adopt`: what the collector has found
        meanwhile may be anybody's, and what their clean-up has begun and left could go on for ever.
        """
        while taken := self._take(whose):
            whose = ids_in(taken)
            for items in taken:
                closing.close([closer_of(items)], answer_now, complain)

    def close_all(self) -> None:
        """Nothing runs any more: close them, as far as that needs no answer, and does not go on for ever."""

        def complain(gen: Any, why: str) -> None:
            self.kernel.log(f"closing the async generator {closing.name_of(gen)}, which nobody has closed: {why}")

        def answer_now(yielded: Any) -> Any:
            if self.kernel.signals.insists:
                raise GeneratorExit
            return BLOCKED

        if self.closing:
            return  # it is their clean-up that has dropped another: the loop below comes to it
        self.closing = True
        before = self.hook()  # what their clean-up begins comes here too
        taken = self._take()
        left = LIMIT * len(taken)
        while taken and left > 0:
            for items in taken:
                closing.close([closer_of(items)], answer_now, complain)
            left -= len(taken)
            taken = self._take()
        self.unhook(before)
        self.closing = False
        if taken:
            closing.abandon(taken)
            self.kernel.log(
                f"the clean-up of async generators leaves others without end: {len(taken)} are abandoned, "
                f"{taken[0].__qualname__} among them"
            )

    def _take(self, whose: set[int] | None = None) -> list[Any]:
        """Those that were dropped, or only those with such an id. (Another thread may drop one at any line.)"""
        taken = self.dropped[:]
        del self.dropped[: len(taken)]
        if whose is not None:
            self.dropped += [items for items in taken if id(items) not in whose]
            taken = [items for items in taken if id(items) in whose]
        return taken
