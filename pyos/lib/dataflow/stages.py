"""Stages and sinks that many flows need. They never wait and know no kernel: what they do, they do inside `send`.

Each stage ends as core.py says: by closing its targets, by throwing into them, or because they have had enough.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

from pyos.lib.dataflow.core import Coroutine, Target, coroutine, outlet

NOTHING: Any = object()


@coroutine
def sink(function: Callable[[Any], object]) -> Coroutine:
    """Call a function with every item: `sink(print)`, `sink(found.append)`."""
    while True:
        function((yield))


@coroutine
def mapped(function: Callable[[Any], Any], target: Target) -> Coroutine:
    """Send on what the function makes of each item."""
    with outlet(target) as send:
        while True:
            send(function((yield)))


@coroutine
def filtered(wanted: Callable[[Any], object], target: Target) -> Coroutine:
    """Send on the items for which `wanted(item)` is true."""
    with outlet(target) as send:
        while True:
            if wanted(item := (yield)):
                send(item)


@coroutine
def take(number: int, target: Target) -> Coroutine:
    """Send on so many items (≥ 1), then end the flow."""
    with outlet(target) as send:
        for _ in range(number):
            send((yield))


@coroutine
def batch(size: int, target: Target) -> Coroutine:
    """Send on lists of `size` items; the last, at close, may be shorter."""
    items: list[Any] = []
    with outlet(target) as send:
        with suppress(GeneratorExit):
            while True:
                items.append((yield))
                if len(items) >= size:
                    full, items = items, []
                    send(full)
        if items:
            send(items)


@coroutine
def throttle(seconds: float, now: Callable[[], float], target: Target) -> Coroutine:
    """Send on at most one item in `seconds` of the clock `now()`.

    Of the items that come sooner only the newest is kept: the next to come replaces it, close sends it on. So the last
    item always arrives. The caller brings the clock, as a stage cannot ask the kernel for the time.
    """
    held, open_at = NOTHING, -math.inf
    with outlet(target) as send:
        with suppress(GeneratorExit):
            while True:
                held = yield
                if (time := now()) >= open_at:
                    item, held, open_at = held, NOTHING, time + seconds
                    send(item)
        if held is not NOTHING:
            send(held)


@coroutine
def broadcast(*targets: Target) -> Coroutine:
    """Send every item to each target, in order. One that has had enough is left out; without any, the flow ends.

    The error of one target ends the others too: it is thrown into them.
    """
    with ExitStack() as stack:
        sends = [stack.enter_context(outlet(target)) for target in targets]
        while sends:
            item = yield
            full = []
            for send in sends:
                try:
                    send(item)
                except StopIteration:
                    full.append(send)
            for send in full:
                sends.remove(send)


def fan_in(target: Target, inlets: int) -> list[Coroutine]:
    """So many inlets to one target, which is closed when the last of them has ended.

    An inlet that ends by an error from above leaves the others open. An error of the target itself goes up through the
    inlet that hit it, and is the cause of a RuntimeError in each other one that is sent to after that.
    """
    junction = Junction(target, inlets)
    return [inlet(junction) for _ in range(inlets)]


class Junction:
    """What the inlets to one target share."""

    def __init__(self, target: Target, inlets: int) -> None:
        self.target = target
        self.open = inlets
        self.failure: BaseException | None = None

    def send(self, item: Any) -> None:
        if self.failure is not None:
            raise RuntimeError("the target has failed, through another inlet") from self.failure
        try:
            self.target.send(item)
        except StopIteration:
            raise
        except BaseException as error:
            self.failure = error
            raise

    def leave(self) -> None:
        self.open -= 1
        if not self.open:
            self.target.close()


@coroutine
def inlet(junction: Junction) -> Coroutine:
    """One way into a junction."""
    try:
        with suppress(StopIteration):
            while True:
                junction.send((yield))
    finally:
        junction.leave()
