"""Sockets for userland: a raw non-blocking socket, and subroutines that wait for it with ReadWait and WriteWait.

Receiving waits first and then calls, which suits a server whose clients take turns: `data = yield conn.recv(4096)`.
Errors are the socket module's own OSErrors, raised in the calling task.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Generator
from typing import Any

from pyos.traps import ReadWait, WriteWait

Subroutine = Generator[Any, Any, Any]


class Socket:
    """A TCP or Unix stream socket owned by userland. Methods that may wait are subroutines: `yield` them."""

    __slots__ = ("raw", "readable", "writable")

    def __init__(self, raw: socket.socket) -> None:
        raw.setblocking(False)
        self.raw = raw
        self.readable = ReadWait(raw)  # a trap may be yielded again and again
        self.writable = WriteWait(raw)

    def fileno(self) -> int:
        """The descriptor, -1 once closed."""
        return self.raw.fileno()

    @property
    def address(self) -> Any:
        """Where the socket is bound: `(host, port)`."""
        return self.raw.getsockname()

    def accept(self) -> Generator[Any, Any, tuple[Socket, Any]]:
        """Wait for a connection; its Socket and the peer's address."""
        while True:
            yield self.readable
            try:
                raw, address = self.raw.accept()
            except (BlockingIOError, ConnectionAbortedError):  # another task was faster, or the client gave up
                continue
            return Socket(raw), address

    def recv(self, size: int = 65536) -> Generator[Any, Any, bytes]:
        """Wait for data: at most `size` bytes, b"" at the end of the stream."""
        while True:
            yield self.readable
            try:
                return self.raw.recv(size)
            except BlockingIOError:
                continue

    def sendall(self, data: bytes) -> Subroutine:
        """Send all of `data`, waiting while the peer is slow. Tries first: a socket is nearly always writable."""
        rest: bytes | memoryview = data if type(data) is bytes else memoryview(data).cast("B")
        while rest:
            try:
                sent = self.raw.send(rest)
            except BlockingIOError:
                yield self.writable
                continue
            if sent == len(rest):  # nearly always: slicing a memoryview to find out costs a tenth of an echoed message
                return
            rest = memoryview(rest)[sent:]

    def connect(self, address: Any) -> Subroutine:
        """Connect, waiting until it is done; raises the connection's OSError if it fails."""
        try:
            self.raw.connect(address)
        except BlockingIOError:
            yield self.writable
            error = self.raw.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                raise OSError(error, os.strerror(error)) from None

    def shutdown(self) -> None:
        """Say that no more will be sent; the peer reads the end of the stream. Harmless when the peer is gone."""
        try:
            self.raw.shutdown(socket.SHUT_WR)
        except OSError as error:
            if error.errno not in (errno.ENOTCONN, errno.EBADF):
                raise

    def close(self) -> Subroutine:
        """Close the socket, also if nobody yields this; twice is harmless."""
        self.raw.close()
        return nothing()

    def __enter__(self) -> Socket:
        return self

    def __exit__(self, *exc: object) -> None:
        self.raw.close()


def nothing() -> Subroutine:
    """A subroutine that has nothing to wait for."""
    return
    yield


def listen(host: str = "127.0.0.1", port: int = 0, *, backlog: int = 1024) -> Socket:
    """A socket listening on a TCP port (0: any free one). Raises OSError, for example when the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    raw = socket.socket(family, socket.SOCK_STREAM)
    try:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        raw.bind((host, port))
        raw.listen(backlog)
    except BaseException:
        raw.close()
        raise
    return Socket(raw)


def connect(host: str, port: int) -> Generator[Any, Any, Socket]:
    """Connect to a TCP server given by address; a Socket. Raises OSError."""
    conn = Socket(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM))
    try:
        yield conn.connect((host, port))
    except BaseException:
        conn.raw.close()
        raise
    return conn
