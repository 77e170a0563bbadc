"""lock_and_channel_fixed: nobody waits for the channel with the lock held."""

from typing import Any

from pyos import Channel, Lock, Program


def producer(channel: Channel[Any], journal: Lock) -> Program:
    for item in range(2):
        yield journal.acquire()
        yield journal.release()
        yield channel.put(item)


def consumer(channel: Channel[Any], journal: Lock) -> Program:
    for _ in range(2):
        yield journal.acquire()
        yield journal.release()
        yield channel.get()


def main() -> list[Program]:
    channel, journal = Channel[Any](1, "items"), Lock("journal")
    return [producer(channel, journal), consumer(channel, journal)]
