"""Reading standard input by lines without stopping the system.

The descriptor is shared with the user's shell and never made non-blocking: a task waits until it is readable, and one
`read` after that does not block. A terminal may take back what it had announced (Ctrl-C discards what was typed): it is
opened once more, and that opening is non-blocking.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
from typing import Any

from pyos.traps import ReadWait


class LineReader:
    """Lines of a descriptor (default: standard input), decoded as UTF-8. To be closed, or used in a `with`."""

    def __init__(self, fd: int = 0) -> None:
        self.fd = fd
        self.own: int | None = None  # a terminal's second opening
        with contextlib.suppress(OSError):  # no terminal, or one that is not ours to open
            self.fd = self.own = os.open(os.ttyname(fd), os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        self.readable = ReadWait(self.fd)
        self.buffer = b""
        self.ended = False

    def readline(self) -> Generator[Any, Any, str]:
        """The next line with its newline; the last may lack one; "" at the end of the input."""
        while b"\n" not in self.buffer and not self.ended:
            yield self.readable
            try:
                data = os.read(self.fd, 65536)
            except BlockingIOError:
                continue
            self.buffer += data
            self.ended = not data
        line, newline, self.buffer = self.buffer.partition(b"\n")
        return (line + newline).decode(errors="replace")

    def close(self) -> None:
        """Close what was opened here; the descriptor itself belongs to others. Twice is harmless."""
        if self.own is not None:
            os.close(self.own)
            self.own = None

    def __enter__(self) -> LineReader:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
