"""stages: a filter, a throttle and a batch, one behind the other.

python -m pyos boot userland/course/part2_dataflow/stages.py LOG --only PATTERN --every SECONDS --batch N

A filter drops what is not wanted; a throttle lets one line pass in so many seconds, and keeps the newest of the others;
a batch collects lines and sends them on together. None of them waits: a stage runs inside its sender's `send`. A
throttle needs the time, which only a task can ask the kernel for: the source asks, and the throttle reads its clock.
"""

import re
from collections.abc import Iterator

from pyos import GetTime, Program
from pyos.lib.dataflow import batch, filtered, outlet, sink, throttle
from pyos.lib.dataflow.follow import add_arguments, followed
from pyos.lib.options import Options, pattern, positive, seconds

OPTIONS = Options("stages", __doc__)
add_arguments(OPTIONS)
OPTIONS.add_argument("--only", type=pattern, default=re.compile(""), metavar="PATTERN", help="what is wanted (all)")
OPTIONS.add_argument("--every", type=seconds, default=0.0, metavar="SECONDS", help="one line in so many seconds (0)")
OPTIONS.add_argument("--batch", type=positive, default=3, metavar="N", help="lines to a batch (3)")


class Clock:
    """The time as the source last heard it."""

    time = 0.0

    def now(self) -> float:
        return self.time


def show(lines: list[str]) -> None:
    print(f"a batch of {len(lines)}:")
    for line in lines:
        print(f"  {line}")


def timed(items: Iterator, clock: Clock, flow) -> Program:
    """The source: before each line, set the clock."""
    with outlet(flow) as send:
        for item in items:
            if isinstance(item, str):
                clock.time = yield GetTime()
                send(item)
            else:
                yield item


def main(*argv: str) -> Program:
    options = OPTIONS.parse_args(argv)
    clock = Clock()
    flow = filtered(options.only.search, throttle(options.every, clock.now, batch(options.batch, sink(show))))
    with OPTIONS.complaints():
        yield timed(followed(options), clock, flow)
