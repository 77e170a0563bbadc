"""The load test: blaster against the echo server written with tasks, threads and asyncio, and what each of them took.

Every measurement has a server process of its own, and the ways take turns, so that a busy machine is unfair to all of
them alike. CPU time is what the server process says of itself. Times are medians; a ratio says how much more a server
took than the one with tasks, and is the median of the ratios within a round.

Boot it: python -m pyos boot userland/course/loadtest/loadtest.py [--connections N] [--messages M] [--rounds R]
"""

import argparse
import sys
from pathlib import Path
from statistics import median
from subprocess import PIPE, Popen

from pyos import Exec, GetTime, Program, WaitTask
from pyos.lib.console import LineReader

HERE = Path(__file__).resolve().parent
SERVERS = str(HERE / "echo_servers.py")
WAYS = {
    "tasks": [sys.executable, "-m", "pyos", "boot", SERVERS, "tasks"],
    "threads": [sys.executable, SERVERS, "threads"],
    "asyncio": [sys.executable, SERVERS, "asyncio"],
}


class Failed(Exception):
    """A measurement could not be made."""


def main(*argv: str) -> Program:
    parser = argparse.ArgumentParser("loadtest", argparse.SUPPRESS, __doc__)
    parser.add_argument("--connections", type=a_number, default=10, help="how many at the same time (default 10)")
    parser.add_argument("--messages", type=a_number, default=20, help="how many for each connection (default 20)")
    parser.add_argument("--rounds", type=a_number, default=1, help="how often everything is measured (default 1)")
    options = parser.parse_args(argv)
    blaster = ["--connections", str(options.connections), "--messages", str(options.messages)]
    results: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    try:
        for number in range(options.rounds):
            for way in rotated(list(WAYS), number):
                print(f"loadtest: round {number + 1} of {options.rounds}, {way}", flush=True)
                results[way].append((yield measure(way, *blaster)))
    except Failed as error:
        print(f"loadtest: {error}", file=sys.stderr)
        return 1
    print(table(results, options.connections * options.messages))
    return 0


def a_number(text: str) -> int:
    """A whole number above zero."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def rotated(ways: list[str], number: int) -> list[str]:
    """The ways, each in turn being the first."""
    return ways[number % len(ways) :] + ways[: number % len(ways)]


def measure(way: str, *blaster: str) -> Program:
    """Seconds of wall time, and of the server's CPU time, for one run of blaster. Raises Failed."""
    with Popen(WAYS[way], stdin=PIPE, stdout=PIPE) as server:
        try:
            lines = LineReader(server.stdout.fileno())
            greeting = yield lines.readline()
            port = greeting.strip().rpartition(":")[2]
            if not port.isdecimal():
                raise Failed(f"the server with {way} did not start")
            start = yield GetTime()
            status = yield WaitTask((yield Exec(str(HERE / "blaster.py"), port, *blaster)))
            wall = (yield GetTime()) - start
            if status.value != 0:
                raise Failed(f"blaster failed against the server with {way}")
            server.terminate()
            words = (yield lines.readline()).split()
            if "CPU" not in words:
                raise Failed(f"the server with {way} did not say how much CPU time it used")
            return wall, float(words[1])
        finally:
            server.kill()


def table(results: dict[str, list[tuple[float, float]]], messages: int) -> str:
    """The results as lines of text, wall time and CPU time side by side."""
    lines = ["server     wall s    CPU s   CPU µs/message   wall ratio   CPU ratio"]
    for way, runs in results.items():
        wall, cpu = (median(run[part] for run in runs) for part in (0, 1))
        ratios = [median(run[part] / base[part] for run, base in zip(runs, results["tasks"])) for part in (0, 1)]
        each = cpu / messages * 1e6
        lines.append(f"{way:8} {wall:8.3f} {cpu:8.3f} {each:16.1f} {ratios[0]:12.2f} {ratios[1]:11.2f}")
    return "\n".join(lines)
