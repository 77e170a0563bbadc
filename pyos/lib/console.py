"""Reading standard input by lines without stopping the system.

The descriptor is shared with the user's shell and never made non-blocking: a task waits until it is readable, and one
`read` after that does not block.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

from pyos.traps import ReadWait


class LineReader:
    """Lines of a descriptor (default: standard input), decoded as UTF-8."""

    def __init__(self, fd: int = 0) -> None:
        self.fd = fd
        self.readable = ReadWait(fd)
        self.buffer = b""
        self.ended = False

    def readline(self) -> Generator[Any, Any, str]:
        """The next line with its newline; the last may lack one; "" at the end of the input."""
        while b"\n" not in self.buffer and not self.ended:
            yield self.readable
            data = os.read(self.fd, 65536)
            self.buffer += data
            self.ended = not data
        line, newline, self.buffer = self.buffer.partition(b"\n")
        return (line + newline).decode(errors="replace")
