"""lock_and_channel: a journal and a channel with room for one. BUG: a task puts into the channel with the lock held.

While the channel is full it waits for the consumer, which waits for the lock.
"""

from typing import Any

from pyos import Channel, Lock, Program


def producer(channel: Channel[Any], journal: Lock) -> Program:
    for item in range(2):
        yield journal.acquire()
        yield channel.put(item)
        yield journal.release()


def consumer(channel: Channel[Any], journal: Lock) -> Program:
    for _ in range(2):
        yield journal.acquire()
        yield journal.release()
        yield channel.get()


def main() -> list[Program]:
    channel, journal = Channel[Any](1, "items"), Lock("journal")
    return [producer(channel, journal), consumer(channel, journal)]
