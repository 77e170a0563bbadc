"""The checks of the exercises of lessons 1 to 4: generators, coroutines, events, threads.

A check is given the learner's module, and raises Failed with what is wrong; its title says what must hold. Inputs have
an end even where the exercise says they have none, so that a check comes back whatever the module does.
"""

from __future__ import annotations

import inspect
import itertools
import threading
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

Check = Callable[[ModuleType], None]


class Failed(Exception):
    """A check failed; the message is one line."""


def same(found: Any, wanted: Any, what: str) -> None:
    """Fail unless both are equal; `what` names the one that was found."""
    if found != wanted:
        raise Failed(f"{what} must be {wanted!r}, and is {found!r}")


class Recorder:
    """A target that remembers what it was sent, by which thread, and how often it was closed."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.threads: list[threading.Thread] = []
        self.closed = 0

    def send(self, item: Any) -> None:
        self.threads.append(threading.current_thread())
        self.got.append(item)

    def throw(self, error: BaseException) -> None:
        raise error

    def close(self) -> None:
        self.threads.append(threading.current_thread())
        self.closed += 1


# --- lesson 1: changes(items)


def all_of(module: ModuleType, items: Any) -> list[Any]:
    """What the learner's generator yields, up to a hundred."""
    return list(itertools.islice(module.changes(items), 100))


def repeated_left_out(module: ModuleType) -> None:
    same(all_of(module, [1, 1, 2, 2, 2]), [1, 2], "changes([1, 1, 2, 2, 2])")


def later_kept(module: ModuleType) -> None:
    same(all_of(module, "aabbaa"), ["a", "b", "a"], "changes('aabbaa')")


def first_counts(module: ModuleType) -> None:
    for first in (None, 0, ""):
        same(all_of(module, [first, first, 1]), [first, 1], f"changes([{first!r}, {first!r}, 1])")


def one_at_a_time(module: ModuleType) -> None:
    def source() -> Iterator[int]:
        for number in range(10):
            asked.append(number)
            yield number

    asked: list[int] = []
    changed = iter(module.changes(source()))
    if asked:
        raise Failed("it asks for items before anybody has asked for a change")
    next(changed)
    if len(asked) > 2:
        raise Failed(f"it had asked for {len(asked)} items before it yielded the first")


def nothing_from_nothing(module: ModuleType) -> None:
    same(all_of(module, []), [], "changes([])")


LESSON_1: dict[str, Check] = {
    "what is repeated is left out": repeated_left_out,
    "what comes again later is kept": later_kept,
    "the first item counts, whatever it is": first_counts,
    "it asks for one item at a time": one_at_a_time,
    "no items have no changes": nothing_from_nothing,
}


# --- lesson 2: every(n, target)


def primed(stage: Any) -> Any:
    """The learner's coroutine; it is primed here if it is not yet, which one check alone complains of."""
    if inspect.isgenerator(stage) and inspect.getgeneratorstate(stage) == inspect.GEN_CREATED:
        next(stage)
    return stage


def send_all(stage: Any, items: Any) -> None:
    """Send items, up to where the coroutine ends of itself, which it should not."""
    for item in items:
        try:
            stage.send(item)
        except StopIteration:
            raise Failed(
                f"the coroutine has ended when it was sent {item!r}: it must go on until it is closed"
            ) from None


def ready_at_once(module: ModuleType) -> None:
    stage = module.every(2, Recorder())
    if not inspect.isgenerator(stage):
        raise Failed(f"every(n, target) must be a generator, and is {stage!r}")
    if inspect.getgeneratorstate(stage) == inspect.GEN_CREATED:
        raise Failed("it stands before its first line, and can receive nothing: @coroutine runs it to its first yield")


def sent_by(module: ModuleType, n: int, items: Any) -> list[Any]:
    """What reaches the target."""
    target = Recorder()
    send_all(primed(module.every(n, target)), items)
    return target.got


def every_third(module: ModuleType) -> None:
    same(sent_by(module, 3, range(1, 9)), [3, 6], "what every(3, target) sends on of 1 to 8")


def every_one(module: ModuleType) -> None:
    same(sent_by(module, 1, "abc"), ["a", "b", "c"], "what every(1, target) sends on of a, b, c")


def counts_for_itself(module: ModuleType) -> None:
    left, right = Recorder(), Recorder()
    stages = [primed(module.every(2, target)) for target in (left, right)]
    for item in range(4):
        for stage in stages:
            stage.send(item)
    same((left.got, right.got), ([1, 3], [1, 3]), "what two of them send on of 0 to 3, side by side,")


def target_closed(module: ModuleType) -> None:
    target = Recorder()
    stage = primed(module.every(2, target))
    stage.send(1)
    stage.close()
    same((target.got, target.closed > 0), ([], True), "what the target got, and whether it was closed,")


