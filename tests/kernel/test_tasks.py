"""The task table: tids, families, zombies, adoption, limits."""

import gc
import sys
import weakref

import pytest

from pyos import KILL, GetTid, KillTask, LimitExceeded, Limits, NewTask, Sleep, Tasks, WaitTask
from pyos.kernel import lifecycle
from tests.kernel.programs import fails, forever, outcome, sleeps, yields


def test_init_is_task_1_and_tids_count_up(run):
    def child(tids):
        tids.append((yield GetTid()))

    def main():
        tids = [(yield GetTid())]
        told = []
        for _ in range(3):
            told.append((yield NewTask(child(tids))))
            yield WaitTask(told[-1])
        return tids, told

    assert run(main()).value == ([1, 2, 3, 4], [2, 3, 4])


def test_a_tid_is_never_used_again(run):
    def main():
        seen = set()
        for _ in range(100):
            tid = yield NewTask(yields(0))
            yield WaitTask(tid)
            seen.add(tid)
        return len(seen), (yield KillTask(50)), (yield WaitTask(50))

    assert run(main()).value == (100, False, None)


def test_a_dead_child_is_a_zombie_until_its_parent_waits(run):
    def main():
        tid = yield NewTask(yields(0, "kept"), name="kid")
        yield Sleep(1)
        before = [(info.tid, info.state, info.waiting_on, info.stack) for info in (yield Tasks()) if info.tid == tid]
        status = yield WaitTask(tid)
        after = [info.tid for info in (yield Tasks())]
        return before, status, after, (yield WaitTask(tid))

    before, status, after, again = run(main()).value
    assert before == [(2, "zombie", "", ())]
    assert (status.tid, status.name, status.value, status.ok) == (2, "kid", "kept", True)
    assert after == [1]
    assert again is None


def test_a_wait_by_another_task_does_not_reap_the_zombie(run):
    def stranger(tid):
        return (yield WaitTask(tid)).value, (yield WaitTask(tid)).value

    def main():
        tid = yield NewTask(yields(0, "kept"))
        yield Sleep(1)
        other = yield NewTask(stranger(tid))
        status = yield WaitTask(other)
        return status.value, (yield WaitTask(tid)).value

    assert run(main()).value == (("kept", "kept"), "kept")


def test_a_detached_child_is_reaped_at_its_death(run):
    def main():
        tid = yield NewTask(yields(0), detached=True)
        alive = [info.tid for info in (yield Tasks())]
        yield Sleep(1)
        return alive, [info.tid for info in (yield Tasks())], (yield WaitTask(tid)), (yield WaitTask())

    assert run(main()).value == ([1, 2], [1], None, None)


def test_a_detached_task_can_be_waited_for_by_tid_while_it_lives(run):
    def main():
        tid = yield NewTask(sleeps(1, "here"), detached=True)
        return (yield WaitTask(tid)).value

    assert run(main()).value == "here"


def test_orphans_are_adopted_by_init_and_reaped_at_death(run):
    def grandchild():
        yield Sleep(5)

    def child():
        return (yield NewTask(grandchild()))

    def main():
        tid = yield NewTask(child())
        orphan = (yield WaitTask(tid)).value
        parents = {info.tid: info.parent for info in (yield Tasks())}
        counted = yield WaitTask()  # an adopted task is no child to wait for
        yield Sleep(10)
        return parents[orphan], counted, [info.tid for info in (yield Tasks())]

    assert run(main()).value == (1, None, [1])


def test_zombies_are_reaped_when_their_parent_dies(run):
    def child():
        for _ in range(3):
            yield NewTask(yields(0))
        yield Sleep(1)

    def main():
        tid = yield NewTask(child())
        yield Sleep(0.5)
        before = [info.state for info in (yield Tasks())]
        yield WaitTask(tid)
        return before, len((yield Tasks()))

    assert run(main()).value == (["running", "blocked", "zombie", "zombie", "zombie"], 1)


def test_a_child_whose_parent_is_a_zombie_is_shown_as_inits(run):
    def child():
        yield NewTask(forever())

    def main():
        yield NewTask(child())
        yield Sleep(1)
        return [(info.tid, info.parent, info.state) for info in (yield Tasks())]

    assert run(main()).value == [(1, 0, "running"), (2, 1, "zombie"), (3, 1, "blocked")]


def test_a_full_table_refuses_and_closes_the_target(run):
    def main():
        for _ in range(3):
            yield NewTask(forever())
        target = forever()
        error = yield outcome(NewTask(target))
        yield KillTask(2)
        yield WaitTask(2)
        return error, target.gi_frame, (yield NewTask(forever()))

    error, frame, tid = run(main(), limits=Limits(max_tasks=4)).value
    assert type(error) is LimitExceeded
    assert "4 tasks" in str(error)
    assert frame is None
    assert tid == 5


def test_zombies_count_against_the_limit(run):
    def main():
        for _ in range(3):
            yield NewTask(yields(0))
        yield Sleep(1)
        refused = yield outcome(NewTask(yields(0)))
        yield WaitTask()
        return type(refused), (yield outcome(NewTask(yields(0))))

    assert run(main(), limits=Limits(max_tasks=4)).value == (LimitExceeded, 5)


