"""Every schedule of small races of waiting against dying: in none of them is anything lost.

The racers start together at second 1 (see explore.py), and what waits already has waited from before; at second 2 it is
counted.
"""

import contextlib

import pytest

from pyos import (
    CONT,
    INT,
    KILL,
    STOP,
    TERM,
    Channel,
    ChannelClosed,
    Choose,
    Condition,
    Event,
    KillTask,
    Limits,
    LinkedTaskFailed,
    Lock,
    NewTask,
    Receive,
    Semaphore,
    Send,
    Sleep,
    TaskKilled,
    TaskTimeout,
    Timeout,
    WaitTask,
)
from pyos.lib import TaskGroup, gather
from tests.explore import Choices, race, values
from tests.kernel.programs import outcome, yields

SIGNALS = pytest.mark.parametrize("signal", [INT, TERM, KILL])
NOTHING = "nothing"


def kills(tid, *signals):
    for signal in signals:
        yield KillTask(tid, signal)


def does(*traps):
    """Carry out traps one after the other; the last answer."""
    for trap in traps:
        answer = yield trap
    return answer


def polls(trap):
    """What the trap answers at once, else NOTHING."""
    try:
        return (yield Timeout(0, trap))
    except TaskTimeout:
        return NOTHING


def drains(channel):
    """All that can be got at once."""
    items = []
    while (item := (yield from polls(channel.get()))) is not NOTHING:
        items.append(item)
    return items


def ends_of(tids):
    """How tasks have ended: each one's value, signal, or class of error; or NOTHING if it still waits."""
    ends = []
    for tid in tids:
        status = yield from polls(WaitTask(tid))
        if status is not NOTHING:
            status = status.value if status.ok else status.signal or type(status.error)
        ends.append(status)
    return tuple(ends)


# --- the helper itself


def test_every_interleaving_of_a_race_is_run_once():
    def noting(order, name):
        order.append(name)
        yield
        order.append(name)

    def main():
        order = []
        yield from race(noting(order, "a"), noting(order, "b"))
        return "".join(order)

    found = values(main)
    assert sorted(found) == ["aabb", "abab", "abba", "baab", "baba", "bbaa"]


def test_every_option_is_chosen_in_the_race_and_the_first_outside():
    def main():
        before = yield Choose("xyz")
        yield Sleep(1)
        during = (yield Choose("abc")), (yield Choose([1, 2]))
        yield Sleep(1)
        return before, *during, (yield Choose("xyz"))

    assert values(main) == [("x", letter, number, "x") for letter in "abc" for number in (1, 2)]


def test_after_the_last_run_there_is_no_next():
    choices = Choices([], None)
    for taken, following in (([(0, 2), (2, 3)], [1]), ([(1, 2), (1, 3)], [1, 2]), ([(1, 2), (2, 3)], None), ([], None)):
        choices.taken = list(taken)
        assert choices.next() == following


# --- channels


@SIGNALS
@pytest.mark.parametrize("capacity", [0, 1])
@pytest.mark.parametrize("waiting", [True, False], ids=["waiting before", "getting in the race"])
def test_two_getters_and_a_kill(signal, capacity, waiting):
    def getter(channel, got):
        got.append((yield channel.get()))

    def putter(channel):
        yield channel.put(1)
        yield channel.put(2)

    def main():
        channel, got, tids = Channel(capacity), [], []
        if waiting:
            for _ in range(2):
                tids.append((yield NewTask(getter(channel, got))))
        else:
            tids.append((yield NewTask(does(Sleep(1), getter(channel, got)))))
            tids.append((yield NewTask(getter(channel, got))))
        yield from race(putter(channel), kills(tids[0], signal))
        yield KillTask(tids[1], KILL)
        return tuple(sorted(got + (yield from drains(channel))))

    assert set(values(main)) == {(1, 2)}


def test_items_stay_in_order_when_several_getters_are_killed():
    def getter(channel, got):
        got.append((yield channel.get()))

    def main():
        channel, got = Channel(5), []
        one = yield NewTask(getter(channel, got))
        two = yield NewTask(getter(channel, got))
        yield from race(does(channel.put(1), channel.put(2), channel.put(3)), does(kills(two, KILL), kills(one, KILL)))
        return tuple(got), tuple((yield from drains(channel)))

    found = set(values(main))
    assert all(sorted(got + rest) == [1, 2, 3] and list(rest) == sorted(rest) for got, rest in found)


