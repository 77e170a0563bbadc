"""broadcast: one source, several filters, and one sink again: a flow may branch and join.

python -m pyos boot userland/course/part2_dataflow/broadcast.py LOG PATTERN...

A generator can be pulled by one consumer only, but a coroutine may send to as many targets as it likes, and many may
send to one. The joint must not be closed before the last of its inlets is: that is what `fan_in` looks after.

            ┌─ grep PATTERN ─ label ─┐
    source ─┼─ grep PATTERN ─ label ─┼─ print
            └─ grep PATTERN ─ label ─┘
"""

import re

from pyos import Program
from pyos.lib.dataflow import Target, broadcast, fan_in, filtered, mapped, pump, sink
from pyos.lib.dataflow.follow import add_arguments, followed
from pyos.lib.options import Options, pattern

OPTIONS = Options("broadcast", __doc__)
add_arguments(OPTIONS)
OPTIONS.add_argument("patterns", nargs="+", type=pattern, metavar="PATTERN", help="regular expressions")


def labelled_grep(wanted: re.Pattern[str], target: Target) -> Target:
    """Send on the lines that match, each with the pattern in front."""
    return filtered(wanted.search, mapped(lambda line: f"{wanted.pattern}: {line}", target))


def main(*argv: str) -> Program:
    options = OPTIONS.parse_args(argv)
    with OPTIONS.complaints():
        inlets = fan_in(sink(print), len(options.patterns))
        branches = [labelled_grep(wanted, inlet) for wanted, inlet in zip(options.patterns, inlets)]
        yield pump(followed(options), broadcast(*branches))
