"""Targets in a thread and in a process: the same interface, both ways, and no hang when one dies."""

import contextlib
import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import weakref

import pytest

from pyos import TERM, KillTask, NewTask, TaskKilled, Tasks, WaitTask
from pyos.lib.dataflow import RemoteError, WorkerDied, coroutine, outlet, process, pump, push, sink, take, threaded
from pyos.lib.dataflow.processes import whereabouts


@coroutine
def recorder(path):
    """Writes what happens to it into a file; an item that is an error is raised; a LookupError is survived."""
    with open(path, "a", buffering=1) as file:
        try:
            while True:
                try:
                    item = yield "listening"
                except LookupError as error:
                    print(f"survived {error}", file=file)
                    continue
                if isinstance(item, BaseException):
                    raise item
                print(item, file=file)
        finally:
            print("end", file=file)


@coroutine
def gated(path):
    """Handles each item once the gate at `path` is opened for it."""
    with open(path, "rb", buffering=0) as pipe:
        while True:
            yield
            pipe.read(1)


class Gate:
    """A named pipe, open at both ends, in which a byte lets one item pass."""

    def __init__(self, path):
        os.mkfifo(path)
        self.path = path
        self.fd = os.open(path, os.O_RDWR)

    def open(self, items=1):
        os.write(self.fd, b"!" * items)


@coroutine
def first(number):
    for _ in range(number):
        yield
    yield


@coroutine
def unfinished(path):
    """Raises while it is closed."""
    try:
        while True:
            yield
    finally:
        raise OSError("cannot finish")


@coroutine
def returns():
    yield


class Odd(Exception):
    """Cannot be made from its arguments alone, so it cannot be unpickled."""

    def __init__(self, one, two):
        super().__init__(one)


@coroutine
def oddly():
    yield
    raise Odd("strange", 2)


def in_a_thread(function, *args):
    return threaded(function(*args))


@pytest.fixture(params=[in_a_thread, process], ids=["thread", "process"])
def start(request):
    """Run the coroutine `function(*args)` elsewhere."""
    return request.param


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "record")


def record(path):
    with open(path) as file:
        return file.read().splitlines()


@pytest.fixture
def gate(tmp_path):
    gate = Gate(str(tmp_path / "gate"))
    yield gate
    os.close(gate.fd)


# --- as any coroutine


def test_items_arrive_in_order_and_close_comes_after_them(start, path):
    worker = start(recorder, path)
    for number in range(100):
        worker.send(number)
    worker.close()
    worker.close()
    assert record(path) == [*map(str, range(100)), "end"]


def test_what_it_raises_comes_up_once(start, path):
    worker = start(recorder, path)
    worker.send(ValueError("bad item"))
    with pytest.raises(ValueError, match="bad item"):
        send_for_ever(worker, "more")
    with pytest.raises(StopIteration):
        worker.send("more")
    worker.close()


def send_for_ever(worker, item):
    while True:
        worker.send(item)


def test_what_nobody_has_seen_is_raised_by_close(start, path):
    worker = start(recorder, path)
    worker.send(ValueError("bad item"))
    with pytest.raises(ValueError, match="bad item"):
        worker.close()
    worker.close()


def test_an_error_while_closing_is_raised_by_close(start, path):
    with pytest.raises(OSError, match="cannot finish"):
        start(unfinished, path).close()


def test_what_is_thrown_into_it_comes_back(start, path):
    worker = start(recorder, path)
    worker.send(1)
    with pytest.raises(OSError, match="from outside"):
        worker.throw(OSError("from outside"))
    worker.close()
    assert record(path) == ["1", "end"]


def test_what_it_survives_answers_the_throw(start, path):
    worker = start(recorder, path)
    worker.send(1)
    assert worker.throw(LookupError("this")) == "listening"
    worker.send(2)
    worker.close()
    assert record(path) == ["1", "survived this", "2", "end"]


