"""Coroutines as targets: how flows begin and end, in a kernel and without one, and the stages that come with them."""

import contextlib
import gc
import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyos import GetTime, KillTask, NewTask, Sleep, TaskKilled, WaitTask
from pyos.lib.dataflow import (
    batch,
    broadcast,
    coroutine,
    fan_in,
    filtered,
    mapped,
    outlet,
    pump,
    push,
    sink,
    take,
    throttle,
)


class Probe:
    """A target that remembers what happened to it; `fail_at` an item it raises for, `enough` of items it takes."""

    def __init__(self, fail_at=None, enough=None):
        self.got = []
        self.ends = []
        self.fail_at = fail_at
        self.enough = enough

    def send(self, item):
        if item is not None and item == self.fail_at:
            raise ValueError(f"{item} is bad")
        self.got.append(item)
        if self.enough is not None and len(self.got) >= self.enough:
            raise StopIteration

    def throw(self, error):
        self.ends.append(error)
        raise error

    def close(self):
        self.ends.append("closed")


STAGES = {
    "mapped": lambda target: mapped(lambda item: item, target),
    "filtered": lambda target: filtered(lambda item: True, target),
    "take": lambda target: take(1000, target),
    "batch": lambda target: batch(1, target),
    "throttle": lambda target: throttle(0, lambda: 0.0, target),
    "broadcast": broadcast,
}
every_stage = pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)


# --- the decorator


def test_a_coroutine_has_run_to_its_first_yield():
    steps = []

    @coroutine
    def listener():
        """What it is for."""
        steps.append("started")
        steps.append((yield))
        yield

    listening = listener()
    assert steps == ["started"]
    listening.send("hello")
    assert steps == ["started", "hello"]
    assert (listener.__name__, listener.__doc__) == ("listener", "What it is for.")


def test_what_can_receive_nothing_is_no_coroutine():
    def plain():
        return 1

    def never():
        return
        yield

    with pytest.raises(TypeError, match="plain is no generator function"):
        coroutine(plain)
    with pytest.raises(RuntimeError, match="never ended before its first yield"):
        coroutine(never)()


# --- how flows end


@every_stage
def test_close_goes_down_once(stage):
    probe = Probe()
    flow = stage(probe)
    flow.send(1)
    assert probe.ends == []
    flow.close()
    flow.close()
    assert probe.ends == ["closed"]


@every_stage
def test_an_error_from_above_is_thrown_into_the_target_and_comes_back(stage):
    probe = Probe()
    error = OSError("the disk is gone")
    with pytest.raises(OSError) as caught:
        stage(stage(probe)).throw(error)
    assert caught.value is error
    assert probe.ends[0] is error


@every_stage
def test_an_error_of_a_target_comes_up_to_the_sender(stage):
    probe = Probe(fail_at=[2] if stage is STAGES["batch"] else 2)
    flow = stage(probe)
    flow.send(1)
    with pytest.raises(ValueError, match="is bad"):
        flow.send(2)
    assert len(probe.got) == 1
    with pytest.raises(StopIteration):
        flow.send(3)


@every_stage
def test_a_target_that_has_had_enough_ends_the_flow_above_it(stage):
    probe = Probe(enough=2)
    numbers = iter(range(100))
    assert push(numbers, stage(stage(probe))) == 2
    assert len(probe.got) == 2
    assert next(numbers) == 2
    assert probe.ends == ["closed"]


@every_stage
def test_a_flow_that_is_dropped_is_closed(stage):
    probe = Probe()
    flow = stage(probe)
    del flow
    gc.collect()
    assert probe.ends == ["closed"]


def test_a_targets_own_error_while_it_is_told_of_one_comes_up_with_both():
    @coroutine
    def clumsy():
        try:
            yield
        except OSError:
            raise KeyError("clean-up")  # noqa: B904

    with pytest.raises(KeyError, match="clean-up") as caught:
        mapped(str, clumsy()).throw(OSError("first"))
    assert isinstance(caught.value.__context__, OSError)


