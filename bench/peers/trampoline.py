"""The least that can run subroutines: a deque of tasks, each a list of generators. No traps, no waiting, no tids.

A program is a generator; it may yield None (let others run) or a generator: a call, whose return value is the answer,
and whose exception is raised in the caller.
"""

import platform
from collections import deque

TITLE = "minimal trampoline"
IS_LIMIT = True


def version():
    return platform.python_version()


def run(program, *args, **params):
    loop([program(*args, **params)])


def loop(programs):
    """Run programs until the last has ended."""
    ready = deque([program] for program in programs)
    popleft, append = ready.popleft, ready.append
    while ready:
        stack = popleft()
        answer = error = None
        while stack:
            try:
                yielded = stack[-1].send(answer) if error is None else stack[-1].throw(error)
            except StopIteration as stop:
                stack.pop()
                answer, error = stop.value, None
                continue
            except BaseException as exc:
                if len(stack) == 1:
                    raise
                stack.pop()
                answer, error = None, exc
                continue
            if yielded is None:
                append(stack)
                break
            stack.append(yielded)
            answer = error = None
