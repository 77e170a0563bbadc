"""Running the course's programs: inside the kernel of a test, or booted as a reader boots them."""

import glob
import os
import subprocess
import sys

from pyos import Exec, WaitTask

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAMS = {os.path.basename(path)[:-3]: path for path in sorted(glob.glob(f"{ROOT}/userland/course/part[1-4]_*/*.py"))}


def program(name, *argv):
    """Exec a program of the course, by its name."""
    return Exec(PROGRAMS[name], *map(str, argv))


def done(name, *argv):
    """As a subroutine: run a program to its end; its exit status."""
    tid = yield program(name, *argv)
    return (yield WaitTask(tid))


def boot(name, *argv, seed=1, **options):
    """Boot a program in a process of its own; its CompletedProcess, with text."""
    command = [sys.executable, "-m", "pyos", "boot", "--seed", str(seed), PROGRAMS[name], *map(str, argv)]
    return subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=100, check=False, **options)


def lines(text):
    """What was printed, line by line."""
    return text.splitlines()


def ticks(turns):
    """A task that lets others run, for ever; `turns` grows with each of its own."""
    while True:
        turns.append(1)
        yield
