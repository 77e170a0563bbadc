"""What there is to learn: the lessons, and the programs of the course that each shows.

A program explains itself in its docstring, so a lesson says only what joins them. Programs read and write files in an
empty folder in which `userland` is the one that the course is in.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
# an installed pyos has userland in it, a checkout beside it
USERLAND = next((path for path in (PACKAGE / "userland", PACKAGE.parent / "userland") if path.is_dir()), PACKAGE)
COURSE = USERLAND / "course"


@dataclass(frozen=True)
class Shown:
    """A program of the course: each of `runs` is the arguments of one run, as a shell would be given them."""

    path: str
    runs: tuple[str, ...] = ("",)
    after: str | None = None  # the stage before this one
    options: str = ""  # of `boot`
    fails: bool = False  # it is meant to, as a lesson


@dataclass(frozen=True)
class Lesson:
    """One lesson, with one chapter of the guide, and one exercise."""

    number: str
    title: str
    about: str
    programs: tuple[Shown, ...]
    exercise: str
    chapter: str

    @property
    def skeleton(self) -> str:
        """The file in exercises/ to begin the exercise with."""
        return f"lesson{self.number}.py"


def stages(*paths: str) -> tuple[Shown, ...]:
    """Programs that each grew out of the one before."""
    return tuple(Shown(path, after=before) for path, before in zip(paths, (None, *paths)))


GENERATORS = Lesson(
    "1",
    "Generators",
    "A generator runs only when somebody asks it for its next value. Generators that pull from each other make a\n"
    "pipeline, in which one item at a time moves.",
    (
        Shown("part1_generators/countdown.py", ("3",)),
        Shown("part1_generators/logsim.py", ("access.log --every 0",), options="--seed 1"),
        Shown("part1_generators/pipeline.py", ("' 404 ' access.log --from-start --lines 20",)),
        Shown("part1_generators/grep.py", ("admin access.log",)),
        Shown("part1_generators/logreport.py", ("access.log --top 3",)),
    ),
    "a generator that leaves out what is repeated",
    "1-generators.md",
)
DATAFLOW = Lesson(
    "2",
    "Coroutines, pipelines and dataflow",
    "A coroutine is a generator that is sent items. So the source drives the flow, and the flow can branch.",
    (
        Shown("part1_generators/logsim.py", ("access.log --every 0",), options="--seed 1"),
        Shown("part2_dataflow/copipe.py", ("' 404 ' access.log --from-start --lines 20",)),
        Shown("part2_dataflow/broadcast.py", ("access.log 404 robots --from-start --lines 5",)),
        Shown("part2_dataflow/stages.py", ("access.log --only ' 200 ' --batch 2 --from-start --lines 5",)),
    ),
    "a coroutine that sends on every nth item",
    "2-dataflow.md",
)
EVENTS = Lesson(
    "3",
    "Coroutines and event dispatching",
    "A parser that pushes events into a coroutine need not know who listens, and what listens is a small state\n"
    "machine, whose state is the line that it waits at.",
    (
        Shown("part3_events/makefeed.py", ("feed.xml --buses 50",), options="--seed 1"),
        Shown("part3_events/events.py", ("feed.xml --first 8",)),
        Shown("part3_events/buses.py", ('feed.xml --route 22 --direction "North Bound"',)),
    ),
    "a coroutine that finds the text of elements",
    "3-events.md",
)
CONCURRENCY = Lesson(
    "4",
    "From data processing to concurrency",
    "Whoever sends to a coroutine does not see where it runs: here, in a thread, in another process. What can go\n"
    "wrong is to have two inside one coroutine.",
    (
        Shown("part3_events/makefeed.py", ("feed.xml --buses 50",), options="--seed 1"),
        Shown("part4_concurrency/cothread.py", ("feed.xml",)),
        Shown("part4_concurrency/cothread.py", ("feed.xml --fail up",), fails=True),
        Shown("part4_concurrency/coprocess.py", ("feed.xml",)),
        Shown("part4_concurrency/reentered.py"),
        Shown("part4_concurrency/cycle.py"),
    ),
    "a target that works in a thread",
    "4-concurrency.md",
)
TASKS = Lesson(
    "5",
    "Coroutines as tasks",
    "A task has a flow of control and a state of its own, is suspended and resumed, and can be ended.\n"
    "So has a coroutine.",
    (Shown("part5_tasks/by_hand.py"),),
    "a function that lets generators take turns",
    "5-tasks.md",
)
MACHINE = Lesson(
    "6",
    "A crash course in operating systems",
    "A processor runs one program and knows of no other. The operating system runs when a program traps, and only\n"
    "then: it puts this program's state away, and lets another go on.",
    (Shown("part6_machine/machine.py"),),
    "an operating system for the toy CPU",
    "6-operating-systems.md",
)
KERNEL = Lesson(
    "7",
    "Let's build an operating system",
    "An operating system in seven stages, one idea a stage. A yield is the trap, and the generator keeps the state.",
    (
        *stages(
            "part7_os/stage1_task.py",
            "part7_os/stage2_scheduler.py",
            "part7_os/stage3_exit.py",
            "part7_os/stage4_traps.py",
            "part7_os/stage5_management.py",
            "part7_os/stage6_waiting.py",
        ),
        Shown("part7_os/stage7_io.py", ("--self-test", "--blocking --self-test"), after="part7_os/stage6_waiting.py"),
    ),
    "messages between tasks, in the kernel of stage 6",
    "7-an-operating-system.md",
)
STACK = Lesson(
    "8",
    "The problem with the stack",
    "A generator can yield from its own frame only. A trampoline lets its subroutines yield too: it keeps the callers\n"
    "on a list, instead of on Python's stack.",
    (
        Shown("part8_stack/trampoline.py"),
        Shown("part8_stack/stage8_sockets.py", ("--self-test",), after="part7_os/stage7_io.py"),
        Shown("part8_stack/defects.py", ("kill_in_a_subroutine two_readers exit_value",)),
    ),
    "a trampoline on which errors travel from subroutine to caller",
    "8-stack.md",
)
LESSONS = {
    lesson.number: lesson for lesson in (GENERATORS, DATAFLOW, EVENTS, CONCURRENCY, TASKS, MACHINE, KERNEL, STACK)
}
