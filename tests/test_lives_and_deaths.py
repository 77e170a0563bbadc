"""A state machine that drives tasks through all they can do to each other, beside a simple model (tests/model.py).

Each batch of moves is carried out by one task in one go, so that grants, signals and orders meet in the same round;
then everybody runs until nobody is ready. After every step the kernel is audited; after every batch it must look like
the model: what each puppet has seen, in which order, where it waits, who holds what.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import pyos
from pyos import (
    ChannelClosed,
    ExitStatus,
    KillTask,
    LinkedTaskFailed,
    NewTask,
    Program,
    Receive,
    Send,
    Signal,
    Sleep,
    TaskKilled,
    TaskTimeout,
    Timeout,
    WaitTask,
)
from pyos.kernel.clock import VirtualClock
from pyos.kernel.kernel import Kernel, RunningInThisThread
from pyos.kernel.lifecycle import Exits
from pyos.kernel.signalling import PARKED
from tests import model as m
from tests.conftest import assert_nothing_is_left
from tests.kernel.programs import forever

SECONDS = st.sampled_from([0.5, 1.0, 1.5, 2.0])


class Failure(Exception):
    """What a puppet fails with."""


class Puppet:
    """The real one: a task that carries out orders and notes what comes of them."""

    def __init__(self, world: Lives, name: str, stubborn: bool) -> None:
        self.world = world
        self.name = name
        self.stubborn = stubborn
        self.orders: pyos.Channel[m.Op] = pyos.Channel(math.inf)
        self.log: list[str] = []
        self.tid = 0

    def act(self) -> Program:
        while True:
            try:
                op = yield self.orders.get()
                if op.kind == "return":
                    return
                if op.kind == "fail":
                    raise Failure(self.name)
                if op.kind == "yield":
                    yield
                    continue
                answer = yield self.world.trap(op)
                self.log.append(f"{op.kind}: {self.world.show(op, answer)}")
            except TaskKilled as killed:
                self.log.append(killed.signal.name)
                if killed.signal is Signal.TERM and not self.stubborn:
                    raise
            except LinkedTaskFailed as failure:
                self.log.append(f"linked {failure.status.name}")
            except TaskTimeout:
                self.log.append("timeout")
            except (ValueError, PermissionError, ChannelClosed) as error:
                self.log.append(type(error).__name__)


class Lives(RuleBasedStateMachine):
    """The kernel, and the model beside it."""

    @initialize(stubborn=st.lists(st.booleans(), min_size=3, max_size=4))
    def boot(self, stubborn: list[bool]) -> None:
        self.model = m.Model()
        self.kernel = Kernel(clock=VirtualClock(), log=lambda line: None)
        self.init = self.kernel.spawn(forever(), name="init")
        self.puppets: dict[str, Puppet] = {}
        lock = m.Lock("lock")
        self.things = [
            lock,
            m.Lock("other lock"),
            m.Condition("condition", lock),
            m.Semaphore("semaphore", 1),
            m.Event("event"),
            m.Channel("rendezvous", 0),
            m.Channel("channel", 1),
            m.Channel("large channel", 3),
        ]
        real: dict[Any, Any] = {}
        for thing in self.things:
            match thing:
                case m.Lock():
                    real[thing] = pyos.Lock(thing.name)
                case m.Condition():
                    real[thing] = pyos.Condition(real[thing.lock], thing.name)
                case m.Semaphore():
                    real[thing] = pyos.Semaphore(thing.value, thing.name)
                case m.Event():
                    real[thing] = pyos.Event(thing.name)
                case m.Channel():
                    real[thing] = pyos.Channel(int(thing.capacity), thing.name)
        self.real = real
        for is_stubborn in stubborn:
            puppet = self.new_puppet(is_stubborn, linked=False)
            self.model.start(puppet)
            task = self.kernel.spawn(self.puppets[puppet.name].act(), name=puppet.name, parent=self.init)
            self.puppets[puppet.name].tid = task.tid
        self.settle()

    def new_puppet(self, stubborn: bool, linked: bool) -> m.Puppet:
        name = f"p{len(self.puppets) + 1}"
        self.puppets[name] = Puppet(self, name, stubborn)
        return m.Puppet(name, stubborn=stubborn, linked=linked)

    # --- the moves

    @rule(data=st.data())
    def batch(self, data: st.DataObject) -> None:
        """Several moves in one go, by one task; then everybody runs."""
        known = list(self.model.puppets.values())
        moves: list[Any] = []
        for _ in range(data.draw(st.integers(1, 5), "moves")):
            kind = data.draw(st.sampled_from(["order", "order", "signal", "act"]), "kind")
            if kind == "order":
                puppet = data.draw(st.sampled_from(known))
                op = data.draw(self.ops(known))
                moves.append(self.puppets[puppet.name].orders.put(op))
                self.model.order(puppet, op)
            elif kind == "signal":
                puppet = data.draw(st.sampled_from(known))
                signal = data.draw(st.sampled_from(list(Signal)))
                moves.append(KillTask(self.puppets[puppet.name].tid, signal, grace=m.GRACE))
                self.model.signal(puppet, signal.name)
            else:
                op = data.draw(self.acts(known))
                moves.append(self.trap(op))
                getattr(self.model, "do_" + op.kind)(None, op)
        if moves:
            self.kernel.spawn(self.carry_out(moves), name="director", parent=self.init, detached=True)
        self.settle()

    @staticmethod
    def carry_out(moves: list[Any]) -> Program:
        for trap in moves:
            answer = yield trap
            del answer

    def ops(self, known: list[m.Puppet]) -> st.SearchStrategy[m.Op]:
        """Orders for puppets."""

        def of(kind: type) -> st.SearchStrategy[Any]:
            return st.sampled_from([thing for thing in self.things if isinstance(thing, kind)])

        plain = [
            st.builds(m.Op, st.just("sleep"), st.none(), SECONDS),
            st.builds(m.Op, st.sampled_from(["acquire", "release"]), of(m.Lock)),
            st.builds(m.Op, st.sampled_from(["take", "give"]), of(m.Semaphore)),
            st.builds(m.Op, st.sampled_from(["wait_event", "set", "clear"]), of(m.Event)),
            st.builds(m.Op, st.sampled_from(["put"]), of(m.Channel), st.integers(0, 99)),
            st.builds(m.Op, st.sampled_from(["get", "get", "get", "close"]), of(m.Channel)),
            st.builds(m.Op, st.just("notify"), of(m.Condition), st.integers(0, 3)),
            st.builds(m.Op, st.just("wait_condition"), of(m.Condition)),
            st.builds(m.Op, st.just("send"), st.sampled_from(known), st.integers(0, 99)),
            st.builds(m.Op, st.sampled_from(["receive", "wait_any"])),
            st.builds(m.Op, st.just("wait"), st.sampled_from(known)),
        ]
        timed = st.builds(self.timed, st.one_of(plain), SECONDS, st.booleans())
        others = st.builds(m.Op, st.sampled_from(["return", "fail", "yield", "yield"]))
        return st.one_of(*plain, *plain, timed, timed, others, st.builds(self.spawns, st.booleans(), st.booleans()))

    @staticmethod
    def timed(op: m.Op, seconds: float, in_subroutine: bool) -> m.Op:
        op.timeout = seconds
        op.in_subroutine = in_subroutine and op.kind != "wait_condition"  # it may take more than a second to come back
        return op

    def spawns(self, stubborn: bool, linked: bool) -> m.Op:
        return m.Op("spawn", self.new_puppet(stubborn, linked))

    def acts(self, known: list[m.Puppet]) -> st.SearchStrategy[m.Op]:
        """What the director does itself: nothing that could wait."""
        semaphore, event, condition = self.things[3], self.things[4], self.things[2]
        free = [c for c in self.things if isinstance(c, m.Channel) and not c.closed]
        free = [c for c in free if c.queue or len(c.items) < c.capacity]
        acts = [
            st.builds(m.Op, st.just("give"), st.just(semaphore)),
            st.builds(m.Op, st.sampled_from(["set", "clear"]), st.just(event)),
            st.builds(m.Op, st.just("notify"), st.just(condition), st.integers(0, 3)),
            st.builds(m.Op, st.just("send"), st.sampled_from(known), st.integers(0, 99)),
        ]
        if free:
            acts.append(st.builds(m.Op, st.just("put"), st.sampled_from(free), st.integers(0, 99)))
        return st.one_of(acts)

    @rule(seconds=SECONDS)
    def advance(self, seconds: float) -> None:
        """Time passes."""
        clock, timers = self.kernel.clock, self.kernel.timers
        assert isinstance(clock, VirtualClock)
        until = clock.time + seconds
        while (deadline := timers.next_deadline()) is not None and deadline <= until:
            clock.time = deadline
            self.kernel._deliver(0.0)  # not step(), which would wait for somebody to be ready
            self.kernel.audit()
            self.run_ready()
        clock.time = until
        self.model.advance(seconds)

    @precondition(lambda self: any(p.stopped for p in self.model.puppets.values()))
    @rule()
    def all_go_on(self) -> None:
        """So that not everybody is stopped after a while."""
        stopped = [p for p in self.model.puppets.values() if p.stopped]
        moves = [KillTask(self.puppets[p.name].tid, Signal.CONT) for p in stopped]
        for p in stopped:
            self.model.signal(p, "CONT")
        self.kernel.spawn(self.carry_out(moves), name="director", parent=self.init, detached=True)
        self.settle()

    # --- both sides

    def run_ready(self) -> None:
        """Without `Kernel.step`, which waits for a deadline when only entries of the dead and stopped are left."""
        kernel = self.kernel
        while kernel.scheduler.runq:
            kernel._deliver(0.0)
            with RunningInThisThread(kernel):
                kernel.scheduler.step(kernel.stepwise)
            kernel.audit()

    def settle(self) -> None:
        self.run_ready()
        self.model.run()

    def trap(self, op: m.Op) -> Any:
        """The trap that an order is."""
        trap = self.bare_trap(op)
        if op.timeout is None:
            return trap
        return Timeout(op.timeout, self.in_subroutine(trap) if op.in_subroutine else trap)

    def bare_trap(self, op: m.Op) -> Any:
        if isinstance(op.thing, m.Puppet):
            puppet = self.puppets[op.thing.name]
            match op.kind:
                case "send":
                    return Send(puppet.tid, op.extra)
                case "wait":
                    return WaitTask(puppet.tid)
                case _:
                    return NewTask(puppet.act(), name=puppet.name, linked=op.thing.linked)
        if op.thing is None:
            return {"sleep": Sleep(op.extra or 0), "receive": Receive(), "wait_any": WaitTask()}[op.kind]
        method = {"take": "acquire", "give": "release", "wait_event": "wait", "wait_condition": "wait"}
        arguments = [] if op.extra is None else [op.extra]
        return getattr(self.real[op.thing], method.get(op.kind, op.kind))(*arguments)

    @staticmethod
    def in_subroutine(trap: Any) -> Program:
        return (yield trap)

    def show(self, op: m.Op, answer: Any) -> Any:
        """An answer in the model's words."""
        if op.kind == "spawn":
            self.puppets[op.thing.name].tid = answer
            return op.thing.name
        if op.kind == "receive":
            return answer[1]
        if isinstance(answer, ExitStatus):
            if answer.signal is not None:
                return answer.signal.name
            return "returned" if answer.ok else "failed"
        return answer

    # --- what must be the same

    @invariant()
    def puppets_have_seen_the_same(self) -> None:
        for name, puppet in self.model.puppets.items():
            assert self.puppets[name].log == puppet.log, name

    @invariant()
    def puppets_are_in_the_same_place(self) -> None:
        for name, puppet in self.model.puppets.items():
            task = self.kernel.table.get(self.puppets[name].tid)
            assert (task is None) == puppet.reaped, name
            if task is None:
                continue
            assert (task.status is not None) == puppet.dead, name
            assert (task.stopped is not None) == (puppet.stopped and not puppet.dead), name
            if not puppet.dead:
                assert self.waits_on(task.wait) == ("CONT" if puppet.parked else self.name_of(puppet.wait)), name

    def waits_on(self, wait: Any) -> str:
        if wait is PARKED:
            return "CONT"
        if wait is self.kernel.timers:
            return m.SLEEP
        if isinstance(wait, Exits):
            return m.EXITS
        if any(wait is puppet.orders.kernel_object for puppet in self.puppets.values()):
            return m.ORDERS
        return str(wait.label).split('"')[1]

    @staticmethod
    def name_of(wait: Any) -> str:
        name = wait if isinstance(wait, str) else wait.name
        return "mailbox" if name == "message" else str(name)

    @invariant()
    def things_are_in_the_same_state(self) -> None:
        for thing in self.things:
            real = self.kernel.sync.object_of(self.real[thing])
            assert [task.name for task in real.queue.waiting()] == [p.name for p in thing.queue], thing.name
            if isinstance(thing, m.Lock):
                assert (real.owner and real.owner.name) == (thing.owner and thing.owner.name)
            elif isinstance(thing, m.Semaphore):
                assert real.value == thing.value
            elif isinstance(thing, m.Event):
                assert real.happened == thing.happened
            elif isinstance(thing, m.Channel):
                assert [task.name for task in real.putters.waiting()] == [p.name for p in thing.putters]
                assert list(real.items) == [item for _, item in thing.items]
                assert [item for _, item in sorted(real.returned)] == [item for _, item in thing.returned]

    def teardown(self) -> None:
        if hasattr(self, "kernel"):
            self.kernel.close()
            self.kernel.audit()
            assert_nothing_is_left(self.kernel)


@pytest.mark.filterwarnings("error")
class TestLives(Lives.TestCase):  # type: ignore[name-defined,misc]
    settings = settings(
        max_examples=60,
        stateful_step_count=25,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