LESSON_2: dict[str, Check] = {
    "items can be sent to it at once": ready_at_once,
    "it sends on the nth item, the 2nth, and so on": every_third,
    "with n = 1 it sends on all": every_one,
    "each coroutine counts for itself": counts_for_itself,
    "when it is closed, it closes its target": target_closed,
}


# --- lesson 3: texts(tag, target)

Event = tuple[str, Any]
TITLE: Event = ("start", ("title", {}))
END: Event = ("end", "title")
BOLD: Event = ("start", ("b", {}))
END_BOLD: Event = ("end", "b")


def texts_in(module: ModuleType, *events: Any) -> list[Any]:
    """What the learner's coroutine sends for these events."""
    target = Recorder()
    send_all(primed(module.texts("title", target)), events)
    return target.got


def one_text(module: ModuleType) -> None:
    same(texts_in(module, TITLE, ("text", "Rain"), END), ["Rain"], "what is sent for <title>Rain</title>")


def text_elsewhere(module: ModuleType) -> None:
    found = texts_in(module, ("text", "a"), BOLD, ("text", "b"), END_BOLD, TITLE, ("text", "c"), END, ("text", "d"))
    same(found, ["c"], "what is sent for a<b>b</b><title>c</title>d")


def in_one_piece(module: ModuleType) -> None:
    found = texts_in(module, TITLE, ("text", "One "), BOLD, ("text", "bold"), END_BOLD, ("text", " word"), END)
    same(found, ["One bold word"], "what is sent for <title>One <b>bold</b> word</title>")


def empty_text(module: ModuleType) -> None:
    same(texts_in(module, TITLE, END), [""], "what is sent for <title/>")


def begins_anew(module: ModuleType) -> None:
    found = texts_in(module, TITLE, ("text", "a"), END, TITLE, ("text", "b"), END)
    same(found, ["a", "b"], "what is sent for <title>a</title><title>b</title>")


LESSON_3: dict[str, Check] = {
    "the text of an element is sent": one_text,
    "text elsewhere does not count": text_elsewhere,
    "text in elements inside belongs to it, in one piece": in_one_piece,
    "an element without text sends an empty one": empty_text,
    "each element begins anew": begins_anew,
}


# --- lesson 4: InThread(target)


class Slow(Recorder):
    """A target that keeps the thread busy, at each item, until `gate` is open, or for `patience` seconds."""

    def __init__(self, gate: threading.Event, patience: float) -> None:
        super().__init__()
        self.gate, self.patience = gate, patience
        self.in_time: list[bool] = []

    def send(self, item: Any) -> None:
        self.in_time.append(self.gate.wait(self.patience))
        super().send(item)


def sent_in_thread(module: ModuleType, target: Recorder, items: Any) -> Recorder:
    """Send all items through the learner's thread, and close it."""
    worker = module.InThread(target)
    for item in items:
        worker.send(item)
    worker.close()
    return target


def all_in_order(module: ModuleType) -> None:
    same(sent_in_thread(module, Recorder(), range(5)).got, [0, 1, 2, 3, 4], "what the target has when close comes back")


def in_one_thread(module: ModuleType) -> None:
    target = sent_in_thread(module, Recorder(), range(5))
    if threading.current_thread() in target.threads:
        raise Failed("the target runs in the sender's own thread")
    same(len(set(target.threads)), 1, "the number of threads that the target has seen")


def sender_goes_on(module: ModuleType) -> None:
    gate = threading.Event()
    target = Slow(gate, 2.0)
    worker = module.InThread(target)
    for item in range(3):
        worker.send(item)
    gate.set()
    worker.close()
    if not all(target.in_time):
        raise Failed("send comes back only when the target has done its work")


def close_waits(module: ModuleType) -> None:
    target = Slow(threading.Event(), 0.2)
    sent_in_thread(module, target, range(3))
    same(len(target.got), 3, "how many of 3 items a slow target has when close comes back")


def target_closed_in_thread(module: ModuleType) -> None:
    target = sent_in_thread(module, Recorder(), "a")
    same(target.closed, 1, "how often the target was closed when close comes back")


def thread_ends(module: ModuleType) -> None:
    before = set(threading.enumerate())
    sent_in_thread(module, Recorder(), "a")
    if set(threading.enumerate()) - before:
        raise Failed("the thread still runs when close comes back")


LESSON_4: dict[str, Check] = {
    "the target receives every item in the order of sending": all_in_order,
    "the target runs in one thread of its own": in_one_thread,
    "send goes on at once": sender_goes_on,
    "close waits until all items are received": close_waits,
    "close closes the target": target_closed_in_thread,
    "the thread ends": thread_ends,
}

# the names that an exercise asks for, and its checks by title
CHECKS: dict[str, tuple[list[str], dict[str, Check]]] = {
    "1": (["changes"], LESSON_1),
    "2": (["every"], LESSON_2),
    "3": (["texts"], LESSON_3),
    "4": (["InThread"], LESSON_4),
}