def test_one_that_returns_ends_the_flow_above_it(start):
    push(iter(int, 1), start(first, 3))  # without end


def test_one_that_returns_when_thrown_into_has_had_enough(start):
    worker = start(returns)
    worker.send(1)
    with pytest.raises(StopIteration):
        worker.throw(OSError())
    worker.close()


def test_a_flow_that_breaks_above_breaks_below(start, path):
    def items():
        yield 1
        raise LookupError("the source is gone")

    with pytest.raises(LookupError, match="the source is gone"):
        push(items(), start(recorder, path))
    assert record(path) == ["1", "survived the source is gone", "end"]


def test_a_handle_that_is_dropped_is_closed(start, path):
    worker = start(recorder, path)
    worker.send(1)
    del worker
    gc.collect()
    assert record(path) == ["1", "end"]


def test_a_handle_that_is_open_at_exit_is_closed(start, path):
    program = f"""
        from pyos.lib.dataflow import *
        from tests.lib.test_workers import *
        worker = {start.__name__}(recorder, {path!r})
        worker.send(1)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True, timeout=60)
    assert record(path) == ["1", "end"]


def test_errors_come_with_the_traceback_of_where_they_were_raised(start, path):
    worker = start(recorder, path)
    worker.send(ValueError("bad item"))
    with pytest.raises(ValueError) as caught:
        worker.close()
    text = "".join(getattr(caught.value, "__notes__", [])) + str(caught.getrepr())
    assert "raise item" in text


# --- in a kernel


@pytest.mark.pyos(clock="real")
def test_others_run_while_a_task_waits_for_a_worker(start, gate):
    worker = start(gated, gate.path)
    happened = []

    def source():
        for _ in range(3):
            worker.send("item")
            yield from worker.settle()
            happened.append("settled")

    tid = yield NewTask(source())
    for number in range(3):
        yield
        assert happened.count("settled") == number
        gate.open()
        while happened.count("settled") == number:
            yield
    assert (yield WaitTask(tid)).ok
    worker.close()


@pytest.mark.pyos(clock="real")
def test_room_waits_while_a_queue_is_more_than_half_full(gate):
    worker = threaded(gated(gate.path), size=4)
    for number in range(4):
        worker.send(number)
    tid = yield NewTask(worker.room())
    yield  # now it waits
    gate.open()
    while worker._queue.unfinished > 3:
        yield
    for _ in range(500):  # some turns of the machine, in which it could be woken
        yield
    assert is_alive(tid, (yield Tasks()))
    gate.open()
    assert (yield WaitTask(tid)).ok
    gate.open(2)
    yield from worker.settle()
    worker.close()


@pytest.mark.pyos(clock="real")
def test_a_task_that_is_killed_while_it_waits_does_no_harm(start, gate):
    worker = start(gated, gate.path)
    worker.send(1)
    tid = yield NewTask(worker.settle())
    yield
    yield KillTask(tid)
    assert (yield WaitTask(tid)).signal is TERM
    gate.open()
    yield from worker.settle()
    worker.close()


@pytest.mark.pyos(clock="real")
def test_room_waits_until_a_process_has_read(gate):
    worker = process(gated, gate.path)
    send_much(worker, b"x" * 1_000_000)
    tid = yield NewTask(worker.room())
    yield
    assert is_alive(tid, (yield Tasks()))
    gate.open(2)
    assert (yield WaitTask(tid)).ok
    worker.close()


def is_alive(tid, tasks):
    return any(task.tid == tid and task.state != "zombie" for task in tasks)


def send_much(worker, item):
    """Send a process an item that it does not read now, without waiting; then it has no room."""
    worker._link.limit = len(item) * 2
    worker.send("first")
    worker.send(item)
    worker._link.limit = 0
    assert worker._link.outgoing


@pytest.mark.pyos(clock="real")
def test_pump_with_a_worker_waits_for_all_of_it(start, path):
    worker = start(recorder, path)
    assert (yield pump(range(50), worker, breath=10, worker=worker)) == 50
    assert record(path) == [*map(str, range(50)), "end"]


@pytest.mark.pyos(clock="real")
def test_a_workers_error_reaches_the_task_that_waits_for_it(start, path):
    worker = start(recorder, path)
    worker.send(ValueError("bad item"))
    yield from worker.settle()
    with pytest.raises(ValueError, match="bad item"):
        worker.send("more")
    worker.close()


# --- threads


def test_a_thread_runs_its_coroutine_elsewhere_and_passes_items_by_reference():
    got = []
    item = object()
    worker = threaded(sink(lambda item: got.append((item, threading.current_thread().name))))
    worker.send(item)
    worker.close()
    assert got == [(item, "sink")]
    assert got[0][0] is item
    assert "sink" not in [thread.name for thread in threading.enumerate()]


def test_a_full_queue_holds_the_sender_until_there_is_room(gate):
    worker = threaded(gated(gate.path), size=2)
    worker.send(1)
    worker.send(2)
    sent = threading.Event()
    sender = threading.Thread(target=lambda: (worker.send(3), sent.set()))
    sender.start()
    while not (worker._queue.changed._waiters or sent.is_set()):
        pass
    assert not sent.is_set()
    gate.open(3)
    sender.join()
    worker.close()


def test_many_threads_may_send_to_one():
    got = []
    worker = threaded(sink(got.append), size=3)
    senders = [threading.Thread(target=lambda: [worker.send(n) for n in range(500)]) for _ in range(4)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    worker.close()
    assert sorted(got) == sorted([*range(500)] * 4)


def test_a_thread_keeps_no_item_alive():
    class Item:
        pass

    item = Item()
    alive = weakref.ref(item)
    worker = threaded(sink(lambda item: None))
    worker.send(item)
    del item
    while worker._queue.unfinished:
        pass
    assert alive() is None
    worker.close()


# --- processes


def wait_until_dead(pid):
    """Wait for the end of a child without reaping it."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


