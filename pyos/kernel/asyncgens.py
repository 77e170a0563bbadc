"""Async generators that are left before their end: by a `break`, an error, or the death of their task.

Their clean-up may await, so the collector cannot do it: it hands them over here, and they are closed
- by a task of their own, as soon as it is its turn; the system does not end before that;
- or, if they were left because their task has been killed, with its other frames;
- or, if nothing runs any more, at once: what would have to wait is abandoned, and the log says so.

Nothing here is asked while nobody leaves one.
"""

from __future__ import annotations

import sys
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from pyos.kernel import closing
from pyos.kernel.trampoline import BLOCKED

if TYPE_CHECKING:
    from pyos.kernel.kernel import Kernel


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


class AsyncGens:
    """The async generators that one kernel's tasks have left."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.dropped: list[Any] = []
        self.over = False  # nothing runs here any more

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

    def take(self, before: int = 0) -> list[Any]:
        """Those that were dropped when there were `before` already: what closes them."""
        taken = self.dropped[before:]
        del self.dropped[before:]
        return [closer_of(items) for items in taken]

    def adopt(self) -> bool:
        """Have a task close each; True if there was any."""
        closers = self.take()
        for closer in closers:
            self.kernel.lifecycle.adopt(closer, f"aclose {closer.__qualname__}")
        return bool(closers)

    def close_all(self) -> None:
        """Nothing runs any more: close them, as far as that needs no answer."""

        def complain(gen: Any, why: str) -> None:
            self.kernel.log(f"closing the async generator {closing.name_of(gen)}, which nobody has closed: {why}")

        def answer_now(yielded: Any) -> Any:
            if self.kernel.signals.insists:
                raise GeneratorExit
            return BLOCKED

        while closers := self.take():
            for closer in closers:
                closing.close([closer], answer_now, complain)
