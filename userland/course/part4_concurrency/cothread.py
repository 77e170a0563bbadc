"""cothread: a coroutine that runs in a thread of its own, behind the same send, throw and close.

python -m pyos boot userland/course/part4_concurrency/cothread.py FEED

The task parses a feed of buses and sends each on; what counts them is in a thread. `threaded` puts a queue between the
two, so `send` goes on at once; a task that must wait for the thread does so with a trap (`settle`), while others run.
Errors travel both ways: `--fail up` lets the counter refuse the third bus, `--fail down` lets the source break there.
"""

import threading

from pyos import Program
from pyos.lib.dataflow import Coroutine, Target, chunks, coroutine, expat_events, mapped, pump, records, threaded
from pyos.lib.options import Options

OPTIONS = Options("cothread", __doc__)
OPTIONS.add_argument("feed", metavar="FEED", help="a file of XML with <bus> elements")
OPTIONS.add_argument("--fail", choices=["up", "down"], help="break at the third bus: in the thread, or in the source")


class Refused(Exception):
    """The third bus is one too many."""


@coroutine
def counter(refuse: int | None) -> Coroutine:
    """Count buses by route, and say at the end how many there were, or what has gone wrong."""
    counts: dict[str, int] = {}
    number = 0
    try:
        while True:
            bus = yield
            number += 1
            if number == refuse:
                raise Refused(f"bus {bus['id']}")
            counts[bus["route"]] = counts.get(bus["route"], 0) + 1
    except GeneratorExit:
        for route, buses in sorted(counts.items()):
            print(f"route {route}: {buses}")
    except ConnectionError as error:
        print(f"the counter is told after {number} buses: {error}")
        raise
    finally:
        where = "another" if threading.current_thread() is not threading.main_thread() else "the main"
        print(f"the counter ends, in {where} thread")


class Source:
    """Passes buses on, and may break at the third."""

    def __init__(self, broken: bool) -> None:
        self.broken = broken
        self.number = 0

    def check(self, bus: dict[str, str]) -> dict[str, str]:
        self.number += 1
        if self.broken and self.number == 3:
            raise ConnectionError("the feed has broken off")
        return bus


def flow(options, worker: Target) -> Target:
    source = Source(options.fail == "down")
    return expat_events(records("bus", mapped(source.check, worker)), options.feed)


def main(*argv: str) -> Program:
    options = OPTIONS.parse_args(argv)
    with OPTIONS.complaints():
        worker = threaded(counter(3 if options.fail == "up" else None))
        try:
            yield pump(chunks(options.feed), flow(options, worker), breath=1, worker=worker)
        except Refused as error:
            OPTIONS.complain(f"came up from the thread: Refused: {error}")
        except ConnectionError as error:
            OPTIONS.complain(f"came back from the thread: ConnectionError: {error}")
