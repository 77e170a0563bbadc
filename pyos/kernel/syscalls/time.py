"""Handlers: time, chance and choice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pyos.kernel.syscalls.binding import a_number, handles
from pyos.kernel.tasks import Task
from pyos.traps import Choose, GetTime, Random, Sleep

if TYPE_CHECKING:
    from pyos.kernel.kernel import Kernel


@handles(Sleep)
def sleep(kernel: Kernel, task: Task, trap: Sleep) -> Any:
    seconds = trap.seconds
    if type(seconds) is not float and type(seconds) is not int:
        seconds = a_number(seconds, "seconds are a number")
    if seconds > 0:
        kernel.timers.sleep(task, seconds)
        return kernel.scheduler.block(task, kernel.timers)
    if seconds == 0:
        return kernel.scheduler.requeue(task)
    raise ValueError(f"cannot sleep for {seconds} seconds")


@handles(GetTime)
def get_time(kernel: Kernel, task: Task, trap: GetTime) -> float:
    return kernel.clock.wall() if trap.wall else kernel.clock.now()


@handles(Random)
def random(kernel: Kernel, task: Task, trap: Random) -> float:
    return kernel.random.random()


@handles(Choose)
def choose(kernel: Kernel, task: Task, trap: Choose[Any]) -> Any:
    options = trap.options
    if not isinstance(options, Sequence):
        raise TypeError(f"options are a sequence, not {type(options).__name__}")
    if not options:
        raise ValueError("there are no options to choose from")
    try:
        return options[kernel.choose("option", options)]
    except StopIteration as stop:  # a handler that raises it would end the caller
        raise RuntimeError("the options raised StopIteration") from stop
