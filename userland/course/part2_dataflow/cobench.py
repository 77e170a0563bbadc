"""cobench: what a send to a coroutine costs, beside a method of an object and a plain function.

python -m pyos boot userland/course/part2_dataflow/cobench.py [--items N]

Each of the three is a filter that looks for a word and hands what it finds to the next. The coroutine has its state in
local variables, the object in attributes that it has to fetch through `self`.
"""

import time
from collections.abc import Callable

from pyos import Program
from pyos.lib.dataflow import Coroutine, Target, coroutine, sink
from pyos.lib.options import Options, positive

OPTIONS = Options("cobench", __doc__)
OPTIONS.add_argument("--items", type=positive, default=200_000, metavar="N", help="how many to send to each (200000)")
OPTIONS.add_argument("--rounds", type=positive, default=3, metavar="N", help="run each so often, the best counts (3)")

SLICE = 10_000  # items that are sent at once, before others run
LINES = ["a line without it", "a line with python in it"] * (SLICE // 2)


@coroutine
def cogrep(word: str, target: Target) -> Coroutine:
    send = target.send
    while True:
        line = yield
        if word in line:
            send(line)


class Grep:
    def __init__(self, word: str, target: Target) -> None:
        self.word = word
        self.target = target

    def send(self, line: str) -> None:
        if self.word in line:
            self.target.send(line)


def closure_grep(word: str, target: Target) -> Callable[[str], None]:
    send = target.send

    def grep(line: str) -> None:
        if word in line:
            send(line)

    return grep


def nothing(line: str) -> None:
    pass


def main(*argv: str) -> Program:
    options = OPTIONS.parse_args(argv)
    variants = {
        "coroutine": cogrep("python", sink(nothing)).send,
        "object with a send method": Grep("python", sink(nothing)).send,
        "function that is a closure": closure_grep("python", sink(nothing)),
    }
    best: dict[str, float] = {}
    for _ in range(options.rounds):  # in turn, so that a busy machine is unkind to all of them
        for name, send in variants.items():
            spent = yield measure(send, options.items)
            best[name] = min(spent, best.get(name, spent))
    print(f"{'one send to a':28}{'ns':>6}{'of the coroutine':>20}")
    for name, seconds in best.items():
        print(f"{name:28}{seconds / options.items * 1e9:6.0f}{seconds / best['coroutine']:20.2f}")


def measure(send: Callable[[str], object], items: int) -> Program:
    """CPU seconds (which no trap answers: this measures the machine) for so many sends; others run in between."""
    spent = 0.0
    for sent in range(0, items, SLICE):
        lines = LINES[: items - sent]
        start = time.process_time()
        for line in lines:
            send(line)
        spent += time.process_time() - start
        yield
    return spent
