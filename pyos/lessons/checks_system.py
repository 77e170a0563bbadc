"""The checks of the exercises of lessons 7 and 8: an operating system, a trampoline.

Time is counted in steps here: a program that has not ended after so many is taken never to end.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from pyos.lessons.checks_flow import Check, Failed, same

STEPS = 1000  # after which a program is taken never to end


# --- lesson 7: messages


def run(module: ModuleType, *programs: Any, until: Any = None) -> Any:
    """Run programs as tasks 1, 2, … of the learner's kernel until all have ended, or a list `until` is filled."""
    kernel = module.Kernel()
    for program in programs:
        kernel.spawn(program)
    for _ in range(STEPS):
        if not kernel.tasks or until:
            return kernel
        if not kernel.ready:
            raise Failed("every task is blocked, so that nobody can ever run again")
        kernel.step()
    raise Failed(f"after {STEPS} steps it had not come to an end")


def receiver(module: ModuleType, got: list[Any], messages: int = 1) -> Any:
    """A program that receives so many messages."""
    for _ in range(messages):
        got.append((yield module.Receive()))


def sender(module: ModuleType, tid: int, *messages: Any) -> Any:
    """A program that sends messages to a task."""
    for message in messages:
        yield module.Send(tid, message)


def idle(turns: int) -> Any:
    """A program that does nothing for some turns."""
    for _ in range(turns):
        yield


def message_comes(module: ModuleType) -> None:
    got: list[Any] = []
    run(module, receiver(module, got), sender(module, 1, "hello"))
    same(got, [(2, "hello")], "what task 1 receives from task 2")


def message_waits(module: ModuleType) -> None:
    def late() -> Any:
        yield from idle(5)
        yield from receiver(module, got)

    got: list[Any] = []
    run(module, late(), sender(module, 1, "early"))
    same(got, [(2, "early")], "what a task receives that asks later")


def messages_in_order(module: ModuleType) -> None:
    def late() -> Any:
        yield from idle(9)
        yield from receiver(module, got, 3)

    got: list[Any] = []
    run(module, late(), sender(module, 1, "a", "b", "c"))
    same(got, [(2, "a"), (2, "b"), (2, "c")], "what is received, in order,")


def receive_blocks(module: ModuleType) -> None:
    got: list[Any] = []
    over: list[bool] = []

    def watch() -> Any:
        yield from idle(5)
        over.append(True)
        yield

    kernel = run(module, receiver(module, got), watch(), until=over)
    if got:
        raise Failed(f"Receive answered {got[0]!r}, and nobody had sent anything")
    if any(task.tid == 1 for task in kernel.ready):
        raise Failed("the task is still in kernel.ready: a blocked task must be in no queue, and cost no turns")


def two_receivers(module: ModuleType) -> None:
    first: list[Any] = []
    second: list[Any] = []

    def both() -> Any:
        yield from idle(3)
        yield module.Send(2, "for 2")
        yield module.Send(1, "for 1")

    run(module, receiver(module, first), receiver(module, second), both())
    same((first, second), ([(3, "for 1")], [(3, "for 2")]), "what tasks 1 and 2 receive")


def send_answers(module: ModuleType) -> None:
    def program() -> Any:
        tid = yield module.NewTask(idle(3))
        answers.append((yield module.Send(tid, "are you there?")))
        yield module.WaitTask(tid)
        answers.append((yield module.Send(tid, "and now?")))
        answers.append((yield module.Send(99, "nobody")))

    answers: list[Any] = []
    run(module, program())
    same(answers, [True, False, False], "the answers to Send (to a task, to one that has ended, to a tid of nobody)")


def the_rest_works(module: ModuleType) -> None:
    def program() -> Any:
        found.append((yield module.GetTid()))
        found.append((yield module.WaitTask((yield module.NewTask(idle(3))))))
        found.append((yield module.KillTask(99)))

    found: list[Any] = []
    run(module, program())
    same(found, [1, True, False], "the answers to GetTid, WaitTask and KillTask")