@pytest.mark.parametrize("act", ["send", "throw", "close"])
def test_a_killed_process_is_an_error(path, act):
    worker = process(recorder, path)
    os.kill(worker.pid, signal.SIGKILL)
    wait_until_dead(worker.pid)
    with pytest.raises(WorkerDied, match=rf"recorder \({worker.pid}\) died: killed by SIGKILL"):
        act_on(worker, act, 1)
    worker.close()


def act_on(worker, act, item):
    if act == "send":
        worker.send(item)
    elif act == "throw":
        worker.throw(OSError())
    else:
        worker.close()


@coroutine
def killed():
    """Is killed by its first item."""
    yield
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("act", ["send", "throw", "close"])
def test_a_process_killed_while_somebody_waits_for_it_is_an_error(act):
    worker = process(killed)
    worker.send(1)
    with pytest.raises(WorkerDied, match="SIGKILL"):
        act_on(worker, act, b"x" * 10_000_000)
    worker.close()


@pytest.mark.pyos(clock="real")
def test_a_process_killed_while_a_task_waits_for_it_wakes_the_task(gate):
    for wait in ("settle", "room"):
        worker = process(gated, gate.path)
        send_much(worker, b"x" * 1_000_000)
        tid = yield NewTask(getattr(worker, wait)())
        yield
        os.kill(worker.pid, signal.SIGKILL)
        assert (yield WaitTask(tid)).ok
        with pytest.raises(WorkerDied):
            worker.send(2)
        worker.close()


def test_a_killed_process_is_an_error_though_it_leaves_a_child(gate):
    worker = process(spawns, gate.path)
    assert worker.throw(LookupError()) == "spawned"
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(WorkerDied, match="SIGKILL"):
        worker.close()


@coroutine
def spawns(path):
    """Has a child that lives until the gate goes away."""
    with contextlib.suppress(LookupError):
        yield
    os.posix_spawn("/bin/cat", ["cat", path], {})
    while True:
        yield "spawned"


