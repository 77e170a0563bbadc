"""Send and Receive: mailboxes in order, bounded, and released with their owner."""

import pytest

from pyos import (
    INT,
    KILL,
    STOP,
    TERM,
    GetTime,
    KillTask,
    Limits,
    NewTask,
    Receive,
    Send,
    Sleep,
    TaskKilled,
    Tasks,
    TaskTimeout,
    Timeout,
    WaitTask,
)
from tests.kernel.programs import forever, outcome, sleeps, yields


def test_messages_arrive_in_order_of_sending_with_their_senders(run):
    def child(n):
        for i in range(3):
            yield Send(1, (n, i))
            yield

    def main():
        for n in range(3):
            yield NewTask(child(n))
        got = []
        for _ in range(9):
            got.append((yield Receive()))
        return got

    got = run(main()).value
    assert got == [(n + 2, (n, i)) for i in range(3) for n in range(3)]


def test_a_message_is_passed_by_reference(run):
    def main():
        message = {"a": [1]}
        yield Send(1, message)
        return (yield Receive())[1] is message

    assert run(main()).value is True


@pytest.mark.parametrize("message", [None, False, (), Exception, ValueError("x")])
def test_anything_is_a_message(run, message):
    def main():
        answer = yield Send(1, message)
        return answer, (yield Receive())

    assert run(main()).value == (True, (1, message))


@pytest.mark.parametrize("tid", [0, -5, 99, 2])
def test_a_message_to_the_dead_or_unknown_answers_false(run, tid):
    def main():
        yield NewTask(yields(0))
        yield Sleep(1)  # 2 is a zombie now
        return (yield Send(tid, "hello?"))

    assert run(main()).value is False


@pytest.mark.parametrize("tid", ["2", 2.0, None, True])
def test_a_message_needs_a_tid(run, tid):
    def main():
        return type((yield outcome(Send(tid, "x"))))

    assert run(main()).value is TypeError


def test_a_message_can_be_sent_before_its_receiver_has_started(run):
    def child():
        return (yield Receive())

    def main():
        tid = yield NewTask(child())
        yield Send(tid, "early")
        return (yield WaitTask(tid)).value

    assert run(main()).value == (1, "early")


def test_without_a_limit_sending_never_waits(run):
    def main():
        tid = yield NewTask(forever())
        for n in range(10_000):
            yield Send(tid, n)
        return (yield GetTime())

    assert run(main()).value == 0.0


@pytest.mark.parametrize("bound", [1, 3])
def test_a_full_mailbox_makes_senders_wait_in_order(run, bound):
    order = []

    def sender(tid, n):
        yield Send(tid, n)
        order.append(n)

    def receiver():
        yield Sleep(1)
        order.append("receiving")
        got = []
        for _ in range(5):
            got.append((yield Receive())[1])
            yield
        return got

    def main():
        tid = yield NewTask(receiver())
        for n in range(5):
            yield NewTask(sender(tid, n))
        return (yield WaitTask(tid)).value

    assert run(main(), limits=Limits(max_mailbox=bound)).value == list(range(5))
    assert order[:bound] == list(range(bound))
    assert order[bound] == "receiving"
    assert order[bound + 1 :] == list(range(bound, 5))


@pytest.mark.parametrize("how", ["ends", KILL, TERM])
def test_who_waits_for_room_in_the_mailbox_of_a_dying_task_is_told_false(run, how):
    def main():
        tid = yield NewTask(sleeps(2) if how == "ends" else forever())
        senders = []
        for n in range(4):
            senders.append((yield NewTask(outcome(Send(tid, n)))))
        yield Sleep(1)
        if how != "ends":
            yield KillTask(tid, how)
        answers = []
        for sender in senders:
            answers.append((yield WaitTask(sender)).value)
        return answers

    assert run(main(), limits=Limits(max_mailbox=1)).value == [True, False, False, False]


@pytest.mark.parametrize("signal", [INT, TERM, KILL])
def test_a_killed_sender_that_waited_for_room_has_sent_nothing(run, signal):
    def main():
        yield Send(1, "first")
        tid = yield NewTask(outcome(Send(1, "second")))
        yield Sleep(1)
        yield KillTask(tid, signal)
        yield WaitTask(tid)
        got = yield Receive()
        return got, type((yield outcome(Timeout(1, Receive()))))

    assert run(main(), limits=Limits(max_mailbox=1)).value == ((1, "first"), TaskTimeout)


def test_a_message_on_its_way_to_a_task_that_gets_a_signal_is_received(run):
    def child():
        message = yield Receive()
        try:
            yield Sleep(50)
        except TaskKilled:
            return message

    def main():
        tid = yield NewTask(child())
        yield Sleep(1)
        yield Send(tid, "x")
        yield KillTask(tid, INT)
        return (yield WaitTask(tid)).value

    assert run(main()).value == (1, "x")


def test_clean_up_of_a_killed_task_finds_the_message_that_was_on_its_way(run):
    got = []

    def child():
        try:
            yield Receive()
        finally:
            got.append((yield Receive()))

    def main():
        tid = yield NewTask(child())
        yield Sleep(1)
        yield Send(tid, "x")
        yield KillTask(tid, KILL)

    run(main())
    assert got == [(1, "x")]


def test_a_stopped_task_still_gets_messages(run):
    def main():
        tid = yield NewTask(outcome(Receive()))
        yield Sleep(1)
        yield KillTask(tid, STOP)
        answer = yield Send(tid, "x")
        state = (yield Tasks())[1].state
        yield KillTask(tid)
        return answer, state, (yield WaitTask(tid)).value

    assert run(main()).value == (True, "stopped", (1, "x"))


def test_receive_can_time_out_and_takes_nothing_then(run):
    def main():
        error = yield outcome(Timeout(1, Receive()))
        yield Send(1, "later")
        return type(error), (yield Receive())

    assert run(main()).value == (TaskTimeout, (1, "later"))


def test_send_and_receive_are_named_where_they_wait(run):
    def main():
        tid = yield NewTask(forever(), name="busy")
        yield NewTask(outcome(Receive()))
        yield Send(tid, 1)
        yield NewTask(outcome(Send(tid, 2)))
        yield Sleep(1)
        return [info.waiting_on for info in (yield Tasks())][2:]

    assert run(main(), limits=Limits(max_mailbox=1)).value == ["message", "room in the mailbox of 2 (busy)"]


def test_listing_the_tasks_does_not_look_into_mailboxes(make_kernel):
    class Precious:
        def __repr__(self):
            raise AssertionError("it was looked at")

        __eq__ = __hash__ = __bool__ = __repr__

    def main():
        for _ in range(10):
            yield Send(1, Precious())
        return len((yield Tasks()))

    kernel = make_kernel()
    kernel.spawn(main())
    assert kernel.run().value == 1
