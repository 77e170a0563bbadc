"""Locks, semaphores, events, conditions, channels, cells: order, hand-over, misuse, nothing lost to the killed."""

import contextlib
import gc
import math
import threading
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyos import (
    CONT,
    INT,
    KILL,
    STOP,
    TERM,
    Acquire,
    Cell,
    Channel,
    ChannelClosed,
    Condition,
    Event,
    Get,
    GetTid,
    GetTime,
    KillTask,
    Lock,
    NewTask,
    Notify,
    Put,
    Semaphore,
    SetEvent,
    Sleep,
    TaskKilled,
    Tasks,
    TaskTimeout,
    Timeout,
    WaitTask,
)
from pyos.kernel.kernel import Kernel
from pyos.kernel.waitqueue import WaitQueue
from pyos.observe.debug import Unyielded
from tests.conftest import drive
from tests.kernel.programs import forever, outcome, yields

SIGNALS = pytest.mark.parametrize("signal", [INT, TERM, KILL])


def start(*targets):
    """As a subroutine: start tasks and let them run until they wait; their tids."""
    tids = []
    for target in targets:
        tids.append((yield NewTask(target)))
    yield Sleep(1)
    return tids


def waits(trap, order, name):
    """Yield a trap, then note the name."""
    yield trap
    order.append(name)


def would_block(trap):
    """As a subroutine: True if the trap waits."""
    try:
        yield Timeout(0, trap)
    except TaskTimeout:
        return True
    return False


def is_free(lock):
    """As a subroutine: True if the lock can be had at once."""
    free = not (yield from would_block(lock.acquire()))
    if free:
        yield lock.release()
    return free


# --- Lock


def test_a_lock_is_held_by_one_task_at_a_time(run):
    inside = []

    def worker(lock):
        for _ in range(5):
            yield lock.acquire()
            inside.append(1)
            yield
            yield Sleep(0.01)
            assert len(inside) == 1
            inside.pop()
            yield lock.release()
        return "done"

    def main():
        lock = Lock()
        tids = yield from start(*(worker(lock) for _ in range(4)))
        values = []
        for tid in tids:
            values.append((yield WaitTask(tid)).value)
        return values

    assert run(main()).value == ["done"] * 4


def test_a_lock_is_handed_over_in_order_of_asking_and_nobody_barges_in(run):
    order = []

    def main():
        lock = Lock()
        yield lock.acquire()
        tids = yield from start(*(takes_and_gives(lock, n) for n in range(4)))
        yield lock.release()
        yield lock.acquire()  # comes last, though the lock was free for a moment
        order.append("main")
        yield lock.release()
        return tids

    def takes_and_gives(lock, n):
        yield lock.acquire()
        order.append(n)
        yield lock.release()

    run(main())
    assert order == [0, 1, 2, 3, "main"]


def test_a_lock_is_not_reentrant(run):
    def main():
        lock = Lock("mine")
        yield lock.acquire()
        error = yield outcome(lock.acquire())
        yield lock.release()
        return error, (yield from would_block(lock.acquire()))

    error, blocks = run(main()).value
    assert type(error) is ValueError
    assert str(error) == 'lock "mine" is not reentrant: task 1 (main) holds it already'
    assert blocks is False


@pytest.mark.parametrize("held", [False, True])
def test_releasing_what_one_does_not_hold_is_refused(run, log, held):
    def holder(lock):
        yield lock.acquire()
        yield from forever()

    def main():
        lock = Lock("db")
        if held:
            yield from start(holder(lock))
        return (yield outcome(lock.release())), (yield from would_block(lock.acquire()))

    error, blocks = run(main()).value
    assert type(error) is PermissionError
    who = "task 2 (holder) does" if held else "nobody does"
    assert str(error) == f'task 1 (main) does not hold lock "db": {who}'
    assert blocks is held


def test_a_lock_can_be_released_once_for_each_time_it_was_taken(run):
    def main():
        lock = Lock()
        yield lock.acquire()
        yield lock.release()
        return type((yield outcome(lock.release())))

    assert run(main()).value is PermissionError


