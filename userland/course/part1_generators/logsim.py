"""logsim: append lines to a log at random short intervals, as a web server would.

python -m pyos boot userland/course/part1_generators/logsim.py LOG

Something to follow, for the other programs. Chance and time come from the kernel, by traps: `boot --seed 1` gives the
same visitors every time.
"""

import time
from collections.abc import Sequence
from typing import TypeVar

from pyos import GetTime, Program, Random, Sleep
from pyos.lib.options import Options, count, seconds

OPTIONS = Options("logsim", __doc__)
OPTIONS.add_argument("log", metavar="LOG", help="the file to append to; it is made if need be")
OPTIONS.add_argument("--lines", type=count, default=20, metavar="N", help="end after so many lines (20); 0 is never")
OPTIONS.add_argument("--every", type=seconds, default=0.1, metavar="SECONDS", help="mean time between lines (0.1)")

HOSTS = [f"{network}.{number}" for network in ("192.0.2", "198.51.100", "203.0.113") for number in (4, 17, 99)]
PAGES = {  # path: bytes
    "/": 5120,
    "/course/": 9200,
    "/course/generators.html": 31744,
    "/course/kernel.html": 48128,
    "/images/trampoline.png": 120320,
    "/robots.txt": 71,
    "/downloads/pyos.tar.gz": 1048576,
}
MISSING = ["/favicon.ico", "/course/part9.html", "/admin.php"]

T = TypeVar("T")


def main(*argv: str) -> Program:
    options = OPTIONS.parse_args(argv)
    with OPTIONS.complaints(), open(options.log, "a", buffering=1) as log:
        written = 0
        while not options.lines or written < options.lines:
            line = yield visit()
            log.write(line)
            written += 1
            pause = yield Random()
            yield Sleep(options.every * 2 * pause)


def visit() -> Program:
    """One line in Apache's common log format."""
    host = yield from any_of(HOSTS)
    if (yield Random()) < 0.2:
        path, status, size = (yield from any_of(MISSING)), 404, "209"
    else:
        path = yield from any_of(list(PAGES))
        status, size = (304, "-") if (yield Random()) < 0.25 else (200, str(PAGES[path]))
    now = time.gmtime((yield GetTime(wall=True)))
    stamp = time.strftime("%d/%b/%Y:%H:%M:%S +0000", now)
    return f'{host} - - [{stamp}] "GET {path} HTTP/1.1" {status} {size}\n'


def any_of(options: Sequence[T]) -> Program:
    chance = yield Random()
    return options[int(chance * len(options))]
