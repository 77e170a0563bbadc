"""The checks of the exercises of lessons 5 to 8: tasks, machines, systems, trampolines.

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

# the names that an exercise asks for, and its checks by title
CHECKS: dict[str, tuple[list[str], dict[str, Check]]] = {
    "7": (["Kernel", "Send", "Receive", "GetTid", "NewTask", "KillTask", "WaitTask"], LESSON_7),
}