@SIGNALS
def test_a_waiter_that_is_killed_leaves_the_queue_of_a_lock(run, signal):
    order = []

    def main():
        lock = Lock()
        yield lock.acquire()
        tids = yield from start(*(outcome(waits(lock.acquire(), order, n)) for n in range(3)))
        yield KillTask(tids[1], signal)
        yield WaitTask(tids[1])
        yield lock.release()
        yield WaitTask(tids[0])
        return (yield WaitTask(tids[2])).ok

    assert run(main()).value is True
    assert order == [0, 2]


@SIGNALS
@pytest.mark.parametrize("stopped", [False, True])
def test_a_lock_on_its_way_to_a_killed_task_goes_to_the_next(run, signal, stopped):
    order = []

    def child(lock, n):
        yield lock.acquire()
        order.append(n)
        yield Sleep(1)
        yield lock.release()

    def main():
        lock = Lock()
        yield lock.acquire()
        one, two = yield from start(child(lock, 1), child(lock, 2))
        if stopped:
            yield KillTask(one, STOP)
        yield lock.release()  # handed to the first, which is not told before the signal
        yield KillTask(one, signal)
        if stopped:
            yield KillTask(one, CONT)
        yield WaitTask(two)
        yield lock.acquire()
        yield lock.release()

    run(main())
    assert order == ([2] if signal is KILL else [1, 2])


def test_a_lock_whose_holder_dies_is_released_with_a_log_line(run, log):
    def holder(lock):
        yield lock.acquire()
        yield Sleep(1)

    def main():
        lock = Lock("db")
        yield NewTask(holder(lock))
        yield
        yield lock.acquire()
        now = yield GetTime()
        yield lock.release()
        return now

    assert run(main()).value == 1.0
    assert log == ['task 2 (holder) died holding lock "db": it is released']


def test_locks_of_a_dead_task_are_released_last_come_first(run, log):
    def holder(locks):
        for lock in locks:
            yield lock.acquire()

    def main():
        yield WaitTask((yield NewTask(holder([Lock("a"), Lock("b"), Lock("c")]))))

    run(main())
    assert [line.split('"')[1] for line in log] == ["c", "b", "a"]


def test_a_chain_of_deaths_hands_a_lock_on_and_on(run, log):
    def holder(lock):
        yield lock.acquire()

    def main():
        lock = Lock()
        yield lock.acquire()
        yield from start(*(holder(lock) for _ in range(50)))
        yield lock.release()
        yield lock.acquire()
        yield lock.release()

    run(main())
    assert len(log) == 50


def test_a_lock_held_by_a_task_killed_for_its_clean_up_is_free(run, log):
    def stubborn(lock):
        try:
            yield Sleep(50)
        finally:
            yield lock.acquire()

    def main():
        lock = Lock()
        (tid,) = yield from start(stubborn(lock))
        yield KillTask(tid, KILL)
        return (yield from would_block(lock.acquire()))

    assert run(main()).value is False


# --- Semaphore


def test_a_semaphore_lets_so_many_in(run):
    inside, most = [], []

    def worker(permits):
        yield permits.acquire()
        inside.append(1)
        most.append(len(inside))
        yield Sleep(1)
        inside.pop()
        yield permits.release()

    def main():
        permits = Semaphore(3)
        for tid in (yield from start(*(worker(permits) for _ in range(10)))):
            yield WaitTask(tid)
        return (yield GetTime())

    assert run(main()).value == 4.0
    assert max(most) == 3


def test_permits_are_handed_out_in_order_of_asking(run):
    order = []

    def main():
        permits = Semaphore(0)
        tids = yield from start(*(waits(permits.acquire(), order, n) for n in range(5)))
        yield permits.release()
        blocks = yield from would_block(permits.acquire())
        for _ in tids[1:]:
            yield permits.release()
        for tid in tids:
            yield WaitTask(tid)
        return blocks, (yield from would_block(permits.acquire()))

    assert run(main()).value == (True, True)
    assert order == [0, 1, 2, 3, 4]


