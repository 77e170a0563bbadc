"""Reading standard input by lines without stopping the system.

A task waits until the descriptor is readable, but by the time it reads there may be nothing left: another reader has
taken it (of this system, or another process), or a terminal has taken it back (Ctrl-C discards what was typed). So no
read may block; and yet the descriptor, which is shared with the user's shell, is never made non-blocking. A terminal or
a pipe is opened once more, and that opening is non-blocking; a socket is told so with each read; a file never blocks.
Where a terminal or pipe can't be opened again (one that is not ours, a system without /proc), it must have one reader.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
from collections.abc import Generator
from typing import Any

from pyos.traps import ReadWait


class LineReader:
    """Lines of a descriptor (default: standard input), decoded as UTF-8. Used in a `with`, closed, or dropped."""

    def __init__(self, fd: int = 0) -> None:
        self.fd = fd
        self.own: int | None = None  # a second opening
        with contextlib.suppress(OSError):
            if path := path_of(fd):
                self.fd = self.own = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        self.is_socket = False
        with contextlib.suppress(OSError):
            self.is_socket = stat.S_ISSOCK(os.fstat(fd).st_mode)
        self.readable = ReadWait(self.fd)
        self.buffer = b""
        self.ended = False

    def readline(self) -> Generator[Any, Any, str]:
        """The next line with its newline; the last may lack one; "" at the end of the input."""
        while b"\n" not in self.buffer and not self.ended:
            yield self.readable
            try:
                data = receive(self.fd) if self.is_socket else os.read(self.fd, 65536)
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

    def __del__(self) -> None:
        self.close()


def path_of(fd: int) -> str | None:
    """Where a terminal or the reading end of a pipe can be opened again; None for anything else. May raise OSError."""
    if os.isatty(fd):
        return os.ttyname(fd)
    reads = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
    return f"/proc/self/fd/{fd}" if reads and stat.S_ISFIFO(os.fstat(fd).st_mode) else None


def receive(fd: int) -> bytes:
    """What there is to read of a socket. BlockingIOError if there is nothing."""
    with socket.socket(fileno=os.dup(fd)) as copy:
        return copy.recv(65536, socket.MSG_DONTWAIT)