def test_a_process_that_exits_is_an_error():
    worker = process(leaves)
    worker.send(1)
    with pytest.raises(WorkerDied, match="exited with status 3"):
        worker.close()


@coroutine
def leaves():
    yield
    os._exit(3)


def test_a_large_error_meets_a_large_order_without_a_hang():
    worker = process(fails_at_length)
    worker.send(b"")
    with pytest.raises(ValueError, match="xxx"):
        send_for_ever(worker, b"y" * 3_000_000)
    worker.close()


@coroutine
def fails_at_length():
    yield
    raise ValueError("x" * 3_000_000)


def test_an_item_that_cannot_be_pickled_is_its_senders_error(path):
    worker = process(recorder, path)
    with pytest.raises((TypeError, AttributeError)):
        worker.send(lambda: None)
    worker.send("next")
    worker.close()
    assert record(path) == ["next", "end"]


def test_an_error_that_cannot_travel_is_described():
    worker = process(oddly)
    worker.send(1)
    with pytest.raises(RemoteError, match="Odd: strange"):
        worker.close()


def test_what_is_thrown_into_a_process_comes_back_as_itself_even_if_it_cannot_travel(path):
    for error in (OSError(2, "gone", "here"), Odd("one", "two"), TaskKilled(TERM, 1, "reason")):
        worker = process(recorder, path)
        with pytest.raises(type(error)) as caught:
            worker.throw(error)
        assert caught.value is error
        worker.close()


def test_an_item_that_cannot_be_unpickled_is_an_error_in_the_coroutine(path):
    worker = process(recorder, path)
    worker.send(1)
    worker.send(Odd("one", "two"))
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        worker.close()
    assert record(path) == ["1", "end"]


def test_a_coroutine_that_cannot_be_made_is_an_error():
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        process(recorder).close()


def test_a_function_that_another_process_cannot_find_is_refused():
    def local():
        yield

    for function in (local, lambda: (yield)):
        with pytest.raises(ValueError, match="not at the top level of a file"):
            process(function)


def test_a_function_of_a_program_file_is_found_by_the_files_path(tmp_path):
    program = tmp_path / "os.py"  # as a module, that name is somebody else's
    program.write_text(
        "from dataclasses import dataclass\n"
        "from pyos.lib.dataflow import coroutine\n\n"
        "class Mine(Exception): pass\n\n"
        "@coroutine\n"
        "def fails():\n"
        "    yield\n"
        "    raise Mine('here')\n"
    )
    namespace = {"__name__": "os"}
    exec(compile(program.read_text(), str(program), "exec"), namespace)
    assert whereabouts(namespace["fails"]) == (str(program), "fails")
    worker = process(namespace["fails"])
    worker.send(1)
    with pytest.raises(RemoteError, match="Mine: here"):
        worker.close()


def test_a_parent_that_is_killed_is_an_error_in_the_coroutine(path, tmp_path):
    os.mkfifo(tmp_path / "done")
    program = f"""
        import os, signal
        from pyos.lib.dataflow import process
        from tests.lib.test_workers import signals_end
        worker = process(signals_end, {str(tmp_path / "done")!r})
        worker.throw(LookupError())
        os.kill(os.getpid(), signal.SIGKILL)
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)])
    with open(tmp_path / "done") as done:
        assert done.read() == "the process that sends is gone"
    assert parent.wait() == -signal.SIGKILL


@coroutine
def signals_end(path):
    with contextlib.suppress(LookupError):
        yield
    try:
        yield
    except ConnectionError as error:
        with open(path, "w") as file:
            file.write(str(error))


def test_a_stage_in_a_process_may_have_stages_below_it(path):
    worker = process(numbered, path)
    push("ab", worker)
    assert record(path) == ["0a", "end"]


@coroutine
def numbered(path):
    with outlet(take(1, recorder(path))) as send:
        number = 0
        while True:
            send(f"{number}{(yield)}")
            number += 1
