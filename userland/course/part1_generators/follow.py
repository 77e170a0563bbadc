"""follow: print the lines that are added to a log, as `tail -F` does.

python -m pyos boot userland/course/part1_generators/follow.py LOG

A generator can produce lines that are not there yet: it waits. This one waits in the kernel, so that a thousand can
follow at once: between lines it yields a trap (`Sleep`), and whoever pulls passes the trap on to the kernel. It goes on
when the log is truncated or rotated. The generator itself is in pyos/lib/dataflow/follow.py.
"""

from pyos import Program
from pyos.lib.dataflow.follow import add_arguments, followed
from pyos.lib.options import Options

OPTIONS = Options("follow", __doc__)
add_arguments(OPTIONS)


def main(*argv: str) -> Program:
    options = OPTIONS.parse_args(argv)
    with OPTIONS.complaints():
        for item in followed(options):
            if isinstance(item, str):
                print(item)
            else:
                yield item  # a trap, for the kernel