@pytest.mark.parametrize("signal", [INT, TERM, KILL, STOP])
def test_a_putter_and_a_getter_and_a_kill_of_the_putter(signal):
    """The item arrives, and the putter believes so; or it does not, and the putter was killed."""

    def putter(channel, sure):
        yield channel.put("item")
        sure.append(True)

    def main():
        channel, sure = Channel(), []
        tid = yield NewTask(putter(channel, sure))
        racers = yield from race(kills(tid, signal), polls(channel.get()))
        yield KillTask(tid, CONT)
        got = (yield from ends_of(racers))[1]
        items = (yield from drains(channel)) if got is NOTHING else [got]
        yield Sleep(0.5)
        return tuple(items), bool(sure)

    found = set(values(main))
    if signal is STOP:
        assert found == {(("item",), True)}
    elif signal is KILL:
        assert found == {(("item",), True), (("item",), False), ((), False)}
    else:  # the answer of put is delivered before the signal
        assert found == {(("item",), True), ((), False)}


@pytest.mark.parametrize("capacity", [0, 1])
def test_timeout_against_put(capacity):
    def getter(channel):
        try:
            return (yield Timeout(0.5, channel.get()))
        except TaskTimeout:
            return "timeout"

    def putter(channel):
        yield Sleep(0.5)
        return (yield from polls(channel.put("item")))

    def main():
        channel = Channel(capacity)
        racers = yield from race(getter(channel), putter(channel))
        return *(yield from ends_of(racers)), tuple((yield from drains(channel)))

    found = set(values(main))
    late = ("timeout", None, ("item",)) if capacity else ("timeout", NOTHING, ())
    assert found == {late}  # both timers are due at once, before the put


@pytest.mark.parametrize("signal", [INT, KILL, STOP])
def test_timeout_against_put_and_a_signal(signal):
    """The getter has its item, its deadline has passed, and it is sent a signal: in this order or another."""

    def getter(channel):
        try:
            return (yield Timeout(1, getting(channel)))
        except (TaskTimeout, TaskKilled) as error:
            return type(error)

    def getting(channel):
        item = yield channel.get()
        yield
        return item

    def main():
        channel = Channel(1)
        tid = yield NewTask(getter(channel))  # its deadline is the start of the race
        yield from race(does(channel.put("item")), kills(tid, signal))
        yield KillTask(tid, CONT)
        yield Sleep(0.5)
        (got,) = yield from ends_of([tid])
        return got, tuple((yield from drains(channel)))

    found = set(values(main))
    assert all(got == "item" or items == ("item",) or got in (TaskTimeout, TaskKilled) for got, items in found)
    assert all(got in ("item", TaskTimeout, TaskKilled, KILL) for got, _ in found)


@pytest.mark.parametrize("capacity", [0, 1])
def test_close_against_put_and_get(capacity):
    def main():
        channel = Channel(capacity)
        racers = yield from race(does(channel.put("item")), does(channel.get()), does(channel.close()))
        return (yield from ends_of(racers))[:2]

    assert set(values(main)) == {(None, "item"), (ChannelClosed, ChannelClosed)}


@SIGNALS
def test_close_and_put_against_a_kill_of_who_was_given_the_item(signal):
    def getter(channel, got):
        with contextlib.suppress(ChannelClosed):
            got.append((yield channel.get()))

    def main():
        channel, got = Channel(1), []
        tid = yield NewTask(getter(channel, got))
        yield from race(does(channel.put("item"), channel.close()), kills(tid, signal))
        rest = yield outcome(channel.get())
        return tuple(got + ([rest] if rest == "item" else []))

    assert set(values(main)) == {("item",)}


@SIGNALS
@pytest.mark.parametrize("limit", [1, None])
def test_messages_and_a_kill_of_the_receiver(signal, limit):
    def receiver(got):
        got.append((yield Receive())[1])

    def main():
        got = []
        tid = yield NewTask(receiver(got), limits=Limits(max_mailbox=limit))
        racers = yield from race(does(Send(tid, "a")), does(Send(tid, "b")), kills(tid, signal))
        return tuple(got), *(yield from ends_of(racers[:2]))

    found = set(values(main))
    assert all(isinstance(a, bool) and isinstance(b, bool) for _, a, b in found)
    assert all({"a": a, "b": b}[message] for got, a, b in found for message in got)
    assert {got for got, *_ in found} == {("a",), ("b",), ()}


def test_a_full_mailbox_and_the_death_of_its_owner():
    def main():
        owner = yield NewTask(does(Sleep(1), Receive()), limits=Limits(max_mailbox=1))
        racers = yield from race(*(does(Send(owner, n)) for n in range(3)))
        ((_, message),) = yield from ends_of([owner])
        return message, (yield from ends_of(racers))

    found = set(values(main))
    assert all(set(answers) <= {True, False} and answers[message] for message, answers in found)
    assert {message for message, _ in found} == {0, 1, 2}
    assert {sum(answers) for _, answers in found} == {1, 2}


