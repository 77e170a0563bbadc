"""The process at the other end of processes.py: `python -P worker.py FD`, with FD a socket to its parent.

It is run by its path and imports only the standard library, until the parent has sent where everything else is. Both
ends speak in frames: a length and a pickled pair.

    parent: ("make", (sys.path, where, name, args))  ("send", item)  ("throw", error)  ("ping", None)  ("close", None)
    worker: ("pong", None)  ("answer", what a throw answered)  ("back", None) when it raised what was thrown
            ("ended", None or the error)  ("failed", (description, traceback)) for an error that cannot be pickled

When the parent is gone without having closed, or what it sent cannot be read, that is thrown into the coroutine.
"""

from __future__ import annotations

import importlib
import importlib.util
import pickle
import socket
import struct
import sys
import traceback
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

FILE = "__worker__"  # the name of a program file's module over here
HEADER = struct.Struct("!Q")
Frame = tuple[str, Any]


def packed(kind: str, value: Any) -> bytes:
    """A frame as bytes. Raises what pickle raises for a value that cannot be pickled."""
    data = pickle.dumps((kind, value), pickle.HIGHEST_PROTOCOL)
    return HEADER.pack(len(data)) + data


def unpacked(buffer: bytearray) -> Iterator[bytes]:
    """Take the complete frames out of a buffer, still pickled."""
    while len(buffer) >= HEADER.size:
        end = HEADER.size + HEADER.unpack_from(buffer)[0]
        if len(buffer) < end:
            return
        data = bytes(memoryview(buffer)[HEADER.size : end])
        del buffer[:end]
        yield data


def frames(parent: socket.socket) -> Iterator[bytes]:
    """What the parent sends, until it closes the socket or is gone."""
    buffer = bytearray()
    with suppress(ConnectionError):
        while data := parent.recv(65536):
            buffer += data
            yield from unpacked(buffer)


def make(path: list[str], where: str, name: str, args: tuple[Any, ...]) -> Any:
    """The coroutine: `name(*args)` of a module, or of a program file."""
    sys.path[:] = path
    if where.endswith(".py"):
        spec = importlib.util.spec_from_file_location(FILE, where)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[FILE] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    else:
        module = importlib.import_module(where)
    function: Any = module
    for part in name.split("."):
        function = getattr(function, part)
    return function(*args)


def serve(parent: socket.socket, incoming: Iterator[bytes]) -> None:
    """Carry out the parent's orders until the coroutine has ended, which it may do by raising StopIteration."""
    target = make(*pickle.loads(next(incoming))[1])
    for data in incoming:
        try:
            kind, value = pickle.loads(data)
        except Exception as error:
            kind, value = "spoilt", error
        if kind == "send":
            target.send(value)
        elif kind == "throw":
            parent.sendall(thrown(target, value))
        elif kind == "spoilt":
            target.throw(value)
        elif kind == "ping":
            parent.sendall(packed("pong", None))
        else:
            target.close()
            return
    target.throw(ConnectionError("the process that sends is gone"))


def thrown(target: Any, error: BaseException) -> bytes:
    """Throw, and report what became of it."""
    try:
        return packed("answer", target.throw(error))
    except BaseException as raised:
        if raised is not error:
            raise
    return packed("back", None)


def last_words(error: BaseException) -> bytes:
    """The report of an error, with its traceback as a note; a description if the parent could not unpickle it."""
    note = "In the worker process:\n" + "".join(traceback.format_exception(error)).rstrip()
    copy = travels(error)
    if copy is None or type(error).__module__ == FILE:  # a class that the parent does not know
        return packed("failed", (described(error), note))
    copy.add_note(note)
    return packed("ended", copy)


def travels(error: BaseException) -> BaseException | None:
    """A copy of an error as it would arrive in another process; None if it would not."""
    try:
        copy: BaseException = pickle.loads(pickle.dumps(error))
    except Exception:
        return None
    return copy if isinstance(copy, BaseException) else None


def described(error: BaseException) -> str:
    """An error's type and text."""
    return "".join(traceback.format_exception_only(error)).strip()


def main(fd: int) -> None:
    with socket.socket(fileno=fd) as parent:
        parent.set_inheritable(False)  # else a child of ours would keep it open, and hide our death
        incoming = frames(parent)
        report = packed("ended", None)
        try:
            serve(parent, incoming)
        except StopIteration:
            pass
        except BaseException as error:
            report = last_words(error)
        with suppress(ConnectionError):  # the parent may be gone
            parent.sendall(report)


if __name__ == "__main__":
    main(int(sys.argv[1]))
