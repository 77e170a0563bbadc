"""xmlbench: how fast each way to read a feed is: SAX, expat, and ElementTree's iterparse.

python -m pyos boot userland/course/part3_events/xmlbench.py FEED

"events" is parsing alone, each event sent to a coroutine that drops it; "buses" goes on to dicts and a filter. Each is
run some times, and the fastest counts.
"""

import os
import time
from collections.abc import Callable

from pyos import Program
from pyos.lib.dataflow import (
    Coroutine,
    chunks,
    coroutine,
    expat_events,
    filtered,
    iterparse_records,
    pump,
    records,
    sax_events,
    sink,
)
from pyos.lib.options import Options, positive

OPTIONS = Options("xmlbench", __doc__)
OPTIONS.add_argument("feed", metavar="FEED", help="a file of XML with <bus> elements, a few megabytes of it")
OPTIONS.add_argument("--rounds", type=positive, default=3, metavar="N", help="run each so many times (3)")


@coroutine
def drop() -> Coroutine:
    while True:
        yield


class Tally:
    """How many buses have come through."""

    def __init__(self) -> None:
        self.number = 0

    def add(self, bus: dict[str, str]) -> None:
        self.number += 1


def events(parser: Callable, feed: str, tally: Tally) -> Program:
    return pump(chunks(feed), parser(drop(), feed), breath=1)


def buses(parser: Callable, feed: str, tally: Tally) -> Program:
    return pump(chunks(feed), parser(records("bus", wanted(tally)), feed), breath=1)


def iterparsed(parser: Callable, feed: str, tally: Tally) -> Program:
    return pump(parser(feed, "bus"), wanted(tally))


def wanted(tally: Tally) -> Coroutine:
    return filtered(lambda bus: bus["route"] == "22", sink(tally.add))


VARIANTS = [
    ("events", "SAX", events, sax_events),
    ("events", "expat", events, expat_events),
    ("buses", "SAX", buses, sax_events),
    ("buses", "expat", buses, expat_events),
    ("buses", "iterparse", iterparsed, iterparse_records),
]


def main(*argv: str) -> Program:
    options = OPTIONS.parse_args(argv)
    with OPTIONS.complaints():
        megabytes = os.path.getsize(options.feed) / 1e6
        best: dict[tuple[str, str], float] = {}
        found: dict[tuple[str, str], int] = {}
        for _ in range(options.rounds):  # in turn, so that a busy machine is unkind to all of them
            for what, name, run, parser in VARIANTS:
                tally = Tally()
                start = time.process_time()  # the CPU's, which no trap answers: this measures the machine
                yield run(parser, options.feed, tally)
                spent = time.process_time() - start
                best[what, name] = min(spent, best.get((what, name), spent))
                found[what, name] = tally.number
    print(f"{'what':8}{'parser':11}{'CPU seconds':>11}{'MB/s':>8}{'times as fast as SAX':>23}{'buses':>8}")
    for (what, name), seconds in best.items():
        rate = f"{megabytes / seconds:8.1f}{best[what, 'SAX'] / seconds:23.2f}"
        print(f"{what:8}{name:11}{seconds:11.3f}{rate}{found[what, name] if what == 'buses' else '-':>8}")