@SIGNALS
@pytest.mark.parametrize("moment", ["waiting", "granted", "granted and stopped", "stopped and granted"])
def test_a_killed_task_never_swallows_a_permit(run, signal, moment):
    def child(permits):
        yield permits.acquire()
        try:
            yield Sleep(5)
        finally:
            yield permits.release()

    def main():
        permits = Semaphore(0)
        (tid,) = yield from start(child(permits))
        if moment == "waiting":
            yield KillTask(tid, signal)
            yield permits.release()
        elif moment == "granted":
            yield permits.release()
            yield KillTask(tid, signal)
        elif moment == "granted and stopped":
            yield permits.release()
            yield KillTask(tid, STOP)
            yield Sleep(1)
            yield KillTask(tid, KILL if signal is INT else signal)
        else:
            yield KillTask(tid, STOP)
            yield permits.release()
            yield Sleep(1)
            yield KillTask(tid, KILL if signal is INT else signal)
        yield WaitTask(tid)
        return (yield from would_block(permits.acquire())), (yield from would_block(permits.acquire()))

    assert run(main()).value == (False, True)


@pytest.mark.parametrize(
    "wrap", [lambda trap: trap, lambda trap: Timeout(9, trap), lambda trap: Timeout(9, Timeout(8, trap))]
)
def test_a_permit_that_was_free_and_not_yet_delivered_is_given_back(make_kernel, wrap):
    """A task at the end of its slice holds the answer of its last trap when it is killed."""

    def child(permits):
        for _ in range(63):
            yield GetTid()
        yield wrap(permits.acquire())
        yield forever()

    def main():
        permits = Semaphore(1)
        tid = yield NewTask(child(permits))
        yield
        yield KillTask(tid, KILL)
        return (yield from would_block(permits.acquire())), (yield from would_block(permits.acquire()))

    kernel = make_kernel()
    kernel.spawn(main())
    assert kernel.run().value == (False, True)


@pytest.mark.parametrize("value", [-1, 1.5, "1", None, True])
def test_a_semaphore_starts_with_an_int_of_at_least_0(value):
    with pytest.raises(ValueError if value == -1 else TypeError):
        Semaphore(value)


# --- Event


def test_an_event_wakes_all_who_wait_and_nobody_waits_while_it_is_set(run):
    order = []

    def main():
        event = Event()
        yield from start(*(waits(event.wait(), order, n) for n in range(3)))
        yield event.set()
        yield event.set()
        yield event.wait()
        order.append("main")
        yield Sleep(1)
        yield event.clear()
        yield event.clear()
        return (yield from would_block(event.wait()))

    assert run(main()).value is True
    assert order == ["main", 0, 1, 2]


def test_an_event_that_is_cleared_at_once_has_still_woken_its_waiters(run):
    order = []

    def main():
        event = Event()
        yield from start(waits(event.wait(), order, 0))
        yield event.set()
        yield event.clear()
        yield Sleep(1)

    run(main())
    assert order == [0]


# --- Condition


def waits_for(condition, lock, order, name):
    yield lock.acquire()
    try:
        yield condition.wait()
        order.append(name)
    finally:
        yield lock.release()


def test_a_condition_gives_up_its_lock_and_has_it_again(run):
    order = []

    def main():
        lock = Lock()
        condition = Condition(lock)
        yield from start(*(waits_for(condition, lock, order, n) for n in range(3)))
        yield lock.acquire()  # nobody holds it
        counts = [(yield condition.notify())]
        order.append("main still")
        yield Sleep(1)
        yield lock.release()
        yield Sleep(1)
        counts.append((yield condition.notify_all()))
        counts.append((yield condition.notify(5)))
        yield Sleep(1)
        return counts

    assert run(main()).value == [1, 2, 0]
    assert order == ["main still", 0, 1, 2]


@pytest.mark.parametrize(("n", "woken"), [(0, []), (1, [0]), (2, [0, 1]), (9, [0, 1, 2]), (None, [0, 1, 2])])
def test_notify_wakes_so_many_in_order(run, n, woken):
    order = []

    def main():
        lock = Lock()
        condition = Condition(lock)
        yield from start(*(waits_for(condition, lock, order, n) for n in range(3)))
        count = yield Notify(condition, n)
        yield Sleep(1)
        return count

    assert run(main()).value == len(woken)
    assert order == woken


