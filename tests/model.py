"""A simple model of what tasks do to each other, for test_lives_and_deaths.py: plain lists, one task after the other.

A puppet carries out orders, one at a time, and notes what comes of each: an answer or an error. Between two batches of
the machine's moves nobody is ready; within one, the moves come first, and then the puppets run in the order in which
they became ready, each until it waits. That is all the scheduling there is.

The model's words: `incoming` is what a ready puppet will see when it runs: ("nothing", None) after a sleep or a bare
yield, else ("answer", value), ("order", op) or ("error", name). Errors are names: "INT", "TERM", "timeout 3" ...
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

BLOCKED = object()
GRACE = 1.0  # of TERM, and of the linked children of the dead


class Named:
    """What is shown by its name."""

    name: str


@dataclass
class Op:
    """One order: its kind, what it is about, and a Timeout around it (seconds; as a trap, or in a subroutine)."""

    kind: str
    thing: Any = None
    extra: Any = None
    timeout: float | None = None
    in_subroutine: bool = False


@dataclass(eq=False, repr=False)
class Puppet(Named):
    name: str
    parent: Puppet | None = None
    linked: bool = False
    stubborn: bool = False
    log: list[str] = field(default_factory=list)
    orders: list[Op] = field(default_factory=list)
    current: Op | None = None
    incoming: tuple[str, Any] | None = None
    back: Callable[[], None] | None = None  # gives back the answer that is coming
    pending: list[str] = field(default_factory=list)
    wait: Any = None
    note: Any = None
    stopped: bool = False
    parked: bool = False
    started: bool = False
    dying: bool = False
    dead: bool = False
    reaped: bool = False
    end: str = ""
    owned: list[Lock] = field(default_factory=list)
    mailbox: Channel = field(default_factory=lambda: Channel("message", float("inf")))
    links: list[Puppet] = field(default_factory=list)
    living: int = 0
    zombies: list[Puppet] = field(default_factory=list)
    waiters: list[Puppet] = field(default_factory=list)
    timeouts: int = 0
    timer: Any = None


@dataclass(eq=False, repr=False)
class Lock(Named):
    name: str
    owner: Puppet | None = None
    queue: list[Puppet] = field(default_factory=list)  # a puppet's note: None, or (condition, notified, errors)


@dataclass(eq=False, repr=False)
class Condition(Named):
    name: str
    lock: Lock
    queue: list[Puppet] = field(default_factory=list)


@dataclass(eq=False, repr=False)
class Semaphore(Named):
    name: str
    value: int
    queue: list[Puppet] = field(default_factory=list)


@dataclass(eq=False, repr=False)
class Event(Named):
    name: str
    happened: bool = False
    queue: list[Puppet] = field(default_factory=list)


@dataclass(eq=False, repr=False)
class Channel(Named):
    name: str
    capacity: float
    items: list[tuple[int, Any]] = field(default_factory=list)  # with the number of the put
    returned: list[tuple[int, Any]] = field(default_factory=list)
    queue: list[Puppet] = field(default_factory=list)
    putters: list[Puppet] = field(default_factory=list)  # the note is the numbered item
    closed: bool = False
    puts: int = 0


ORDERS, SLEEP, EXITS = "orders", "sleep", "exits"


class Model:
    """The whole system."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sequence = 0
        self.timers: list[tuple[float, int, Callable[[], None]]] = []
        self.ready: deque[Puppet] = deque()
        self.puppets: dict[str, Puppet] = {}

    # --- time

    def set_timer(self, seconds: float, action: Callable[[], None]) -> tuple[float, int, Callable[[], None]]:
        self.sequence += 1
        timer = (self.now + seconds, self.sequence, action)
        self.timers.append(timer)
        return timer

    def advance(self, seconds: float) -> None:
        until = self.now + seconds
        while self.timers and min(self.timers)[0] <= until:
            self.now = min(self.timers)[0]
            while self.timers and min(self.timers)[0] <= self.now:
                timer = min(self.timers)
                self.timers.remove(timer)
                timer[2]()
            self.run()
        self.now = until

    # --- running

    def run(self) -> None:
        while self.ready:
            puppet = self.ready.popleft()
            if puppet.dead:
                continue
            if puppet.stopped:
                puppet.parked = True
            else:
                self.step(puppet)

    def step(self, p: Puppet) -> None:
        """One puppet runs until it waits, yields or ends."""
        p.started = True
        outcome, p.incoming, p.back = p.incoming, None, None
        while outcome is not None:
            kind, value = outcome
            if kind == "order":
                outcome = self.carry_out(p, value)
                continue
            op, p.current = p.current, None
            if op is not None and op.timeout is not None:
                self.end_timeout(p)
            if kind == "error":
                p.log.append("timeout" if value.startswith("timeout") else value)
                if value == "TERM" and not p.stubborn:
                    return self.die(p, "TERM")
            elif op is not None:
                p.log.append(f"{op.kind}: {value}")
            if p.orders:
                outcome = ("order", p.orders.pop(0))
            else:
                p.wait = ORDERS
                outcome = self.blocked(p)
        return None

    def carry_out(self, p: Puppet, op: Op) -> tuple[str, Any] | None:
        if op.kind == "return":
            return self.die(p, "returned")
        if op.kind == "fail":
            return self.die(p, "failed")
        if op.kind == "yield":
            if p.pending:
                return "error", p.pending.pop(0)
            p.incoming = ("nothing", None)
            self.ready.append(p)
            return None
        p.current = op
        if op.timeout is not None and op.in_subroutine:
            self.start_timeout(p, op)
        outcome = getattr(self, "do_" + op.kind)(p, op)
        if outcome is not BLOCKED:
            return outcome  # type: ignore[no-any-return]
        interrupted = bool(p.pending)
        outcome = self.blocked(p)
        if op.timeout is not None and not op.in_subroutine and (not interrupted or p.wait is not None):
            self.start_timeout(p, op)
        return outcome

    def blocked(self, p: Puppet) -> None:
        """The puppet waits; an error that was held back ends that."""
        if p.pending:
            self.interrupt(p, p.pending.pop(0))

    def start_timeout(self, p: Puppet, op: Op) -> None:
        p.timeouts += 1
        name = f"timeout {p.timeouts}"

        def passed() -> None:
            if p.current is op and (op.in_subroutine or p.wait is not None):
                self.deliver(p, name)

        p.timer = self.set_timer(op.timeout or 0.0, passed)

    def end_timeout(self, p: Puppet) -> None:
        name = f"timeout {p.timeouts}"
        p.pending = [error for error in p.pending if error != name]
        if p.timer in self.timers:
            self.timers.remove(p.timer)

    # --- waking

    def grant(self, p: Puppet, value: Any, back: Callable[[], None] | None = None, kind: str = "answer") -> None:
        p.wait = p.note = None
        p.incoming, p.back = (kind, value), back
        self.ready.append(p)

    def wake(self, p: Puppet) -> None:
        self.grant(p, None, kind="nothing")

    def wake_error(self, p: Puppet, error: str) -> None:
        self.grant(p, error, kind="error")

    def deliver(self, p: Puppet, error: str) -> None:
        """An error is to be raised in the puppet."""
        if p.wait is not None:
            self.interrupt(p, error)
        elif p.pending or (p.incoming and p.incoming[0] != "nothing"):
            p.pending.append(error)
        else:
            p.incoming = ("error", error)

    def interrupt(self, p: Puppet, error: str) -> None:
        if isinstance(p.wait, Condition):
            condition = p.wait
            condition.queue.remove(p)
            return self.reacquire(p, condition, notified=False, errors=[error])
        if isinstance(p.wait, Lock) and p.note is not None:
            condition, notified, errors = p.note
            if notified:
                self.pass_on(condition)
            p.note = (condition, False, [*errors, error])
            return None
        self.leave(p)
        return self.wake_error(p, error)

    def leave(self, p: Puppet) -> None:
        """The puppet waits no longer."""
        wait, note, p.wait, p.note = p.wait, p.note, None, None
        if wait is SLEEP:
            self.timers.remove(note)
        elif wait is EXITS:
            if note is not None:
                note.waiters.remove(p)
        elif isinstance(wait, Channel):
            (wait.queue if p in wait.queue else wait.putters).remove(p)
        elif wait is not ORDERS:
            wait.queue.remove(p)
            if isinstance(wait, Lock) and note is not None and note[1]:
                self.pass_on(note[0])

    # --- the moves of the machine

    def order(self, p: Puppet, op: Op) -> None:
        if p.wait is ORDERS:
            self.grant(p, op, kind="order")
        else:
            p.orders.append(op)

    def signal(self, p: Puppet, name: str) -> None:
        if p.dead:
            return
        if name == "KILL":
            self.kill(p)
        elif name == "STOP":
            p.stopped = True
        elif name == "CONT":
            self.go_on(p)
        elif not p.started:
            self.die(p, name)
        elif not p.dying:
            if name == "TERM":
                p.dying = True
                self.go_on(p)
                self.set_timer(GRACE, lambda: None if p.dead else self.kill(p))
            self.deliver(p, name)

    def go_on(self, p: Puppet) -> None:
        if p.stopped and p.parked:
            self.ready.append(p)
        p.stopped = p.parked = False

    def kill(self, p: Puppet) -> None:
        if p.wait is not None:
            self.leave(p)
        elif p.back is not None:
            p.back()
        self.die(p, "KILL")

    # --- death

    def die(self, p: Puppet, end: str) -> None:
        p.dead, p.end = True, end
        if p.current is not None and p.current.timeout is not None:
            self.end_timeout(p)
        for lock in reversed(p.owned[:]):
            self.next_owner(lock)
        p.owned = []
        links, p.links = p.links, []
        for child in reversed(links):
            child.linked = False
            self.signal(child, "TERM")
        mother = p.parent
        for zombie in p.zombies:
            zombie.reaped = True
        parent = mother if mother is None or not mother.dead else None
        if parent is None and mother is not None:
            p.reaped = True  # adopted
        elif parent is not None:
            parent.living -= 1
            parent.zombies.append(p)
        told = False
        if p.linked and mother is not None:
            mother.links.remove(p)
            unwinding = mother.dying and "TERM" not in mother.log  # one that has seen it and lives has survived it
            if end != "returned" and not unwinding:
                told = True
                if mother.wait is EXITS and mother.note in (None, p):
                    mother.note = None
                    self.reap(p)
                self.deliver(mother, f"linked {p.name}")
        for waiter in p.waiters:
            if waiter is mother and told:
                continue
            if waiter is parent:
                self.reap(p)
            self.grant(waiter, p.end)
        if parent is not None and parent.wait is EXITS and parent.note is None and not p.reaped:
            self.reap(p)
            self.grant(parent, p.end)

    def reap(self, p: Puppet) -> None:
        assert p.parent is not None
        p.reaped = True
        p.parent.zombies.remove(p)

    def told(self, p: Puppet, dead: Puppet) -> tuple[str, Any]:
        failure = f"linked {dead.name}"
        if failure in p.pending:
            p.pending.remove(failure)
            return "error", failure
        return "answer", dead.end

    def do_wait(self, p: Puppet, op: Op) -> Any:
        target: Puppet = op.thing
        if target is p:
            return "error", "ValueError"
        if target.reaped:
            return "answer", None
        if target.dead:
            if target.parent is p:
                self.reap(target)
            return self.told(p, target)
        p.wait, p.note = EXITS, target
        target.waiters.append(p)
        return BLOCKED

    def do_wait_any(self, p: Puppet, op: Op) -> Any:
        if p.zombies:
            dead = p.zombies[0]
            self.reap(dead)
            return self.told(p, dead)
        if not p.living:
            return "answer", None
        p.wait, p.note = EXITS, None
        return BLOCKED

    def do_spawn(self, p: Puppet, op: Op) -> Any:
        child: Puppet = op.thing
        child.parent = p
        p.living += 1
        if child.linked:
            p.links.append(child)
        self.start(child)
        return "answer", child.name

    def start(self, p: Puppet) -> None:
        self.puppets[p.name] = p
        p.incoming = ("nothing", None)
        self.ready.append(p)

    # --- the other orders

    def do_sleep(self, p: Puppet, op: Op) -> Any:
        p.wait = SLEEP
        p.note = self.set_timer(op.extra, lambda: self.wake(p))
        return BLOCKED

    def do_acquire(self, p: Puppet, op: Op) -> Any:
        lock = op.thing
        if lock.owner is p:
            return "error", "ValueError"
        if lock.owner is None:
            self.give(lock, p)
            return "answer", None
        lock.queue.append(p)
        p.wait, p.note = lock, None
        return BLOCKED

    def do_release(self, p: Puppet, op: Op) -> Any:
        if op.thing.owner is not p:
            return "error", "PermissionError"
        p.owned.remove(op.thing)
        self.next_owner(op.thing)
        return "answer", None

    def give(self, lock: Lock, p: Puppet) -> None:
        lock.owner = p
        p.owned.append(lock)

    def next_owner(self, lock: Lock) -> None:
        lock.owner = None
        if not lock.queue:
            return
        p = lock.queue.pop(0)
        note = p.note
        self.give(lock, p)

        def back() -> None:
            if note is not None:
                self.pass_on(note[0])
            p.owned.remove(lock)
            self.next_owner(lock)

        if note is None or not note[2]:
            self.grant(p, None, back)
        else:
            self.wake_error(p, note[2][0])
            p.pending += note[2][1:]

    def do_wait_condition(self, p: Puppet, op: Op) -> Any:
        condition = op.thing
        if condition.lock.owner is not p:
            return "error", "PermissionError"
        p.owned.remove(condition.lock)
        self.next_owner(condition.lock)
        condition.queue.append(p)
        p.wait = condition
        return BLOCKED

    def do_notify(self, p: Puppet | None, op: Op) -> Any:
        woken = 0
        while op.thing.queue and woken < op.extra:
            self.pass_on(op.thing)
            woken += 1
        return "answer", woken

    def pass_on(self, condition: Condition) -> None:
        if condition.queue:
            self.reacquire(condition.queue.pop(0), condition, notified=True, errors=[])

    def reacquire(self, p: Puppet, condition: Condition, notified: bool, errors: list[str]) -> None:
        p.wait, p.note = condition.lock, (condition, notified, errors)
        condition.lock.queue.append(p)
        if condition.lock.owner is None:
            self.next_owner(condition.lock)

    def do_take(self, p: Puppet, op: Op) -> Any:
        semaphore = op.thing
        if semaphore.value:
            semaphore.value -= 1
            return "answer", None
        semaphore.queue.append(p)
        p.wait = semaphore
        return BLOCKED

    def do_give(self, p: Puppet | None, op: Op) -> Any:
        self.give_permit(op.thing)
        return "answer", None

    def give_permit(self, semaphore: Semaphore) -> None:
        if semaphore.queue:
            self.grant(semaphore.queue.pop(0), None, lambda: self.give_permit(semaphore))
        else:
            semaphore.value += 1

    def do_wait_event(self, p: Puppet, op: Op) -> Any:
        if op.thing.happened:
            return "answer", None
        op.thing.queue.append(p)
        p.wait = op.thing
        return BLOCKED

    def do_set(self, p: Puppet | None, op: Op) -> Any:
        op.thing.happened = True
        while op.thing.queue:
            self.grant(op.thing.queue.pop(0), None)
        return "answer", None

    def do_clear(self, p: Puppet | None, op: Op) -> Any:
        op.thing.happened = False
        return "answer", None

    def do_put(self, p: Puppet, op: Op) -> Any:
        channel = op.thing
        if channel.closed:
            return "error", "ChannelClosed"
        channel.puts += 1
        item = (channel.puts, op.extra)
        if channel.queue:
            self.give_item(channel, item)
        elif len(channel.items) < channel.capacity:
            channel.items.append(item)
        else:
            channel.putters.append(p)
            p.wait, p.note = channel, item
            return BLOCKED
        return "answer", None

    def give_item(self, channel: Channel, item: tuple[int, Any]) -> None:
        self.grant(channel.queue.pop(0), item[1], lambda: self.take_back(channel, item))

    def take_back(self, channel: Channel, item: tuple[int, Any]) -> None:
        if channel.queue:
            self.give_item(channel, item)
        else:
            channel.returned = sorted([*channel.returned, item])

    def do_get(self, p: Puppet, op: Op) -> Any:
        channel = op.thing
        if channel.returned:
            return "answer", channel.returned.pop(0)[1]
        if channel.items:
            item = channel.items.pop(0)
            if channel.putters and len(channel.items) < channel.capacity:
                channel.items.append(self.next_put(channel))
            return "answer", item[1]
        if channel.putters:
            return "answer", self.next_put(channel)[1]
        if channel.closed:
            return "error", "ChannelClosed"
        channel.queue.append(p)
        p.wait = channel
        return BLOCKED

    def next_put(self, channel: Channel) -> tuple[int, Any]:
        p = channel.putters.pop(0)
        item: tuple[int, Any] = p.note
        self.grant(p, None)
        return item

    def do_close(self, p: Puppet | None, op: Op) -> Any:
        channel = op.thing
        channel.closed = True
        for queue in (channel.queue, channel.putters):
            while queue:
                self.wake_error(queue.pop(0), "ChannelClosed")
        return "answer", None

    def do_send(self, p: Puppet | None, op: Op) -> Any:
        if op.thing.dead:
            return "answer", False
        self.do_put(op.thing, Op("put", op.thing.mailbox, op.extra))
        return "answer", True

    def do_receive(self, p: Puppet, op: Op) -> Any:
        return self.do_get(p, Op("get", p.mailbox))