def test_a_target_that_survives_an_error_is_closed_and_the_error_comes_up():
    seen = []

    @coroutine
    def survivor():
        try:
            while True:
                with contextlib.suppress(OSError):
                    yield
        finally:
            seen.append("closed")

    with pytest.raises(OSError, match="gone"):
        mapped(str, survivor()).throw(OSError("gone"))
    assert seen == ["closed"]


def test_a_target_that_returns_when_it_is_told_of_an_error_does_not_hide_it():
    @coroutine
    def quits():
        with contextlib.suppress(OSError):
            yield

    with pytest.raises(OSError, match="gone"):
        mapped(str, quits()).throw(OSError("gone"))


def test_the_traceback_of_an_error_does_not_grow_on_its_way_down():
    def depth(stages):
        flow = sink(print)
        for _ in range(stages):
            flow = mapped(str, flow)
        try:
            flow.throw(OSError("gone"))
        except OSError as error:
            return len(inspect.getinnerframes(error.__traceback__))

    assert depth(9) == depth(1)


# --- sources


@pytest.mark.pyos
def test_pump_lets_others_run_and_closes_the_target():
    probe = Probe()
    rival = []

    def other():
        while not probe.ends:
            rival.append(len(probe.got))
            yield

    tid = yield NewTask(other())
    assert (yield pump(range(30), probe, breath=10)) == 30
    yield WaitTask(tid)
    assert probe.got == list(range(30))
    assert probe.ends == ["closed"]
    assert rival == [10, 20, 30]


@pytest.mark.pyos
def test_pump_waits_for_room_after_each_breath_and_for_the_end_before_it_closes():
    class Worker(Probe):
        def room(self):
            self.got.append("room?")
            yield Sleep(1)

        def settle(self):
            self.got.append("settled?")
            yield Sleep(10)
            assert self.ends == []

    worker = Worker()
    yield pump(range(5), mapped(str, worker), breath=2, worker=worker)
    assert worker.got == ["0", "1", "room?", "2", "3", "room?", "4", "settled?"]
    assert (yield GetTime()) == 12
    assert worker.ends == ["closed"]


@pytest.mark.pyos
def test_traps_among_the_items_go_to_the_kernel():
    probe = Probe()
    sent = yield pump(["a", Sleep(5), "b"], probe)
    assert (sent, probe.got, (yield GetTime())) == (2, ["a", "b"], 5)


def test_push_works_without_a_kernel_and_refuses_traps():
    probe = Probe()
    assert push(range(5000), probe) == 5000
    assert probe.got == list(range(5000))
    assert probe.ends == ["closed"]
    probe = Probe()
    with pytest.raises(TypeError, match=r"Sleep\(seconds=1\) needs a kernel"):
        push(["a", Sleep(1)], probe)
    assert isinstance(probe.ends[0], TypeError)


def test_an_error_of_the_items_reaches_the_target_and_the_caller():
    def items():
        yield 1
        raise OSError("unreadable")

    probe = Probe()
    with pytest.raises(OSError, match="unreadable"):
        push(items(), probe)
    assert probe.got == [1]
    assert isinstance(probe.ends[0], OSError)


def test_a_killed_source_tells_its_target(run):
    probe = Probe()

    def endless():
        while True:
            yield Sleep(1)

    def main():
        tid = yield NewTask(pump(endless(), probe))
        yield Sleep(10)
        yield KillTask(tid)
        return (yield WaitTask(tid))

    assert run(main()).value.signal is not None
    assert isinstance(probe.ends[0], TaskKilled)
    assert probe.ends[-1] == "closed"


# --- stages


def test_mapped_filtered_and_take_do_what_they_say():
    got = []
    push(range(100), filtered(lambda n: n % 2, mapped(lambda n: n * 10, take(3, sink(got.append)))))
    assert got == [10, 30, 50]