@pytest.mark.parametrize(("n", "error"), [(-1, ValueError), ("1", TypeError), (1.0, TypeError), (True, TypeError)])
def test_a_bad_number_to_notify_is_refused(run, n, error):
    def main():
        return type((yield outcome(Condition(Lock()).notify(n))))

    assert run(main()).value is error


@pytest.mark.parametrize("held", [False, True])
def test_waiting_for_a_condition_without_its_lock_is_refused(run, held):
    def holder(lock):
        yield lock.acquire()
        yield from forever()

    def main():
        lock = Lock()
        if held:
            yield from start(holder(lock))
        return type((yield outcome(Condition(lock).wait())))

    assert run(main()).value is PermissionError


@pytest.mark.parametrize("signal", [INT, TERM])
@pytest.mark.parametrize("notified", [False, True])
def test_a_task_signalled_in_a_condition_has_the_lock_when_it_is_raised(run, log, signal, notified):
    events = []

    def waiter(lock, condition):
        yield lock.acquire()
        try:
            yield condition.wait()
        except TaskKilled as killed:
            events.append((killed.signal, (yield GetTime())))
            raise
        finally:
            yield lock.release()

    def main():
        lock = Lock()
        condition = Condition(lock)
        one, two = yield from start(waiter(lock, condition), waits_for(condition, lock, events, "next"))
        yield lock.acquire()
        if notified:
            yield condition.notify()
        yield KillTask(one, signal)
        yield Sleep(0.5)
        events.append("main has the lock")
        if not notified:
            yield condition.notify()
        yield lock.release()
        return (yield WaitTask(one)).signal, (yield WaitTask(two)).ok

    assert run(main()).value == (signal, True)
    assert sorted(events, key=str) == sorted([(signal, 1.5), "main has the lock", "next"], key=str)
    assert log == []


@pytest.mark.parametrize("moment", ["waiting", "notified", "has the lock"])
def test_a_killed_task_passes_its_notification_on(run, log, moment):
    order = []

    def main():
        lock = Lock()
        condition = Condition(lock)
        one, two = yield from start(*(waits_for(condition, lock, order, n) for n in (1, 2)))
        yield lock.acquire()
        if moment == "waiting":
            yield KillTask(one, KILL)
            yield condition.notify()
        elif moment == "notified":
            yield condition.notify()
            yield KillTask(one, KILL)
        else:
            yield condition.notify()
            yield lock.release()
            yield KillTask(one, KILL)
            yield lock.acquire()
        yield lock.release()
        return (yield Timeout(5, WaitTask(two))).ok, (yield from is_free(lock))

    assert run(main()).value == (True, True)
    assert order == [2]
    assert log == []


def test_two_signals_to_a_task_that_waits_for_a_conditions_lock_are_both_raised(run):
    seen = []

    def waiter(lock, condition):
        yield lock.acquire()
        for target in (condition.wait(), Sleep(9), Sleep(9)):
            try:
                yield target
            except TaskKilled as killed:
                seen.append(killed.reason)
        yield lock.release()

    def main():
        lock = Lock()
        condition = Condition(lock)
        (tid,) = yield from start(waiter(lock, condition))
        yield lock.acquire()
        yield KillTask(tid, INT, reason="one")
        yield KillTask(tid, TERM, reason="two", grace=99)
        yield Sleep(1)
        yield lock.release()
        return (yield WaitTask(tid)).ok

    assert run(main()).value is True
    assert seen == ["one", "two"]


def test_killing_a_task_that_has_been_signalled_in_a_condition_leaves_the_lock_free(run, log):
    def main():
        lock = Lock()
        condition = Condition(lock)
        (tid,) = yield from start(waits_for(condition, lock, [], 1))
        yield lock.acquire()
        yield KillTask(tid, INT)
        yield KillTask(tid, KILL)
        yield lock.release()
        return (yield WaitTask(tid)).signal, (yield from is_free(lock))

    assert run(main()).value == (KILL, True)
    assert log == []