LESSON_7: dict[str, Check] = {
    "a message reaches the task that waits for it": message_comes,
    "a message that comes before Receive waits in the mailbox": message_waits,
    "messages are received in the order of sending": messages_in_order,
    "Receive blocks while there is no message": receive_blocks,
    "each task has a mailbox of its own": two_receivers,
    "Send answers whether there is such a task": send_answers,
    "the other traps work as before": the_rest_works,
}


# --- lesson 8: trampoline(program)


def drive(module: ModuleType, program: Any) -> tuple[list[Any], Any]:
    """The requests that come out of the learner's trampoline, each answered with itself, and what it returns."""
    running = module.trampoline(program)
    requests: list[Any] = []
    answer = None
    for _ in range(STEPS):
        try:
            answer = running.send(answer)
        except StopIteration as end:
            return requests, end.value
        requests.append(answer)
    raise Failed(f"after {STEPS} requests the program had not come to its end")


def ask(request: Any) -> Any:
    return (yield request)


def broken(message: str) -> Any:
    yield "before"
    raise KeyError(message)


def values_come_back(module: ModuleType) -> None:
    def program() -> Any:
        first = yield ask(1)
        second = yield ask(2)
        return [first, second]

    same(drive(module, program()), ([1, 2], [1, 2]), "requests and result of a program with two calls")


def error_reaches_caller(module: ModuleType) -> None:
    def middle() -> Any:
        yield broken("here")

    def program() -> Any:
        try:
            yield middle()
        except KeyError as error:
            return error.args[0]
        return "nothing"

    same(drive(module, program())[1], "here", "what the caller of the caller catches")


def goes_on_after_error(module: ModuleType) -> None:
    def program() -> Any:
        results = []
        for number in (1, 2):
            try:
                yield broken("here")
            except KeyError:
                results.append((yield ask(number)))
        return results

    found = drive(module, program())
    same(found, (["before", 1, "before", 2], [1, 2]), "requests and result of a program that calls after it caught")


def uncaught_comes_out(module: ModuleType) -> None:
    def program() -> Any:
        yield broken("here")

    try:
        found = drive(module, program())
    except KeyError:
        return
    raise Failed(f"no error came out of it, but the result {found[1]!r}")


def suspended(module: ModuleType, log: list[str]) -> tuple[Any, list[Any]]:
    """A trampoline that stands at a yield two calls deep; and the frames, so that nobody else closes them."""

    def frame(name: str, inner: Any) -> Any:
        try:
            yield inner
        finally:
            log.append(name)

    innermost = frame("innermost", "request")
    frames = [innermost, frame("middle", innermost)]
    frames.append(frame("outermost", frames[-1]))
    running = module.trampoline(frames[-1])
    next(running)
    return running, frames


def closes_all(module: ModuleType) -> None:
    log: list[str] = []
    running, frames = suspended(module, log)
    running.close()
    same(log, ["innermost", "middle", "outermost"], "the frames that are closed, in order,")
    del frames


def thrown_in(module: ModuleType) -> None:
    log: list[str] = []
    running, frames = suspended(module, log)
    try:
        running.throw(KeyError("thrown"))
    except KeyError:
        pass
    except StopIteration:
        raise Failed("an error that was thrown in, and not caught, did not come out") from None
    same(log, ["innermost", "middle", "outermost"], "the frames that an error thrown in passes, in order,")
    del frames


def deep_calls(module: ModuleType) -> None:
    def deep(levels: int) -> Any:
        return 0 if levels == 0 else 1 + (yield deep(levels - 1))

    same(drive(module, deep(20_000)), ([], 20_000), "requests and result of 20,000 calls inside each other")


LESSON_8: dict[str, Check] = {
    "values come back from subroutines": values_come_back,
    "an error is raised in the caller": error_reaches_caller,
    "a caller that has caught an error goes on": goes_on_after_error,
    "an error that nobody catches comes out": uncaught_comes_out,
    "closing it closes every frame, the innermost first": closes_all,
    "an error thrown in passes every frame": thrown_in,
    "calls are not nested on Python's stack": deep_calls,
}

# the names that an exercise asks for, and its checks by title
CHECKS: dict[str, tuple[list[str], dict[str, Check]]] = {
    "7": (["Kernel", "Send", "Receive", "GetTid", "NewTask", "KillTask", "WaitTask"], LESSON_7),
    "8": (["trampoline"], LESSON_8),
}
