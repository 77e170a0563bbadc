"""logreport: what a web server did, from its logs: a pipeline of generators over files larger than memory.

python -m pyos boot userland/course/part1_generators/logreport.py LOG...

Each stage is a generator that pulls from the one before: files, their lines, the fields of each. One line is in memory
at a time, whatever the size of the logs, which may be gzipped. The tables keep the most frequent keys only, so they
are bounded too.
"""

import gzip
import heapq
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from typing import IO

from pyos import Program
from pyos.lib.dataflow.follow import open_regular
from pyos.lib.options import BadInput, Options, positive

OPTIONS = Options("logreport", __doc__)
OPTIONS.add_argument("logs", nargs="+", metavar="LOG", help="a log in Apache's common or combined format, or gzipped")
OPTIONS.add_argument("--top", type=positive, default=5, metavar="N", help="how many paths and hosts to list (5)")

BREATH = 1000  # lines, after which others run
LONGEST = 8192  # bytes of a line; what is longer is no line of a log
ENTRY = re.compile(rb'(\S+) \S+ \S+ \[[^]]*\] "(?:\S+ )?(\S+)[^"]*" (\d{3}) (\d+|-)')
Entry = tuple[str, str, str, int]


# --- the stages


def files(paths: Iterable[str]) -> Iterator[tuple[str, IO[bytes]]]:
    """Open each log, unpacked if it is gzipped, and close it when the next one is asked for."""
    for path in paths:
        with os.fdopen(open_regular(path), "rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            yield path, (gzip.GzipFile(fileobj=file) if packed else file)


def lines(opened: Iterable[tuple[str, IO[bytes]]]) -> Iterator[bytes]:
    """The lines of all of them. Raises BadInput for a damaged archive, after the lines before the damage."""
    for path, file in opened:
        try:
            while line := file.readline(LONGEST):
                yield line
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise BadInput(f"{path}: damaged: {error}") from None


def entries(log: Iterable[bytes]) -> Iterator[Entry | None]:
    """Host, path, status and bytes of each line; None for one that cannot be understood."""
    for line in log:
        if found := ENTRY.match(line):
            host, path, status, size = found.groups()
            yield text(host), text(path), text(status), 0 if size == b"-" else int(size)
        else:
            yield None


def text(part: bytes) -> str:
    return part[:200].decode(errors="replace")


# --- the report


class Top:
    """Counts the most frequent of any number of keys, in the memory of twice LIMIT.

    The rarer half is forgotten when there are too many. A key that was forgotten and came again may be counted too low,
    by `lost` at most.
    """

    LIMIT = 10_000

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.lost = 0

    def add(self, key: str) -> None:
        self.counts[key] = self.counts.get(key, 0) + 1
        if len(self.counts) >= 2 * self.LIMIT:
            kept = self.most(self.LIMIT)
            self.lost += kept[-1][1]
            self.counts = dict(kept)

    def most(self, number: int) -> list[tuple[str, int]]:
        return heapq.nsmallest(number, self.counts.items(), key=lambda entry: (-entry[1], entry[0]))


class Report:
    """What has been counted so far."""

    def __init__(self) -> None:
        self.lines = self.strange = self.bytes = 0
        self.statuses, self.paths, self.missing = Top(), Top(), Top()

    def add(self, entry: Entry | None) -> None:
        self.lines += 1
        if entry is None:
            self.strange += 1
            return
        host, path, status, size = entry
        self.bytes += size
        self.statuses.add(status)
        self.paths.add(path)
        if status == "404":
            self.missing.add(host)

    def show(self, top: int) -> None:
        print(f"{self.lines} lines, {self.strange} of them not understood, {self.bytes} bytes")
        self.table("status", sorted(self.statuses.counts.items()), 0)
        self.table("path", self.paths.most(top), self.paths.lost)
        self.table("host with 404s", self.missing.most(top), self.missing.lost)

    def table(self, title: str, rows: list[tuple[str, int]], lost: int) -> None:
        print(f"\n   COUNT  {title.upper()}" + (f" (counts may be too low by up to {lost})" if lost else ""))
        for key, number in rows:
            print(f"{number:8}  {key}")


def main(*argv: str) -> Program:
    options = OPTIONS.parse_args(argv)
    report = Report()
    with OPTIONS.complaints():
        try:
            for number, entry in enumerate(entries(lines(files(options.logs))), 1):
                report.add(entry)
                if number % BREATH == 0:
                    yield
        except (BadInput, OSError):
            if report.lines:
                report.show(options.top)  # what was read counts; the complaint comes after it
            raise
        report.show(options.top)