def test_a_timed_out_task_that_is_closed_in_a_condition_may_release_the_lock_it_believes_it_has(run, log):
    def waiter(lock, condition):
        yield lock.acquire()
        while True:
            with contextlib.suppress(TaskTimeout):
                yield Sleep(99)
                continue
            try:
                yield condition.wait()
            finally:
                yield lock.release()

    def main():
        lock = Lock()
        condition = Condition(lock)
        tid = yield NewTask(outcome(Timeout(1, waiter(lock, condition))))
        yield Sleep(1.5)
        yield lock.acquire()
        yield Sleep(1)
        kind = type((yield WaitTask(tid)).value)
        yield lock.release()
        return kind

    assert run(main()).value is TaskTimeout
    assert len(log) == 1
    assert "closed" in log[0]


@pytest.mark.parametrize("lock", [None, Semaphore(1), Event(), "lock"])
def test_a_condition_has_a_lock(lock):
    with pytest.raises(TypeError, match="a condition has a Lock"):
        Condition(lock)


def test_many_waiters_and_notifiers_lose_nothing(run):
    """A bounded buffer made of a lock and two conditions."""
    got = []

    def producer(buffer, lock, room, some, n):
        for i in range(20):
            yield lock.acquire()
            while len(buffer) >= 2:
                yield room.wait()
            buffer.append((n, i))
            yield some.notify()
            yield lock.release()

    def consumer(buffer, lock, room, some):
        for _ in range(20):
            yield lock.acquire()
            while not buffer:
                yield some.wait()
            got.append(buffer.pop(0))
            yield room.notify()
            yield lock.release()

    def main():
        lock = Lock()
        parts = [], lock, Condition(lock), Condition(lock)
        tids = yield from start(*(producer(*parts, n) for n in range(3)), *(consumer(*parts) for _ in range(3)))
        for tid in tids:
            yield WaitTask(tid)

    run(main())
    assert sorted(got) == [(n, i) for n in range(3) for i in range(20)]
    assert all([i for m, i in got if m == n] == list(range(20)) for n in range(3))


# --- Channel


@pytest.mark.parametrize("capacity", [0, 1, 3, math.inf])
def test_items_arrive_in_order_each_once(run, capacity):
    def producer(channel):
        for i in range(50):
            yield channel.put(i)
        yield channel.close()

    def main():
        channel = Channel(capacity)
        yield NewTask(producer(channel))
        got = []
        while True:
            try:
                got.append((yield channel.get()))
            except ChannelClosed:
                return got

    assert run(main()).value == list(range(50))


@pytest.mark.parametrize("capacity", [0, 1, 3])
def test_put_waits_when_there_is_no_room(run, capacity):
    def main():
        channel = Channel(capacity)
        for i in range(capacity):
            yield channel.put(i)
        blocked = yield from would_block(channel.put("too much"))
        got = []
        for _ in range(capacity):
            got.append((yield channel.get()))
        return blocked, got, (yield from would_block(channel.get()))

    assert run(main()).value == (True, list(range(capacity)), True)


def test_with_capacity_0_put_ends_when_the_item_is_taken(run):
    order = []

    def putter(channel):
        yield channel.put("item")
        order.append(("put", (yield GetTime())))

    def main():
        channel = Channel()
        (tid,) = yield from start(putter(channel))
        order.append((yield channel.get()))
        yield WaitTask(tid)

    run(main())
    assert order == ["item", ("put", 1.0)]


def test_items_of_waiting_putters_follow_those_in_the_channel(run):
    def main():
        channel = Channel(2)
        yield from start(*(channel_put(channel, n) for n in range(6)))
        got = []
        for _ in range(6):
            got.append((yield channel.get()))
        return got

    def channel_put(channel, n):
        yield channel.put(n)

    assert run(main()).value == [0, 1, 2, 3, 4, 5]


def test_none_is_an_item_like_any_other(run):
    def main():
        channel = Channel()
        (tid,) = yield from start(outcome(channel.get()))
        yield channel.put(None)
        return (yield WaitTask(tid)).ok

    assert run(main()).value is True


