"""Small random programs over everything that tasks can share or do to each other.

A program is a list of bodies; a body is a tuple of operations. What a task has seen goes to a list of its own, which
only it writes: the tasks share kernel objects and nothing else.
"""

from __future__ import annotations

import math
from typing import Any

from hypothesis import strategies as st

from pyos import (
    CONT,
    INT,
    KILL,
    STOP,
    TERM,
    Cell,
    Channel,
    Choose,
    Condition,
    Event,
    ExitStatus,
    GetTid,
    GetTime,
    KillTask,
    Lock,
    NewTask,
    Random,
    Receive,
    Semaphore,
    Send,
    Sleep,
    TaskKilled,
    Timeout,
    WaitTask,
)

SIGNALS = {"TERM": TERM, "KILL": KILL, "INT": INT, "STOP": STOP, "CONT": CONT}
tids = st.integers(1, 4)
two = st.integers(0, 1)
traps = st.one_of(
    st.tuples(st.sampled_from(["acquire", "release"]), two),
    st.tuples(st.sampled_from(["down", "up", "set", "clear", "wait", "notify", "notify all", "load", "tid"])),
    st.tuples(st.sampled_from(["put", "get", "close"]), st.integers(0, 2)),
    st.tuples(st.just("store"), two),
    st.tuples(st.just("send"), tids),
    st.tuples(st.sampled_from(["receive", "wait any", "time", "random"])),
    st.tuples(st.just("wait task"), tids),
    st.tuples(st.just("kill"), tids, st.sampled_from(sorted(SIGNALS)), st.sampled_from([0, 1])),
    st.tuples(st.just("sleep"), st.sampled_from([0, 1, 2])),
    st.tuples(st.just("choose")),
)
simple = st.one_of(
    traps,
    traps,
    traps,
    st.tuples(st.just("timeout"), st.sampled_from([0, 1]), traps),
    st.tuples(st.sampled_from(["yield", "wait condition", "locked", "raise", "assert"])),
    st.tuples(st.just("finally"), traps, traps),
)
bodies = st.lists(simple, min_size=1, max_size=3).map(tuple)
spawns = st.tuples(st.just("spawn"), bodies, st.booleans(), st.booleans())
with_children = st.lists(st.one_of(simple, simple, spawns), min_size=1, max_size=3).map(tuple)
programs = st.tuples(st.booleans(), st.lists(with_children, min_size=2, max_size=3).map(tuple))


class Shared:
    """The kernel objects of one run."""

    def __init__(self) -> None:
        self.locks = (Lock("a"), Lock("b"))
        self.semaphore = Semaphore(1)
        self.event = Event()
        self.condition = Condition(self.locks[0])
        self.channels = (Channel(0), Channel(1), Channel(math.inf))
        self.cell = Cell(0)


def program_of(described: Any) -> Any:
    """The function to check: a list of tasks, or an init that starts the others and waits for none."""
    as_init, tasks = described

    def program() -> Any:
        shared, logs = Shared(), []
        if as_init:
            first = (*(("spawn", body, False, False) for body in tasks[1:]), *tasks[0])
            made = [perform(first, shared, logs)]
        else:
            made = [perform(body, shared, logs) for body in tasks]
        return made, lambda: tuple(sorted((name, tuple(log)) for name, log in logs))

    return program


def perform(body: Any, shared: Shared, logs: list[Any], name: Any = None) -> Any:
    """A task that does what the body says. (`logs` is read at the end only.)"""
    name = (len(logs),) if name is None else name
    log: list[Any] = []
    logs.append((name, log))
    return run_body(body, shared, logs, log, name)


def run_body(body: Any, shared: Shared, logs: list[Any], log: list[Any], name: Any) -> Any:
    for number, operation in enumerate(body):
        try:
            log.append(told((yield from run(operation, shared, logs, (*name, number), log))))
        except TaskKilled as error:
            log.append(str(error.signal))
            raise
        except AssertionError:
            raise
        except Exception as error:
            if operation[0] == "raise":
                raise
            log.append(type(error).__name__)


def run(operation: Any, shared: Shared, logs: list[Any], name: Any, log: list[Any]) -> Any:
    kind, *arguments = operation
    if kind == "yield":
        yield
    elif kind == "raise":
        raise ValueError
    elif kind == "assert":
        raise AssertionError
    elif kind == "locked":
        yield shared.locks[0].acquire()
        yield
        yield shared.locks[0].release()
    elif kind == "wait condition":
        yield shared.locks[0].acquire()
        try:
            yield shared.condition.wait()
        finally:
            yield shared.locks[0].release()
    elif kind == "finally":
        try:
            return (yield trap_of(arguments[0], shared))
        finally:
            log.append(told((yield trap_of(arguments[1], shared))))
    elif kind == "spawn":
        child, detached, linked = arguments
        return (yield NewTask(perform(child, shared, logs, name), detached=detached, linked=linked))
    else:
        return (yield trap_of(operation, shared))


def trap_of(operation: Any, shared: Shared) -> Any:
    kind, *arguments = operation
    match kind:
        case "acquire" | "release":
            return getattr(shared.locks[arguments[0]], kind)()
        case "down":
            return shared.semaphore.acquire()
        case "up":
            return shared.semaphore.release()
        case "set" | "clear" | "wait":
            return getattr(shared.event, kind)()
        case "notify":
            return shared.condition.notify()
        case "notify all":
            return shared.condition.notify_all()
        case "put":
            return shared.channels[arguments[0]].put("item")
        case "get" | "close":
            return getattr(shared.channels[arguments[0]], kind)()
        case "load":
            return shared.cell.load()
        case "store":
            return shared.cell.store(arguments[0])
        case "send":
            return Send(arguments[0], "message")
        case "kill":
            return KillTask(arguments[0], SIGNALS[arguments[1]], grace=arguments[2])
        case "timeout":
            return Timeout(arguments[0], trap_of(arguments[1], shared))
        case "wait task":
            return WaitTask(arguments[0])
        case "sleep":
            return Sleep(arguments[0])
        case "choose":
            return Choose(("x", "y"))
    return {"receive": Receive, "wait any": WaitTask, "time": GetTime, "random": Random, "tid": GetTid}[kind]()


def told(answer: Any) -> Any:
    """An answer as it is compared."""
    if isinstance(answer, ExitStatus):
        return answer.tid, str(answer.signal), type(answer.error).__name__
    return answer
