"""Following a growing log, as `tail -F` does: through truncation and rotation, at little cost while it is quiet.

`Tail` knows files and never waits; `follow` waits and knows no files. A follower that finds nothing asks again after
naps that double up to a second, so a thousand of them cost about one percent of a CPU on a quiet log.
"""

from __future__ import annotations

import errno
import os
import stat
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator

from pyos.lib.options import count
from pyos.traps import Sleep, Trap

CHUNK = 65536  # bytes read at once: what a follower does before it lets others run
LONGEST_LINE = 1 << 20  # bytes; what is longer comes in pieces, as it may never end
SHORTEST_NAP, LONGEST_NAP = 0.05, 1.0  # seconds


def follow(path: str, *, from_start: bool = False, limit: int | None = None) -> Iterator[str | Trap[None]]:
    """The lines that are added to a file, without their newlines, and between them traps for the kernel.

    Whoever pulls passes the traps on: `for item in follow(path): ...` with `yield item` for what is no string. Ends
    after `limit` lines, if given. Errors: OSError for what cannot be read or is no regular file.
    """
    nap = 0.0
    given = 0
    with Tail(path, from_start=from_start) as tail:
        while True:
            before = tail.position
            for line in tail.read():
                if given == limit:
                    return
                yield line
                given += 1
            if given == limit:
                return
            nap = 0.0 if tail.position != before else min(max(2 * nap, SHORTEST_NAP), LONGEST_NAP)
            yield Sleep(nap)


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of every program that follows a log; `followed(options)` is what they ask for."""
    parser.add_argument("log", metavar="LOG", help="the log to follow")
    parser.add_argument("--from-start", action="store_true", help="begin with what is in it already")
    parser.add_argument("--lines", type=count, metavar="N", help="end after so many lines")


def followed(options: Namespace) -> Iterator[str | Trap[None]]:
    """The lines that a program's arguments ask for, and traps."""
    return follow(options.log, from_start=options.from_start, limit=options.lines)


class Tail:
    """A position in a log. `read()` answers the complete lines that have come since, at most about a CHUNK of them.

    A file that has become shorter is read from its start again. When another file has taken the path's place, the old
    one is read until nothing more has come between two calls, then the new one from its start. (A file cut and grown
    beyond its old length between two calls looks as if it had only grown: no program that looks now and then can tell.)
    """

    def __init__(self, path: str, *, from_start: bool = False) -> None:
        """Open the file at its end, or at its start. Raises OSError."""
        self.path = path
        self.partial = b""  # a line whose newline has not come
        self.leaving = False  # the file was rotated, and nothing had come when we last looked
        self.fd = open_regular(path)
        self.position = 0 if from_start else os.fstat(self.fd).st_size

    def read(self) -> list[str]:
        """The new lines; none if nothing has come."""
        data = os.pread(self.fd, CHUNK, self.position)
        if data:
            self.leaving = False
            self.position += len(data)
            return self._split(data)
        if self.position > os.fstat(self.fd).st_size:
            return self._restart()
        if self._rotated():
            if self.leaving and (fd := self._successor()) is not None:
                os.close(self.fd)
                self.fd = fd
                return self._restart()
            self.leaving = True
        return []

    def _split(self, data: bytes) -> list[str]:
        *lines, self.partial = (self.partial + data).split(b"\n")
        if len(self.partial) > LONGEST_LINE:
            lines.append(self.partial)
            self.partial = b""
        return [line.removesuffix(b"\r").decode(errors="replace") for line in lines]

    def _restart(self) -> list[str]:
        """Go on from the start of the file; a line that was never finished is given as it is."""
        self.position, self.leaving = 0, False
        unfinished, self.partial = self.partial, b""
        return [unfinished.decode(errors="replace")] if unfinished else []

    def _rotated(self) -> bool:
        """True if the path leads to another file than ours; not while it leads nowhere."""
        try:
            return not os.path.samestat(os.stat(self.path), os.fstat(self.fd))
        except FileNotFoundError:
            return False

    def _successor(self) -> int | None:
        """The file that has taken our path's place; None if it has gone again."""
        try:
            return open_regular(self.path)
        except FileNotFoundError:
            return None

    def close(self) -> None:
        """Close the file; twice is harmless."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> Tail:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def open_regular(path: str) -> int:
    """A descriptor to read a regular file with. Raises OSError, also for a pipe, on which opening would block."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "not a regular file", path)
    return fd