# --- locks and permits


@pytest.mark.parametrize(
    ("signal", "in_race"), [(INT, False), (TERM, False), (KILL, False), (TERM, True), (KILL, True)]
)
def test_lock_hand_over_against_a_signal(signal, in_race):
    def worker(lock, inside, done, name):
        yield lock.acquire()
        try:
            inside.append(name)
            assert inside == [name]
            yield
            done.append(name)
        finally:
            inside.remove(name)
            yield lock.release()

    def holder(lock):
        yield lock.acquire()
        yield Sleep(1)
        yield lock.release()

    def main():
        lock, inside, done = Lock(), [], []
        yield NewTask(holder(lock))
        one = yield NewTask(worker(lock, inside, done, 1))
        two = worker(lock, inside, done, 2)
        if in_race:
            yield from race(kills(one, signal), two)
        else:
            yield NewTask(two)
            yield from race(kills(one, signal))
        free = yield from polls(lock.acquire())
        return free, 2 in done

    assert set(values(main)) == {(None, True)}


def test_lock_hand_over_against_timeouts():
    def waiter(lock):
        try:
            yield Timeout(0, lock.acquire())
        except TaskTimeout:
            return "timeout"
        yield lock.release()
        return "had it"

    def holder(lock):
        yield lock.acquire()
        yield Sleep(1)
        yield lock.release()

    def main():
        lock = Lock()
        yield NewTask(holder(lock))
        racers = yield from race(waiter(lock), waiter(lock))
        ends = yield from ends_of(racers)
        return (yield from polls(lock.acquire())), ends

    found = set(values(main))
    assert {free for free, _ in found} == {None}
    assert {end for _, ends in found for end in ends} <= {"timeout", "had it"}


@pytest.mark.parametrize(("signal", "waiting"), [(INT, True), (TERM, True), (KILL, True), (INT, False), (KILL, False)])
def test_semaphore_release_against_a_kill(signal, waiting):
    def waiter(permits, had):
        yield permits.acquire()
        try:
            had.append(1)
            yield
        finally:
            yield permits.release()

    def main():
        permits, had = Semaphore(0), []
        one = waiter(permits, had)
        tid = yield NewTask(one if waiting else does(Sleep(1), one))
        yield NewTask(waiter(permits, had))
        yield from race(kills(tid, signal), does(permits.release()))
        return (yield from polls(permits.acquire())), (yield from polls(permits.acquire())), len(had) >= 1

    assert set(values(main)) == {(None, NOTHING, True)}


@pytest.mark.parametrize(
    "order", [(STOP, KILL), (STOP, CONT), (STOP, CONT, TERM), (STOP, INT, CONT), (INT, STOP, KILL)]
)
def test_semaphore_release_against_a_stop(order):
    def waiter(permits):
        yield permits.acquire()
        try:
            yield
        finally:
            yield permits.release()

    def main():
        permits = Semaphore(0)
        tid = yield NewTask(waiter(permits))
        yield from race(kills(tid, *order), does(permits.release()))
        yield from polls(WaitTask(tid))
        return (yield from polls(permits.acquire())), (yield from polls(permits.acquire()))

    assert set(values(main)) == {(None, NOTHING)}


# --- conditions and events


@SIGNALS
def test_notify_against_a_kill(signal):
    def waiter(lock, condition, woken, name):
        yield lock.acquire()
        try:
            yield condition.wait()
            woken.append(name)
        finally:
            yield lock.release()

    def notifier(lock, condition):
        yield lock.acquire()
        count = yield condition.notify()
        yield lock.release()
        return count

    def main():
        lock, woken, tids = Lock(), [], []
        condition = Condition(lock)
        for name in (1, 2):
            tids.append((yield NewTask(waiter(lock, condition, woken, name))))
        racers = yield from race(notifier(lock, condition), kills(tids[0], signal))
        (count,) = yield from ends_of(racers[:1])
        return count, len(woken), (yield from polls(lock.acquire()))

    assert set(values(main)) == {(1, 1, None)}


@pytest.mark.parametrize("signal", [TERM, KILL])
def test_notify_without_the_lock_against_a_kill_and_a_release_of_the_lock(signal):
    def rival(lock):
        yield lock.acquire()
        yield Sleep(1)
        yield lock.release()

    def waiter(lock, condition, woken):
        yield lock.acquire()
        try:
            yield condition.wait()
            woken.append(True)
        finally:
            yield lock.release()

    def main():
        lock, woken = Lock(), []
        condition = Condition(lock)
        one = yield NewTask(waiter(lock, condition, woken))
        yield NewTask(waiter(lock, condition, woken))
        yield NewTask(rival(lock))
        racers = yield from race(does(condition.notify()), kills(one, signal))
        (count,) = yield from ends_of(racers[:1])
        return count, len(woken), (yield from polls(lock.acquire()))

    assert set(values(main)) == {(1, 1, None)}


