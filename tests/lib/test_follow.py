"""Following a log: truncation, rotation, late writers, odd lines; and that many followers cost little."""

import os

import pytest

from pyos import GetTime, NewTask, Sleep, WaitTask
from pyos.lib.dataflow import Tail, follow, pump, sink
from pyos.lib.dataflow.follow import CHUNK, LONGEST_LINE


@pytest.fixture
def path(tmp_path):
    """A log with one old line."""
    file = tmp_path / "access.log"
    file.write_text("old\n")
    return str(file)


@pytest.fixture
def tail(path):
    with Tail(path) as tail:
        yield tail


def append(path, text):
    with open(path, "a", newline="") as file:
        file.write(text)


def everything(tail):
    """What a few readings give."""
    return [line for _ in range(4) for line in tail.read()]


def test_only_what_is_added_is_read(path, tail):
    assert tail.read() == []
    append(path, "one\ntwo\n")
    assert tail.read() == ["one", "two"]
    assert tail.read() == []


def test_a_log_can_be_read_from_its_start(path):
    with Tail(path, from_start=True) as tail:
        assert everything(tail) == ["old"]


def test_a_line_is_given_once_it_is_complete(path, tail):
    append(path, "hal")
    assert tail.read() == []
    append(path, "f\nnext")
    assert tail.read() == ["half"]
    append(path, "\n\n")
    assert tail.read() == ["next", ""]


def test_line_ends_and_bytes_that_are_no_text_do_no_harm(path, tail):
    with open(path, "ab") as file:
        file.write(b"dos\r\n\xff\xfe\n")
    assert tail.read() == ["dos", "��"]


def test_a_line_without_end_comes_in_pieces(path, tail):
    append(path, "x" * (LONGEST_LINE * 2 + 10) + "\n")
    pieces = []
    for _ in range(LONGEST_LINE * 2 // CHUNK + 1):
        pieces += tail.read()
        assert len(tail.partial) <= LONGEST_LINE
    assert "".join(pieces) == "x" * (LONGEST_LINE * 2 + 10)
    assert len(pieces) == 2


def test_a_truncated_log_is_read_from_its_start(path, tail):
    append(path, "one\nunfinis")
    assert tail.read() == ["one"]
    with open(path, "w") as file:
        file.write("two\n")
    assert everything(tail) == ["unfinis", "two"]


def test_a_rotated_log_is_read_to_its_end_and_then_the_new_one(path, tail):
    os.rename(path, path + ".1")
    append(path + ".1", "last of the old\n")
    append(path, "first of the new\n")
    assert everything(tail) == ["last of the old", "first of the new"]


def test_a_writer_that_notices_the_rotation_late_loses_nothing(path, tail):
    os.rename(path, path + ".1")
    append(path, "new\n")
    assert tail.read() == []
    append(path + ".1", "late\n")
    assert everything(tail) == ["late", "new"]


def test_a_log_that_is_away_for_a_while_is_waited_for(path, tail):
    os.rename(path, path + ".1")
    assert everything(tail) == []
    append(path + ".1", "still here\n")
    assert everything(tail) == ["still here"]
    append(path, "back\n")
    assert everything(tail) == ["back"]


def test_rotation_again_and_again_leaves_one_open_file(path, tail):
    for number in range(10):
        os.rename(path, f"{path}.{number}")
        append(path, f"{number}\n")
        assert everything(tail) == [str(number)]
    assert sum("access.log" in name for name in open_files()) == 1


def open_files():
    return [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if int(fd) != 0 and alive(fd)]


def alive(fd):
    return os.path.lexists(f"/proc/self/fd/{fd}")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["a pipe", "a folder"])
def test_what_is_no_regular_file_is_refused(tmp_path, make):
    make(tmp_path / "odd")
    with pytest.raises(OSError, match="not a regular file"):
        Tail(str(tmp_path / "odd"))


def test_a_log_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        next(follow(str(tmp_path / "none")))


# --- in a kernel


@pytest.mark.pyos
def test_a_follower_sleeps_in_the_kernel_and_sees_each_line_within_a_nap(path):
    seen = []

    def note(line):
        seen.append(line)

    tid = yield NewTask(pump(follow(path, limit=3), sink(note)))
    for number in range(3):
        yield Sleep(100)
        append(path, f"{number}\n")
        yield Sleep(1)
        assert seen[-1] == str(number)
    assert (yield WaitTask(tid)).value == 3


@pytest.mark.pyos
def test_naps_double_up_to_a_second_and_begin_anew_with_a_line(path):
    naps = []

    def sleeper():
        for item in follow(path, limit=1):
            if not isinstance(item, str):
                naps.append(item.seconds)
                yield item

    tid = yield NewTask(sleeper())
    yield Sleep(10)
    assert naps[:8] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0]
    append(path, "line\n")
    yield WaitTask(tid)


@pytest.mark.pyos
def test_a_follower_with_much_to_read_lets_others_run(path):
    append(path, "line\n" * CHUNK)
    turns = []

    def other(follower):
        while follower.gi_frame is not None:
            turns.append(1)
            yield

    source = pump(follow(path, from_start=True, limit=CHUNK + 1), sink(str), breath=CHUNK * 2)
    tid = yield NewTask(source)
    yield NewTask(other(source))
    assert (yield WaitTask(tid)).value == CHUNK + 1
    assert len(turns) >= 5


@pytest.mark.pyos
def test_the_limit_ends_a_follower_at_once(path):
    append(path, "one\ntwo\n")
    got = []
    assert (yield pump(follow(path, from_start=True, limit=2), sink(got.append))) == 2
    assert got == ["old", "one"]
    assert (yield pump(follow(path, limit=0), sink(got.append))) == 0
    assert (yield GetTime()) == 0
