"""reentered: one coroutine, two threads that send to it: a fault, and its cure.

python -m pyos boot userland/course/part4_concurrency/reentered.py

A generator is one frame: while it runs, nobody else can resume it. Here the first thread is held up inside the
coroutine, so the second meets it there for certain; in a real program they meet once in a thousand runs. A lock around
each send, or a queue with a thread of its own (`threaded`), lets one at a time in.
"""

import threading

from pyos import Program, Sleep
from pyos.lib.dataflow import Coroutine, Target, coroutine, sink, threaded
from pyos.lib.options import Options

OPTIONS = Options("reentered", __doc__)
ITEMS = 1000


@coroutine
def doorkeeper(inside: threading.Event, leave: threading.Event) -> Coroutine:
    """Stay inside with an item until told to leave."""
    while True:
        yield
        inside.set()
        leave.wait()


def main(*argv: str) -> Program:
    OPTIONS.parse_args(argv)
    inside, leave = threading.Event(), threading.Event()
    shared = doorkeeper(inside, leave)
    first, second = in_a_thread(shared), in_a_thread(shared)
    first.send("item")
    while not inside.is_set():
        yield Sleep(0.001)
    print("the first thread is inside the coroutine, and the second sends to it:")
    second.send("item")
    yield from second.settle()
    try:
        second.close()
    except ValueError as error:
        print(f"  ValueError: {error}")
    finally:
        leave.set()
    first.close()
    yield cure()


def in_a_thread(target: Target):
    """A thread that passes on to the target whatever it is sent."""
    return threaded(sink(target.send))


def cure() -> Program:
    """Two threads send to a third, whose queue lets one item at a time into the coroutine."""
    got = []
    shared = threaded(sink(got.append))
    senders = in_a_thread(shared), in_a_thread(shared)
    for number in range(ITEMS):
        for sender in senders:
            sender.send(number)
        yield
    for worker in (*senders, shared):
        yield from worker.settle()
        worker.close()
    print(f"with a queue in front of it: {len(got)} of {2 * ITEMS} items arrived, one at a time")
