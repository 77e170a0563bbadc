"""The solution of exercise 8: a trampoline on which errors travel."""

from types import GeneratorType


def trampoline(program):
    running, callers = program, []
    answer, error = None, None
    while True:
        try:
            yielded = running.send(answer) if error is None else running.throw(error)
        except BaseException as end:
            if not callers:
                if isinstance(end, StopIteration):
                    return end.value
                raise
            running = callers.pop()
            answer, error = (end.value, None) if isinstance(end, StopIteration) else (None, end)
            continue
        answer, error = None, None
        if isinstance(yielded, GeneratorType):
            callers.append(running)
            running = yielded
            continue
        try:
            answer = yield yielded
        except BaseException as thrown:
            error = thrown
