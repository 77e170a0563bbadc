"""How much memory `buses` takes at most for a feed of so many megabytes: `python -m tests.course.bigfeed 10 100`.

Run as a program, so that the peaks are those of a small parent's children; prints one line a size. The feeds are made
in a folder of their own, and removed.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time

PART3 = "userland/course/part3_events"


def boot(program: str, *args: str, stdout: int | None = None) -> None:
    subprocess.run([sys.executable, "-m", "pyos", "boot", program, *args], check=True, stdout=stdout)


def measure(megabytes: int) -> str:
    """In a process of its own, whose only large child is the one that is measured."""
    with tempfile.TemporaryDirectory() as folder:
        feed = os.path.join(folder, "feed.xml")
        boot(f"{PART3}/makefeed.py", feed, "--megabytes", str(megabytes), stdout=subprocess.DEVNULL)
        start = time.monotonic()
        boot(f"{PART3}/buses.py", feed, "--route", "22", "--direction", "North Bound", stdout=subprocess.DEVNULL)
        seconds = time.monotonic() - start
        size = os.path.getsize(feed) / 1e6
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return f"{size:.0f} MB: peak {peak} KiB, {seconds:.1f} s"


def main(*sizes: str) -> None:
    if len(sizes) == 1:
        print(measure(int(sizes[0])))
        return
    for size in sizes:
        subprocess.run([sys.executable, "-m", "tests.course.bigfeed", size], check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