def test_an_item_that_is_an_exception_class_or_generator_is_passed_as_it_is(run):
    def main():
        channel = Channel(3)
        items = [ValueError("x"), yields(1), TaskKilled]
        for item in items:
            yield channel.put(item)
        got = []
        for _ in items:
            got.append((yield channel.get()))
        items[1].close()
        return all(a is b for a, b in zip(items, got))

    assert run(main()).value is True


def test_closing_lets_getters_drain_and_refuses_puts(run):
    def main():
        channel = Channel(2, name="jobs")
        yield channel.put(1)
        yield channel.put(2)
        putters = yield from start(outcome(channel.put(3)), outcome(channel.put(4)))
        yield channel.close()
        yield channel.close()
        results = []
        for tid in putters:
            results.append(str((yield WaitTask(tid)).value))
        results.append(str((yield outcome(channel.put(5)))))
        for _ in range(3):
            results.append((yield outcome(channel.get())))
        return results

    *refused, one, two, end = run(main()).value
    assert refused == ['channel "jobs" is closed'] * 3
    assert (one, two) == (1, 2)
    assert type(end) is ChannelClosed


def test_closing_wakes_all_who_wait_to_get(run):
    def main():
        channel = Channel()
        tids = yield from start(*(outcome(channel.get()) for _ in range(3)))
        yield channel.close()
        kinds = []
        for tid in tids:
            kinds.append(type((yield WaitTask(tid)).value))
        return kinds

    assert run(main()).value == [ChannelClosed] * 3


@SIGNALS
@pytest.mark.parametrize("capacity", [0, 2])
@pytest.mark.parametrize("rival", [False, True], ids=["alone", "another waits"])
def test_an_item_on_its_way_to_a_killed_task_is_not_lost(run, signal, capacity, rival):
    got = []

    def getter(channel):
        got.append((yield channel.get()))

    def main():
        channel = Channel(capacity)
        tids = yield from start(getter(channel), *([getter(channel)] if rival else []))
        yield channel.put("item")
        yield KillTask(tids[0], signal)
        if not rival and signal is KILL:
            got.append((yield channel.get()))
        elif rival:
            yield channel.put("second") if signal is not KILL else channel.close()
        for tid in tids:
            yield WaitTask(tid)

    run(main())
    assert got == (["item"] if signal is KILL or not rival else ["item", "second"])


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (2, 0, 1)])
@pytest.mark.parametrize("capacity", [0, 1, 5])
def test_items_given_back_by_several_killed_tasks_keep_their_order(run, order, capacity):
    def main():
        channel = Channel(capacity)
        tids = yield from start(*(outcome(channel.get()) for _ in range(3)))
        for n in range(3):
            yield channel.put(n)
        for n in order:
            yield KillTask(tids[n], KILL)
        yield NewTask(outcome(channel.put(3)))
        got = []
        for _ in range(4):
            got.append((yield channel.get()))
        return got

    assert run(main()).value == [0, 1, 2, 3]


@SIGNALS
def test_a_putter_that_is_killed_takes_its_item_with_it_each_other_item_arrives_once(run, signal):
    def main():
        channel = Channel()
        tids = yield from start(*(outcome(channel.put(n)) for n in range(3)))
        yield KillTask(tids[1], signal)
        yield WaitTask(tids[1])
        got = [(yield channel.get()), (yield channel.get())]
        return got, (yield from would_block(channel.get()))

    assert run(main()).value == ([0, 2], True)


@SIGNALS
def test_an_item_that_was_taken_from_a_putter_stays_taken(run, signal):
    def main():
        channel = Channel()
        (tid,) = yield from start(outcome(channel.put("item")))
        item = yield channel.get()
        yield KillTask(tid, signal)
        yield WaitTask(tid)
        return item, (yield from would_block(channel.get()))

    assert run(main()).value == ("item", True)


