"""Part 5: a coroutine has every property of a task, shown by suspending, resuming and closing some by hand.

A task has its own flow of control and its own state, is suspended and resumed by somebody else, takes orders, and can
be ended from outside. A thread has all this from the operating system. A coroutine has it from Python alone.
"""

import argparse
import inspect
import sys
import threading


def worker(name, log):
    """A coroutine: add up what it is sent, answer the total, and clean up in the end."""
    total = 0
    try:
        while True:
            try:
                total += yield total
            except ValueError as error:
                log.append(f"{name} was told: {error}")
    finally:
        log.append(f"{name} cleans up")


def state(coroutine):
    """What Python says of it: created, suspended, running or closed."""
    return inspect.getgeneratorstate(coroutine).removeprefix("GEN_").lower()


def line(coroutine):
    """Where it stands, as a line of its own program."""
    return coroutine.gi_frame.f_lineno - coroutine.gi_code.co_firstlineno + 1


def total(coroutine):
    """One of its local variables, looked at from outside."""
    return inspect.getgeneratorlocals(coroutine)["total"]


def main(*argv):
    argparse.ArgumentParser("by_hand", argparse.SUPPRESS, __doc__).parse_args(argv)
    log = []
    ann, bob = worker("ann", log), worker("bob", log)

    print("1 It has a flow of control of its own, which begins when somebody resumes it, and stands still at a yield")
    print(f"    ann is {state(ann)}, at line {line(ann)}")
    next(ann)
    next(bob)
    print(f"    ann is {state(ann)}, at line {line(ann)}")
    yield  # pyos, if it is our host, has a turn

    print("2 It is resumed in whatever order somebody chooses, and answers")
    for name, task, number in (("ann", ann, 1), ("bob", bob, 100), ("bob", bob, 200), ("ann", ann, 2)):
        print(f"    {name} is sent {number} and answers {task.send(number)}")
    yield

    print("3 It has a state of its own, which lasts while others run")
    print(f"    the total of ann is {total(ann)}, that of bob is {total(bob)}")
    yield

    print("4 It can be interrupted with an error, which it may survive")
    ann.throw(ValueError("not so fast"))
    print(f"    {log.pop()}; ann is {state(ann)}")
    yield

    print("5 It can be ended from outside, and cleans up; then there is nothing left to resume")
    bob.close()
    print(f"    {log.pop()}; bob is {state(bob)}")
    try:
        bob.send(1)
    except StopIteration:
        print("    resuming bob raises StopIteration")
    yield

    print("6 It is cheap, and needs no thread")
    crowd = [worker(f"number {n}", log) for n in range(10_000)]
    for task in crowd:
        next(task)
    suspended = sum(state(task) == "suspended" for task in crowd)
    print(f"    {suspended:,} of them are suspended, in {threading.active_count()} thread")


if __name__ == "__main__":
    for _ in main(*sys.argv[1:]):
        pass