@given(st.lists(st.integers(), max_size=30), st.integers(1, 10))
def test_batches_hold_every_item_in_order_and_only_the_last_is_short(items, size):
    got = []
    push(items, batch(size, sink(got.append)))
    assert [item for part in got for item in part] == items
    assert all(len(part) == size for part in got[:-1])
    assert all(1 <= len(part) <= size for part in got[-1:])


def test_a_broken_flow_sends_no_incomplete_batch():
    probe = Probe()
    flow = batch(10, probe)
    flow.send(1)
    with pytest.raises(OSError):
        flow.throw(OSError())
    assert probe.got == []


@pytest.mark.parametrize(
    ("times", "passed"),
    [
        ([], []),
        ([0], [0]),
        ([0, 1, 2], [0, 2]),  # 1 is replaced by 2, which close sends on
        ([0, 9, 10, 11, 25], [0, 10, 25]),
        ([0, 10, 20], [0, 10, 20]),
    ],
)
def test_throttle_keeps_the_newest(times, passed):
    got = []
    clock = [0.0]
    flow = throttle(10, lambda: clock[0], sink(got.append))
    for time in times:
        clock[0] = time
        flow.send(time)
    flow.close()
    assert got == passed


def test_broadcast_sends_to_all_in_order():
    got = []
    push([1, 2], broadcast(*(sink(lambda item, name=name: got.append((name, item))) for name in "abc")))
    assert got == [("a", 1), ("b", 1), ("c", 1), ("a", 2), ("b", 2), ("c", 2)]


def test_broadcast_goes_on_without_those_that_have_had_enough_and_ends_with_the_last():
    one, three = Probe(enough=1), Probe(enough=3)
    assert push(range(100), broadcast(one, three)) == 3
    assert (one.got, three.got) == ([0], [0, 1, 2])
    assert (one.ends, three.ends) == (["closed"], ["closed"])


def test_the_error_of_one_target_ends_the_others_of_a_broadcast():
    before, bad, after = Probe(), Probe(fail_at=2), Probe()
    with pytest.raises(ValueError, match="2 is bad"):
        push([1, 2, 3], broadcast(before, bad, after))
    assert (before.got, after.got) == ([1, 2], [1])
    assert isinstance(before.ends[0], ValueError)
    assert isinstance(after.ends[0], ValueError)


def test_a_fan_in_closes_its_target_with_the_last_inlet():
    probe = Probe()
    left, right = fan_in(probe, 2)
    left.send(1)
    right.send(2)
    left.close()
    left.close()
    right.send(3)
    assert probe.ends == []
    right.close()
    assert (probe.got, probe.ends) == ([1, 2, 3], ["closed"])


def test_an_error_from_above_ends_one_inlet_only():
    probe = Probe()
    left, right = fan_in(probe, 2)
    with pytest.raises(OSError):
        left.throw(OSError())
    right.send(1)
    right.close()
    assert (probe.got, probe.ends) == ([1], ["closed"])


def test_no_inlet_takes_a_failed_target_for_one_that_had_enough():
    left, right = fan_in(Probe(fail_at=1), 2)
    with pytest.raises(ValueError, match="1 is bad"):
        left.send(1)
    with pytest.raises(RuntimeError, match="has failed") as caught:
        right.send(2)
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_fan_in_whose_target_has_had_enough_ends_every_inlet():
    left, right = fan_in(take(1, sink(print)), 2)
    with pytest.raises(StopIteration):
        left.send(1)
    with pytest.raises(StopIteration):
        right.send(1)


def test_a_fan_out_and_in_again_closes_once():
    probe = Probe()
    push([1, 2], broadcast(*(mapped(str, inlet) for inlet in fan_in(probe, 3))))
    assert probe.got == ["1"] * 3 + ["2"] * 3
    assert probe.ends == ["closed"]


def test_an_outlet_is_all_a_stage_of_ones_own_needs():
    @coroutine
    def doubled(target):
        with outlet(target) as send:
            while True:
                item = yield
                send(item)
                send(item)

    probe = Probe(enough=3)
    assert push("abc", doubled(probe)) == 2
    assert probe.got == ["a", "a", "b"]
    assert probe.ends == ["closed"]
