"""copipe: a push pipeline: the source sends to a filter, which sends on to a sink.

python -m pyos boot userland/course/part2_dataflow/copipe.py PATTERN LOG

A stage receives with `yield` and passes on with `send`. `outlet` gives it its way down, and closes the target when the
stage is closed: so the end of the flow travels from the source to the last sink.
"""

import re

from pyos import Program
from pyos.lib.dataflow import Coroutine, Target, coroutine, outlet, pump, sink
from pyos.lib.dataflow.follow import add_arguments, followed
from pyos.lib.options import Options, pattern

OPTIONS = Options("copipe", __doc__)
OPTIONS.add_argument("pattern", type=pattern, metavar="PATTERN", help="a regular expression")
add_arguments(OPTIONS)


@coroutine
def grep(wanted: re.Pattern[str], target: Target) -> Coroutine:
    """Send on the lines that match."""
    with outlet(target) as send:
        while True:
            line = yield
            if wanted.search(line):
                send(line)


def main(*argv: str) -> Program:
    options = OPTIONS.parse_args(argv)
    with OPTIONS.complaints():
        yield pump(followed(options), grep(options.pattern, sink(print)))
