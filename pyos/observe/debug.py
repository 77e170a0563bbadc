"""`boot --debug`: reports every trap that was collected without having been yielded, with the line that built it.

Traps carry no state of the kernel's, so the book is kept beside them, by id, from birth to collection; the hooks are
put into the Trap class only while debugging.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

from pyos import handles
from pyos.kernel.scheduler import Handler
from pyos.traps import Trap

if TYPE_CHECKING:
    from pyos.kernel.kernel import Kernel


class Unyielded:
    """The book of traps that were built and not yielded yet: id -> where."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self.log = log
        self.born: dict[int, str] = {}

    def wrap(self, kernel: Kernel, kind: type, handler: Handler) -> Handler:
        """Go around one handler: its trap has been yielded."""

        def seen(kernel: Kernel, task: Any, trap: Any) -> Any:
            self.born.pop(id(trap), None)
            return handler(kernel, task, trap)

        return seen

    @contextmanager
    def watching(self) -> Iterator[None]:
        """While inside, every trap that is built is entered, and reported if it dies unseen."""
        book, log = self.born, self.log

        def new(kind: type[Trap[Any]], *args: Any, **kwargs: Any) -> Trap[Any]:
            trap: Trap[Any] = object.__new__(kind)
            builder = sys._getframe(1)
            if not builder.f_globals.get("__name__", "").startswith("pyos.lib."):  # which keeps some for later
                book[id(trap)] = userland_line(builder)
            return trap

        def died(trap: Trap[Any]) -> None:
            where = book.pop(id(trap), None)
            if where is not None:
                log(f"warning: {where}: {type(trap).__name__}(...) was never yielded")

        setattr(Trap, "__new__", new)
        setattr(Trap, "__del__", died)
        setattr(handles, "new", new)
        try:
            yield
        finally:
            gc.collect()  # those in cycles, such as a traceback's, as long as they can be reported
            delattr(Trap, "__del__")
            setattr(Trap, "__new__", plain_new)
            setattr(handles, "new", object.__new__)
            book.clear()


def plain_new(kind: type[Trap[Any]], *args: Any, **kwargs: Any) -> Trap[Any]:
    """What `object.__new__` does for a class with its own `__init__`; a deleted `__new__` would refuse arguments."""
    trap: Trap[Any] = object.__new__(kind)
    return trap


def userland_line(frame: FrameType | None) -> str:
    """file:line of the nearest frame outside pyos itself."""
    while frame is not None and frame.f_globals.get("__name__", "").startswith("pyos."):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "somewhere"
