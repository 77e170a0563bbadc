"""readers_and_writers_fixed: everybody passes a turnstile, and a writer keeps it while it waits for the room.

A reader that has passed the turnstile before may still enter, so each overtakes the writer once at most.
"""

from typing import NamedTuple

from pyos import Cell, Lock, Program, Semaphore


class Room(NamedTuple):
    turnstile: Lock
    free: Semaphore  # nobody is inside
    door: Lock  # guards `readers`
    readers: Cell[int]
    writer_waits: Cell[bool]


def enter(room: Room) -> Program:
    yield room.turnstile.acquire()
    yield room.turnstile.release()
    yield room.door.acquire()
    readers = yield room.readers.load()
    if readers == 0:
        yield room.free.acquire()
    yield room.readers.store(readers + 1)
    overtakes = yield room.writer_waits.load()
    yield room.door.release()
    return overtakes


def leave(room: Room) -> Program:
    yield room.door.acquire()
    readers = (yield room.readers.load()) - 1
    yield room.readers.store(readers)
    if readers == 0:
        yield room.free.release()
    yield room.door.release()


def reader(room: Room) -> Program:
    overtaken = 0
    for _ in range(2):
        overtaken += yield enter(room)
        assert overtaken < 2, "the writer starves: it was overtaken twice by one reader"
        yield leave(room)


def writer(room: Room) -> Program:
    yield room.turnstile.acquire()
    yield room.writer_waits.store(True)
    yield room.free.acquire()
    yield room.writer_waits.store(False)
    yield room.free.release()
    yield room.turnstile.release()


def main() -> list[Program]:
    room = Room(Lock("turnstile"), Semaphore(1, "room"), Lock("door"), Cell(0, "readers"), Cell(False, "writer waits"))
    return [reader(room), reader(room), writer(room)]
