"""Reading lines of a descriptor: whole ones, pieces, the end, and terminals that take back what they announced."""

import fcntl
import os
import socket
import termios

import pytest

from pyos import NewTask, Sleep, WaitTask
from pyos.lib.console import LineReader


@pytest.fixture
def pipe():
    """A pipe's reader, and a function that writes to it; None closes it."""
    reader, writer = os.pipe()
    ends = [writer]

    def write(data):
        if data is None:
            os.close(ends.pop())
        else:
            os.write(writer, data)

    yield reader, write
    for fd in [reader, *ends]:
        os.close(fd)


@pytest.fixture
def terminal():
    """A terminal, and its keyboard."""
    keyboard, screen = os.openpty()
    yield screen, lambda keys: os.write(keyboard, keys)
    os.close(keyboard)
    os.close(screen)


def read_all(lines):
    """As a subroutine: every line up to the end."""
    read = []
    while line := (yield lines.readline()):
        read.append(line)
    return read


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"one\n", ["one\n"]),
        (b"one\ntwo\n\nthree", ["one\n", "two\n", "\n", "three"]),
        ("grün\n".encode(), ["grün\n"]),
        (b"\xff\n", ["\ufffd\n"]),
        (b"\n\n", ["\n", "\n"]),
    ],
)
def test_the_lines_of_a_pipe(run, pipe, data, lines):
    reader, write = pipe
    if data:
        write(data)
    write(None)
    assert run(read_all(LineReader(reader))).value == lines


def test_a_line_may_come_in_pieces(run, pipe):
    reader, write = pipe

    def typist():
        for piece in (b"on", b"e\ngr\xc3", b"\xbcn\nlast", None):  # the ü in halves
            yield Sleep(1)
            write(piece)

    def main():
        yield NewTask(typist())
        return (yield read_all(LineReader(reader)))

    assert run(main()).value == ["one\n", "grün\n", "last"]


def test_after_the_end_there_is_nothing_more(run, pipe):
    reader, write = pipe
    write(None)

    def main():
        lines = LineReader(reader)
        return (yield lines.readline()), (yield lines.readline())

    assert run(main()).value == ("", "")


def test_a_line_longer_than_a_read(run, pipe):
    reader, write = pipe
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 1 << 20)
    write(b"x" * 200_000 + b"\n")
    write(None)
    assert run(read_all(LineReader(reader))).value == ["x" * 200_000 + "\n"]


def test_the_lines_of_a_file(run, tmp_path):
    (tmp_path / "file").write_bytes(b"one\ntwo")
    with open(tmp_path / "file", "rb") as file:
        assert run(read_all(LineReader(file.fileno()))).value == ["one\n", "two"]


def test_others_run_while_a_line_is_waited_for(run, pipe):
    reader, write = pipe
    order = []

    def typist():
        yield Sleep(5)
        order.append("typed")
        write(b"x\n")

    def main():
        yield NewTask(typist())
        yield LineReader(reader).readline()
        order.append("read")

    run(main())
    assert order == ["typed", "read"]


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_second_reader_that_finds_nothing_left_stops_nobody(run, pipe, kind):
    """Both are woken by the first line, and one of them takes it."""
    reader, write = pipe
    here, there = socket.socketpair()
    if kind == "socket":
        reader, write = here.fileno(), there.send

    def main():
        tids = []
        for _ in range(2):
            tids.append((yield NewTask(first_line(reader))))
        yield Sleep(1)
        write(b"one\n")
        yield Sleep(1)
        write(b"two\n")
        return {(yield WaitTask(tids[0])).value, (yield WaitTask(tids[1])).value}

    def first_line(fd):
        with LineReader(fd) as lines:
            return (yield lines.readline())

    with here, there:
        assert run(main()).value == {"one\n", "two\n"}
        assert os.get_blocking(reader)


def test_a_descriptor_that_cannot_be_read_is_the_readers_error(run):
    def main():
        with open(os.devnull, "w") as unreadable, pytest.raises(OSError, match="Bad file descriptor"):
            yield LineReader(unreadable.fileno()).readline()
        return "said"

    assert run(main()).value == "said"


# --- terminals


def test_the_lines_of_a_terminal(run, terminal):
    screen, press = terminal
    press(b"one\ntw\x7fwo\n\x04")  # with a backspace, and Ctrl-D at the start of a line

    def main():
        with LineReader(screen) as lines:
            return (yield read_all(lines))

    assert run(main()).value == ["one\n", "two\n"]


def test_what_a_terminal_takes_back_stops_nobody(run, terminal, monkeypatch):
    """Ctrl-C discards what was typed, also when it has been announced: the read that follows must not block."""
    screen, press = terminal
    reads = []
    read = os.read

    def read_late(fd, size):
        if not reads:
            termios.tcflush(screen, termios.TCIFLUSH)
        reads.append(fd)
        return read(fd, size)

    def typist():
        while not reads:
            yield
        press(b"kept\n")

    def main():
        press(b"discarded\n")
        yield NewTask(typist())
        with LineReader(screen) as lines:
            return (yield lines.readline())

    monkeypatch.setattr(os, "read", read_late)
    assert run(main()).value == "kept\n"
    assert len(reads) == 2


def test_the_flags_of_the_descriptor_itself_are_left_alone(run, terminal, pipe):
    """It is shared with whoever started us."""
    screen, press = terminal
    reader, write = pipe
    press(b"x\n")
    write(b"x\n")

    def main(fd):
        with LineReader(fd) as lines:
            return (yield lines.readline())

    for fd in (screen, reader):
        before = fcntl.fcntl(fd, fcntl.F_GETFL)
        assert run(main(fd)).value == "x\n"
        assert fcntl.fcntl(fd, fcntl.F_GETFL) == before
        assert os.get_blocking(fd)


def test_close_closes_what_was_opened_here_and_nothing_else(terminal, pipe):
    for fd in (terminal[0], pipe[0]):
        lines = LineReader(fd)
        lines.close()
        lines.close()
        os.fstat(fd)


def test_a_terminal_that_may_not_be_opened_again_is_read_as_it_is(run, terminal, monkeypatch):
    screen, press = terminal
    press(b"x\n")

    def refuse(*args):
        raise PermissionError

    monkeypatch.setattr(os, "ttyname", refuse)
    assert run(LineReader(screen).readline()).value == "x\n"