def test_a_timed_out_put_does_not_deliver_and_a_timed_out_get_does_not_take(run):
    def main():
        channel = Channel()
        kinds = [type((yield outcome(Timeout(1, channel.put("lost?")))))]
        kinds.append(type((yield outcome(Timeout(1, channel.get())))))
        (tid,) = yield from start(outcome(channel.get()))
        yield channel.put("found")
        return kinds, (yield WaitTask(tid)).value

    assert run(main()).value == ([TaskTimeout, TaskTimeout], "found")


def test_an_item_given_back_after_closing_can_still_be_got(run):
    def main():
        channel = Channel()
        (tid,) = yield from start(outcome(channel.get()))
        yield channel.put("item")
        yield channel.close()
        yield KillTask(tid, KILL)
        return (yield channel.get()), type((yield outcome(channel.get())))

    assert run(main()).value == ("item", ChannelClosed)


def test_a_task_killed_in_the_step_of_a_close_does_not_wait(run):
    def main():
        channel = Channel()
        one, two = yield from start(outcome(channel.get()), outcome(channel.get()))
        yield channel.close()
        yield KillTask(one, KILL)
        return (yield WaitTask(one)).signal, type((yield WaitTask(two)).value)

    assert run(main()).value == (KILL, ChannelClosed)


@pytest.mark.parametrize("capacity", [-1, 1.5, "1", None, math.nan, -math.inf])
def test_a_capacity_is_an_int_or_infinite(capacity):
    with pytest.raises((TypeError, ValueError)):
        Channel(capacity)


def test_polling_a_channel_leaves_nothing_behind(make_kernel):
    def main():
        channel = Channel()
        for _ in range(5000):
            yield from would_block(channel.get())
            yield from would_block(channel.put(1))
        return channel.kernel_object

    kernel = make_kernel()
    kernel.spawn(main())
    channel = kernel.run().value
    assert (len(channel.queue), len(channel.putters), len(channel.items)) == (0, 0, 0)
    assert len(kernel.timers.heap) < 200


# --- Cell


def test_a_cell_holds_a_value(run):
    def main():
        cell = Cell(1)
        values = [(yield cell.load())]
        values.append((yield cell.store(None)))
        values.append((yield cell.load()))
        other = yield NewTask(outcome(cell.store("theirs")))
        yield WaitTask(other)
        return [*values, (yield cell.load())]

    assert run(main()).value == [1, None, None, "theirs"]


# --- handles


@pytest.mark.parametrize("bad", [None, 42, "lock", Event(), Channel(), Cell(0)])
def test_an_operation_on_the_wrong_kind_of_object_is_refused(run, bad):
    def main():
        return type((yield outcome(Acquire(bad)))), (yield from others(bad))

    def others(bad):
        kinds = set()
        traps = [Notify(bad)]
        traps += [] if isinstance(bad, Channel) else [Get(bad), Put(bad, 1)]
        traps += [] if isinstance(bad, Event) else [SetEvent(bad)]
        for trap in traps:
            kinds.add(type((yield outcome(trap))))
        return kinds

    assert run(main()).value == (TypeError, {TypeError})


def test_a_subclass_of_a_handle_is_one(run):
    class Fair(Lock):
        pass

    def main():
        lock = Fair("fair")
        yield lock.acquire()
        return type((yield outcome(lock.acquire()))), (yield lock.release())

    assert run(main()).value == (ValueError, None)


@pytest.mark.parametrize("make", [Lock, Event, lambda name: Semaphore(1, name), lambda name: Channel(0, name)])
def test_a_name_is_a_string(make):
    with pytest.raises(TypeError, match="a name is a string"):
        make(42)


def test_a_handle_stands_for_a_new_object_in_another_kernel(make_kernel):
    lock = Lock()

    def main():
        yield lock.acquire()

    for _ in range(2):
        kernel = make_kernel()
        kernel.spawn(main())
        assert kernel.run().ok


def test_kernels_that_take_turns_with_a_handle_each_have_their_own_object(make_kernel):
    channel = Channel(9)
    got = {}

    def main(n):
        for i in range(5):
            yield channel.put((n, i))
            yield
        got[n] = []
        for _ in range(5):
            got[n].append((yield channel.get()))

    kernels = [make_kernel(), make_kernel()]
    for n, kernel in enumerate(kernels):
        kernel.spawn(main(n))
    while any(kernel.step() for kernel in kernels):
        pass
    assert got == {n: [(n, i) for i in range(5)] for n in range(2)}


