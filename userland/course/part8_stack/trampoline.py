"""Part 8: the problem with the stack, and the trampoline that solves it.

A generator can yield only from its own frame. So a function that it calls cannot wait on its behalf: that must be a
generator too, and somebody has to run it. A trampoline is that somebody: what is yielded to it, if it is a generator,
it runs first; the callers lie on a list meanwhile, instead of on Python's stack.
"""

import argparse
import sys
from types import GeneratorType


def trampoline(program):
    """Run a program with its subroutines; yields what is no call, and returns what the program returns."""
    running, callers, answer = program, [], None
    while True:
        try:
            yielded = running.send(answer)
        except StopIteration as end:
            if not callers:
                return end.value
            running, answer = callers.pop(), end.value
            continue
        if isinstance(yielded, GeneratorType):
            callers.append(running)
            running, answer = yielded, None
        else:
            answer = yield yielded


def add(x, y):
    """A subroutine that asks the system for something on its way."""
    yield f"add({x}, {y}) waits"
    return x + y


def calling():
    print(f"    a plain call, add(2, 3), gives a {type(add(2, 3)).__name__}, and nothing has run")
    total = yield add(2, 3)
    print(f"    a yielded call gives {total}")
    total = yield add(total, (yield add(10, 20)))
    print(f"    and calls nest: {total}")


def deep(levels):
    """A subroutine that calls itself, as deep as it is told."""
    return 0 if levels == 0 else 1 + (yield deep(levels - 1))


def deep_from(levels):
    """The same with `yield from`, which nests Python's own stack."""
    return 0 if levels == 0 else 1 + (yield from deep_from(levels - 1))


def main(*argv):
    argparse.ArgumentParser("trampoline", argparse.SUPPRESS, __doc__).parse_args(argv)
    print("1 A subroutine that yields")
    for request in trampoline(calling()):
        print(f"    the system sees: {request}")
        yield  # pyos, if it is our host, has a turn
    print("2 How deep it goes")
    for function in (deep, deep_from):
        try:
            levels = yield from trampoline(function(100_000))
            print(f"    {function.__name__}: {levels:,} levels")
        except RecursionError:
            print(f"    {function.__name__}: RecursionError")


if __name__ == "__main__":
    for _ in main(*sys.argv[1:]):
        pass
