"""cofollow: the same log, pushed: the source sends each line into a coroutine that prints it.

python -m pyos boot userland/course/part2_dataflow/cofollow.py LOG

In a pull pipeline the last stage asks; here the first one decides. Only the source waits, so only the source is a task
and yields traps: a sink knows nothing of a kernel, and works as well without one.
"""

from pyos import Program
from pyos.lib.dataflow import Coroutine, Target, coroutine, outlet
from pyos.lib.dataflow.follow import add_arguments, followed
from pyos.lib.options import Options

OPTIONS = Options("cofollow", __doc__)
add_arguments(OPTIONS)


@coroutine
def printer() -> Coroutine:
    """The sink."""
    try:
        while True:
            print((yield))
    finally:
        print("printer: closed")


def cofollow(items, target: Target) -> Program:
    """The source: send lines down, yield traps up, and close the target in the end."""
    with outlet(target) as send:
        for item in items:
            if isinstance(item, str):
                send(item)
            else:
                yield item


def main(*argv: str) -> Program:
    options = OPTIONS.parse_args(argv)
    with OPTIONS.complaints():
        yield cofollow(followed(options), printer())