def test_a_handle_made_in_a_thread_works_in_any_kernel():
    made = []
    thread = threading.Thread(target=lambda: made.append(Lock()))
    thread.start()
    thread.join()

    def main():
        yield made[0].acquire()
        yield made[0].release()
        return "ok"

    with Kernel() as kernel:
        kernel.spawn(main())
        assert kernel.run().value == "ok"


def test_an_object_is_freed_with_its_handle(make_kernel):
    def main():
        lock = Lock()
        yield lock.acquire()
        yield lock.release()
        dead = weakref.ref(lock)
        del lock
        yield
        return dead()

    kernel = make_kernel()
    gc.disable()
    try:
        kernel.spawn(main())
        assert kernel.run().value is None
        assert len(kernel.sync.objects) == 0
    finally:
        gc.enable()


def test_what_a_task_waits_for_is_named(run):
    def holder(lock):
        yield lock.acquire()
        yield from forever()

    def main():
        lock, channel = Lock("db"), Channel(0, "jobs")
        yield from start(holder(lock))
        yield from start(
            outcome(lock.acquire()),
            outcome(Semaphore(0, "permits").acquire()),
            outcome(Event("done").wait()),
            outcome(channel.get()),
            outcome(Channel(0, "full").put(1)),
            outcome(Event().wait()),
        )
        return [info.waiting_on for info in (yield Tasks())][2:]

    assert run(main()).value == [
        'lock "db" held by 2 (holder)',
        'semaphore "permits"',
        'event "done"',
        'channel "jobs", to get',
        'channel "full", to put',
        "event #1",
    ]


# --- one trap, one step


def test_each_operation_is_one_trap_and_one_step(make_kernel):
    def main():
        lock, permits, event, channel, cell = Lock(), Semaphore(1), Event(), Channel(1), Cell(0)
        answers = []
        for trap in (
            lock.acquire(),
            Condition(lock).notify(),
            lock.release(),
            permits.acquire(),
            permits.release(),
            event.set(),
            event.wait(),
            event.clear(),
            channel.put(1),
            channel.get(),
            channel.close(),
            cell.store(2),
            cell.load(),
        ):
            answers.append((yield trap))
        return answers

    kernel = make_kernel()
    kernel.spawn(main())
    assert drive(kernel) == 14
    assert kernel.init_status.value == [None, 0, *[None] * 7, 1, None, None, 2]


# --- the wait queue


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["come", "first", "leave"]), st.integers(0, 7)), max_size=200))
def test_a_wait_queue_is_a_list_from_which_anybody_may_leave(moves):
    queue, model = WaitQueue(), []
    for move, who in moves:
        if move == "come" and who not in model:
            queue.append(who)
            model.append(who)
        elif move == "leave" and who in model:
            queue.leave(who)
            model.remove(who)
            assert len(queue) <= 2 * len(model)  # the ghosts are no more than the living
        elif move == "first" and model:
            assert queue.first() == model.pop(0)
        assert queue.waiting() == model
        assert bool(queue) == bool(model)


def test_the_first_of_an_empty_wait_queue_is_an_error():
    with pytest.raises(IndexError):
        WaitQueue().first()


# --- traps that were forgotten


@pytest.mark.parametrize(
    "method", ["acquire", "release", "put", "get", "wait", "set", "notify", "load", "store", "close"]
)
def test_debug_sees_each_trap_that_a_handle_built_and_nobody_yielded(log, method):
    things = [Lock(), Channel(), Event(), Condition(Lock()), Cell(0), Semaphore(0)]
    thing = next(thing for thing in things if hasattr(thing, method))
    arguments = ["item"] if method in ("put", "store") else []
    for _ in range(2):
        with Unyielded(log.append).watching():
            getattr(thing, method)(*arguments)
    assert len(log) == 2
    assert all(line.startswith(f"warning: {__file__}:") and "was never yielded" in line for line in log)
    getattr(thing, method)(*arguments)
    assert len(log) == 2
