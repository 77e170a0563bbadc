"""pipeline: follow | grep PATTERN, as two generators of which one pulls from the other.

python -m pyos boot userland/course/part1_generators/pipeline.py PATTERN LOG

Nothing moves until the last one asks: `main` pulls from `grep`, which pulls from `follow`. What is no line is a trap on
its way from the innermost generator out to the kernel, so each stage hands it on.
"""

import re
from collections.abc import Iterator

from pyos import Program, Trap
from pyos.lib.dataflow.follow import add_arguments, followed
from pyos.lib.options import Options, pattern

OPTIONS = Options("pipeline", __doc__)
OPTIONS.add_argument("pattern", type=pattern, metavar="PATTERN", help="a regular expression")
add_arguments(OPTIONS)

Items = Iterator[str | Trap[None]]


def grep(wanted: re.Pattern[str], items: Items) -> Items:
    """The items that match, and every trap."""
    for item in items:
        if not isinstance(item, str) or wanted.search(item):
            yield item


def main(*argv: str) -> Program:
    options = OPTIONS.parse_args(argv)
    with OPTIONS.complaints():
        for item in grep(options.pattern, followed(options)):
            if isinstance(item, str):
                print(item)
            else:
                yield item
