"""Stage 1: a task is a generator with a number.

The number, its tid, names it from outside. The generator is its program: it has a flow of control and local variables
of its own, and stands still between two yields. Nobody schedules tasks yet: here they are resumed by hand.
"""

import argparse
import sys


class Task:
    """A program that is resumed from one yield to the next."""

    def __init__(self, tid, gen):
        self.tid, self.gen = tid, gen


def count(name, turns):
    for n in range(1, turns + 1):
        print(f"{name}: {n}")
        yield


def main(*argv):
    argparse.ArgumentParser("stage1_task", argparse.SUPPRESS, __doc__).parse_args(argv)
    hare, tortoise = Task(1, count("hare", 2)), Task(2, count("tortoise", 4))
    for task in (hare, tortoise, tortoise, hare):
        next(task.gen)
        yield  # pyos, if it is our host, has a turn
    try:
        next(hare.gen)
    except StopIteration:
        print(f"task {hare.tid} has come to its end, which is StopIteration")


if __name__ == "__main__":
    for _ in main(*sys.argv[1:]):
        pass
