"""countdown: a generator runs only when somebody asks it for the next value.

python -m pyos boot userland/course/part1_generators/countdown.py 3

Calling a generator function runs nothing of it. Each `next` runs it to its next `yield`, and `for` does the asking.
The kernel runs tasks in just this way: `main` below is a generator too, and every step of it is somebody's `next`.
"""

from collections.abc import Iterator

from pyos import Program, Sleep
from pyos.lib.options import Options, count, seconds

OPTIONS = Options("countdown", __doc__)
OPTIONS.add_argument("start", type=count, nargs="?", default=5, metavar="N", help="where to begin (5)")
OPTIONS.add_argument("--every", type=seconds, default=0.0, metavar="SECONDS", help="wait after each number (0)")


def countdown(n: int) -> Iterator[int]:
    print(f"countdown: somebody asks, so I begin at {n}")
    while n > 0:
        yield n
        n -= 1
    print("countdown: there is nothing left to yield")


def main(*argv: str) -> Program:
    options = OPTIONS.parse_args(argv)
    numbers = countdown(options.start)
    print("main: the generator exists, and nothing of it has run")
    for number in numbers:
        print(number)
        yield Sleep(options.every)
