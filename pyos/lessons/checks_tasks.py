"""The checks of the exercises of lessons 5 and 6: tasks by hand, and a toy CPU.

Time is counted in turns here: programs that have not ended after so many are taken never to end.
"""

from __future__ import annotations

import importlib.util
from types import ModuleType
from typing import Any

from pyos.lessons.catalogue import COURSE
from pyos.lessons.checks_flow import Check, Failed, same

STEPS = 1000  # after which programs are taken never to end


# --- lesson 5: take_turns(tasks)


def turns(module: ModuleType, *lengths: int) -> tuple[list[str], Any]:
    """Who had a turn when, and what take_turns returned, for tasks a, b, … of so many yields."""

    def task(name: str, length: int) -> Any:
        for _ in range(length):
            log.append(name)
            if len(log) > STEPS:
                raise Failed(f"there were more than {STEPS} turns")
            yield
        return name.upper()

    log: list[str] = []
    results = module.take_turns([task(name, length) for name, length in zip("abc", lengths)])
    return log, results


def they_take_turns(module: ModuleType) -> None:
    same(turns(module, 2, 2)[0], ["a", "b", "a", "b"], "the order of turns of a and b with 2 turns each")


def others_go_on(module: ModuleType) -> None:
    same(turns(module, 1, 3, 2)[0], ["a", "b", "c", "b", "c", "b"], "the order of turns of a, b, c with 1, 3, 2 turns")


def results_in_order(module: ModuleType) -> None:
    same(turns(module, 3, 1, 2)[1], ["A", "B", "C"], "what take_turns returns for tasks that return A, B, C")


def ended_at_once(module: ModuleType) -> None:
    same(turns(module, 0, 2), (["b", "b"], ["A", "B"]), "turns and results, if a returns without a yield,")


def no_tasks(module: ModuleType) -> None:
    same(module.take_turns([]), [], "take_turns([])")


LESSON_5: dict[str, Check] = {
    "every task has a turn before any has a second": they_take_turns,
    "when one has ended, the others go on": others_go_on,
    "it returns what the tasks returned, in their order": results_in_order,
    "a task may end at its first turn": ended_at_once,
    "no tasks return nothing": no_tasks,
}


# --- lesson 6: share(cpu, programs, quantum)

COUNT = """
           set    n {start}
    again: trap   print n
           sub    n 1
           jumpif n again
           trap   exit
"""
HOG = """
           set    n 20
    again: sub    n 1
           jumpif n again
           trap   print n
           trap   exit
"""
FAULT = """
           trap   print 1
"""


def machine() -> Any:
    """The course's toy CPU and its assembler, with a CPU that gives up after so many turns."""
    spec = importlib.util.spec_from_file_location("machine", COURSE / "part6_machine/machine.py")
    assert spec is not None
    assert spec.loader is not None
    found: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)

    class CPU(found.CPU):  # type: ignore[misc]
        turns = 0

        def run(self, program: Any, quantum: int) -> Any:
            self.turns += 1
            if self.turns > STEPS:
                raise Failed(f"after {STEPS} turns the programs had not come to their end")
            return super().run(program, quantum)

    found.CPU = CPU
    return found


def shared(module: ModuleType, **texts: str) -> Any:
    """What programs print that share a CPU."""
    course = machine()
    return module.share(course.CPU(), {name: course.assemble(text) for name, text in texts.items()}, 8)


def one_program(module: ModuleType) -> None:
    same(shared(module, a=COUNT.format(start=3)), [("a", 3), ("a", 2), ("a", 1)], "what a program prints by itself")


def a_trap_ends_a_turn(module: ModuleType) -> None:
    found = shared(module, a=COUNT.format(start=2), b=COUNT.format(start=2))
    same(found, [("a", 2), ("b", 2), ("a", 1), ("b", 1)], "what two equal programs print")


def own_registers(module: ModuleType) -> None:
    found = shared(module, a=COUNT.format(start=3), b=COUNT.format(start=1))
    same(sorted(found), [("a", 1), ("a", 2), ("a", 3), ("b", 1)], "what programs print that count from 3 and from 1")


def after_the_timer(module: ModuleType) -> None:
    found = shared(module, hog=HOG, a=COUNT.format(start=1))
    same(found, [("a", 1), ("hog", 0)], "what a program of 40 instructions and a short one print")


def a_fault_ends_one(module: ModuleType) -> None:
    found = shared(module, bad=FAULT, a=COUNT.format(start=3))
    same(found, [("bad", 1), ("a", 3), ("a", 2), ("a", 1)], "what a program without an exit and a good one print")


LESSON_6: dict[str, Check] = {
    "a program runs to its end": one_program,
    "a trap ends the turn": a_trap_ends_a_turn,
    "every program has registers of its own": own_registers,
    "after the timer a program goes on": after_the_timer,
    "a fault ends one program, and the others go on": a_fault_ends_one,
}

# the names that an exercise asks for, and its checks by title
CHECKS: dict[str, tuple[list[str], dict[str, Check]]] = {
    "5": (["take_turns"], LESSON_5),
    "6": (["share"], LESSON_6),
}