def test_notify_against_a_timeout():
    def waiter(lock, condition):
        yield lock.acquire()
        try:
            yield Timeout(0, condition.wait())
        except TaskTimeout:
            return "timeout"
        finally:
            yield lock.release()
        return "woken"

    def main():
        lock = Lock()
        condition = Condition(lock)
        racers = yield from race(waiter(lock, condition), waiter(lock, condition), does(condition.notify()))
        ends = yield from ends_of(racers)
        return ends.count("woken") == ends[2], ends.count(NOTHING), (yield from polls(lock.acquire()))

    assert set(values(main)) == {(True, 0, None)}


@SIGNALS
def test_an_event_that_is_set_and_cleared_against_a_kill(signal):
    def waiter(event, woken, name):
        yield event.wait()
        woken.append(name)

    def main():
        event, woken = Event(), []
        one = yield NewTask(waiter(event, woken, 1))
        yield NewTask(waiter(event, woken, 2))
        yield from race(does(event.set(), event.clear()), kills(one, signal))
        return 2 in woken

    assert set(values(main)) == {True}


# --- deaths


@SIGNALS
def test_a_wait_against_a_death_and_a_kill_of_the_waiter(signal):
    def waiter(tid, seen):
        seen.append((yield WaitTask(tid)).value)

    def main():
        seen = []
        tid = yield NewTask(does(Sleep(1), yields(1, "value")))
        one = yield NewTask(waiter(tid, seen))
        yield NewTask(waiter(tid, seen))
        yield from race(kills(one, signal))
        return len(seen) >= 1, (yield from ends_of([tid]))[0]

    assert set(values(main)) == {(True, "value")}


def test_two_linked_children_fail_and_both_failures_are_seen_once():
    def fails(name):
        yield Sleep(1)
        raise ValueError(name)

    def parent():
        seen, tids = [], []
        for name in "ab":
            tids.append((yield NewTask(fails(name), linked=True)))
        for trap in (*map(WaitTask, tids), Sleep(0.5), Sleep(0.5)):
            try:
                yield trap
            except LinkedTaskFailed as failure:
                seen.append(str(failure.status.error))
        return tuple(sorted(seen))

    def main():
        tid = yield NewTask(parent())
        yield Sleep(3)
        return (yield from ends_of([tid]))[0]

    assert set(values(main)) == {("a", "b")}


@pytest.mark.parametrize("signal", [INT, TERM])
def test_a_group_in_which_two_fail_and_one_is_killed_from_outside(signal):
    def fails(name):
        yield Sleep(1)
        raise ValueError(name)

    def body(group):
        yield group.start(fails("a"))
        yield group.start(fails("b"))

    def parent():
        try:
            yield TaskGroup().run(body)
        except ExceptionGroup as error:
            return tuple(sorted(str(e) for e in error.exceptions))

    def main():
        tid = yield NewTask(parent())
        yield from race(kills(tid, signal))
        return (yield from ends_of([tid]))[0], (yield WaitTask())

    found = {value for value, _ in values(main)}
    assert found <= {signal, ("a",), ("b",), ("a", "b")}
    assert signal in found
    assert ("a", "b") in found


def test_gather_answers_the_same_in_every_schedule():
    def child(channel, n):
        yield channel.put(n)
        return n

    def parent():
        yield Sleep(1)
        channel = Channel()
        return tuple((yield gather(child(channel, 1), does(channel.get()))))

    def main():
        tid = yield NewTask(parent())
        yield Sleep(2)
        return (yield from ends_of([tid]))[0]

    assert set(values(main)) == {(1, 1)}


@pytest.mark.parametrize("signal", [TERM, KILL])
def test_two_tasks_that_kill_each_other(signal):
    def child(box, other):
        try:
            yield Sleep(1)
            yield KillTask(box[other], signal)
            return "killer"
        except TaskKilled:
            return "killed"
        finally:
            yield KillTask(box[other], KILL)

    def main():
        box = []
        box.append((yield NewTask(child(box, 1))))
        box.append((yield NewTask(child(box, 0))))
        yield Sleep(2)
        return (yield from ends_of(box))

    assert NOTHING not in {end for ends in values(main) for end in ends}
