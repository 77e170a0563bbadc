"""grep: a coroutine is a generator that is sent things; it must be primed, and it notices when it is closed.

python -m pyos boot userland/course/part1_generators/grep.py PATTERN [FILE...]

`item = yield` waits for somebody's `send`. A new generator stands before its first line, so it cannot receive anything
until `next` has run it to its first yield: that is priming, and `--unprimed` shows what happens without it. `close`
raises GeneratorExit at the yield, in time for a last word.
"""

import re
from collections.abc import Generator
from contextlib import closing

from pyos import Program
from pyos.lib.console import LineReader
from pyos.lib.options import Options, pattern

OPTIONS = Options("grep", __doc__)
OPTIONS.add_argument("pattern", type=pattern, metavar="PATTERN", help="a regular expression")
OPTIONS.add_argument("files", nargs="*", metavar="FILE", help="what to search (standard input)")
OPTIONS.add_argument("--unprimed", action="store_true", help="forget to prime the coroutine")
BREATH = 1000  # lines, after which others run


def grep(wanted: re.Pattern[str]) -> Generator[None, str, None]:
    print(f"grep: looking for {wanted.pattern}")
    seen = 0
    try:
        while True:
            line = yield
            seen += 1
            if wanted.search(line):
                print(line)
    except GeneratorExit:
        print(f"grep: closed after {seen} lines")


def main(*argv: str) -> Program:
    options = OPTIONS.parse_args(argv)
    searching = grep(options.pattern)
    if not options.unprimed:
        next(searching)
    with OPTIONS.complaints(), closing(searching):
        try:
            yield send_all(options.files, searching)
        except TypeError as error:
            OPTIONS.complain(f"TypeError: {error} (prime it with next)")


def send_all(files: list[str], target: Generator[None, str, None]) -> Program:
    """Send each line of the files, or of standard input."""
    for path in files:
        with open(path, errors="replace") as file:
            for number, line in enumerate(file, 1):
                target.send(line.rstrip("\n"))
                if number % BREATH == 0:
                    yield
    if not files:
        reader = LineReader()
        while line := (yield from reader.readline()):
            target.send(line.rstrip("\n"))