@pytest.mark.parametrize("by_tid", [True, False])
def test_a_parent_that_has_waited_for_many_zombies_gives_their_table_back(make_kernel, by_tid):
    kernel = make_kernel()
    sizes = []

    def main():
        for _ in range(2):
            tids = []
            for _ in range(100):
                tids.append((yield NewTask(yields(0))))
            yield Sleep(1)
            assert init.family.zombies == len(init.family.deaths) == 100
            for tid in tids:
                yield WaitTask(tid if by_tid else None)
            sizes.append(sys.getsizeof(init.family.deaths))

    init = kernel.spawn(main())
    kernel.run()
    assert sizes == [sys.getsizeof([])] * 2


@pytest.mark.parametrize("order", [1, -1, None])
def test_deaths_of_children_that_have_been_waited_for_do_not_pile_up(make_kernel, order):
    kernel = make_kernel()
    most = []

    def main():
        first = yield NewTask(yields(0))
        tids = []
        for _ in range(1000):
            tids.append((yield NewTask(yields(0))))
        yield Sleep(1)
        family = init.family
        for tid in sorted(tids, key=lambda tid: (tid * 7919) % 1000 if order is None else order * tid):
            yield WaitTask(tid)
            most.append(len(family.deaths) - 2 * family.zombies)
        return (yield WaitTask()).tid == first

    init = kernel.spawn(main())
    kernel.run()
    assert kernel.init_status.value is True
    assert max(most) <= 64


def test_ten_thousand_zombies_are_warned_of_once_by_name(make_kernel, log, monkeypatch):
    monkeypatch.setattr(lifecycle, "ZOMBIE_WARNING", 100)

    def careless():
        for _ in range(250):
            yield NewTask(yields(0))
        yield Sleep(1)

    def main():
        yield NewTask(careless(), name="careless")
        yield WaitTask()

    kernel = make_kernel()
    kernel.spawn(main())
    kernel.run()
    assert len(log) == 1
    assert "task 2 (careless) has 100 dead children" in log[0]


def test_the_zombie_warning_comes_at_ten_thousand():
    assert lifecycle.ZOMBIE_WARNING == 10_000


def test_the_table_takes_a_million_tasks_by_default(make_kernel):
    assert make_kernel().table.limit == 1_000_000


def test_tasks_tells_what_each_is_doing(run):
    def inner():
        yield Sleep(10)

    def child():
        yield inner()

    def main():
        yield NewTask(child(), name="deep")
        yield NewTask(yields(1))
        yield Sleep(1)
        yield NewTask(yields(1), name="fresh")
        return (yield Tasks())

    init, deep, gone, fresh = run(main()).value
    assert (init.tid, init.parent, init.name, init.state, init.waiting_on) == (1, 0, "main", "running", "")
    assert (deep.name, deep.state, deep.waiting_on, deep.program) == ("deep", "blocked", "sleep 9s", "")
    assert [line.rsplit(" ", 1)[1].rsplit(".", 1)[1] for line in deep.stack] == ["child", "inner"]
    assert (gone.name, gone.state) == ("yields", "zombie")
    assert (fresh.state, fresh.waiting_on) == ("ready", "")


def test_a_wait_for_any_child_and_a_wait_for_one_are_told_apart(run):
    def waiter(tid):
        yield WaitTask(tid)

    def parent():
        yield NewTask(forever())
        yield WaitTask()

    def main():
        yield NewTask(waiter(1))
        yield NewTask(parent())
        yield Sleep(1)
        return [info.waiting_on for info in (yield Tasks())]

    assert run(main()).value == ["", "wait task 1", "wait for any child", "sleep for ever"]


def test_a_dead_task_keeps_no_generator_alive(run):
    class Thing:
        pass

    def child(thing):
        yield
        raise ValueError

    def main():
        thing = Thing()
        dead = weakref.ref(thing)
        tid = yield NewTask(child(thing))
        del thing
        yield KillTask(tid, KILL)
        gc.collect()
        return dead()

    assert run(main()).value is None


def test_a_failed_child_frees_its_frames_with_its_error(run):
    class Thing:
        pass

    def child(thing):
        yield
        raise ValueError

    def main():
        thing = Thing()
        dead = weakref.ref(thing)
        tid = yield NewTask(child(thing))
        del thing
        status = yield WaitTask(tid)
        alive = dead() is not None  # the traceback shows the frame
        del status
        yield  # the kernel's hands are off the answer at the next resume
        return alive, dead()

    assert run(main()).value == (True, None)


@pytest.mark.parametrize("limit", [1, 2])
def test_the_first_task_is_taken_even_by_a_small_table(run, limit):
    assert run(yields(1, "ok"), limits=Limits(max_tasks=limit)).value == "ok"


def test_a_table_that_is_closed_says_why(run):
    errors = []

    def stubborn():
        try:
            yield from forever()
        finally:
            errors.append((yield outcome(NewTask(fails(ValueError())))))

    def main():
        yield NewTask(stubborn())
        yield

    run(main())
    assert type(errors[0]) is LimitExceeded
    assert "shutting down" in str(errors[0])
