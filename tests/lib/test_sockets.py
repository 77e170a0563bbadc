"""Sockets for userland: real ones, with servers and clients in one kernel."""

import array
import contextlib
import errno
import socket
import struct

import pytest

from pyos import KILL, TERM, KillTask, NewTask, Sleep, Tasks, WaitTask
from pyos.lib.sockets import Socket, connect, listen
from tests.kernel.programs import outcome


@pytest.fixture
def pair():
    """Two connected sockets: one as userland has it, the other plain, with room for little."""
    left, right = socket.socketpair()
    for end in (left, right):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    with Socket(left) as ours, right:
        yield ours, right


def start(target):
    """As a subroutine: the tid of a new task, which has run to its first wait."""
    tid = yield NewTask(target)
    yield
    return tid


# --- servers and clients


def test_a_server_and_a_client(run):
    def serve(server):
        conn, address = yield server.accept()
        with conn:
            assert address[0] == "127.0.0.1"
            data = yield conn.recv(3)
            yield conn.sendall(data.upper())

    def main():
        with listen() as server:
            yield NewTask(serve(server))
            conn = yield connect(*server.address)
            with conn:
                yield conn.sendall(b"abc")
                return (yield conn.recv()), (yield conn.recv())

    assert run(main()).value == (b"ABC", b"")


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_ipv6(run):
    def main():
        try:
            server = listen("::1")
        except OSError:
            return pytest.skip("no IPv6 address here")
        with server:
            conn = yield connect(*server.address[:2])
            with conn:
                peer, address = yield server.accept()
                with peer:
                    assert peer.address[1] == server.address[1]
                    return address[:2] == conn.address[:2]

    assert run(main()).value is True


def test_a_taken_port_is_an_error_and_leaves_nothing_open():
    with listen() as server, pytest.raises(OSError, match="Address already in use"):
        listen(*server.address)


@pytest.mark.parametrize(("port", "error"), [(-1, OverflowError), (65536, OverflowError), ("7", TypeError)])
def test_what_is_no_port_is_an_error(port, error):
    with pytest.raises(error):
        listen(port=port)


def test_a_refused_connection_is_the_clients_error(run):
    with listen() as server:
        address = server.address

    def main():
        return (yield outcome(connect(*address)))

    assert type(run(main()).value) is ConnectionRefusedError


def test_a_connection_that_fails_later_is_an_error_with_its_name(run, monkeypatch):
    """`connect` says "in progress", and what became of it is to be asked for when the socket is writable."""
    monkeypatch.setattr(socket.socket, "connect", raise_in_progress)
    monkeypatch.setattr(socket.socket, "getsockopt", lambda *args: errno.EHOSTUNREACH)

    def main():
        return (yield outcome(connect("127.0.0.1", 9)))

    error = run(main()).value
    assert (error.errno, error.strerror) == (errno.EHOSTUNREACH, "No route to host")
    assert error.__suppress_context__


def raise_in_progress(self, address):
    raise BlockingIOError(errno.EINPROGRESS, "in progress")


def test_a_client_that_is_killed_while_connecting_closes_its_socket(run, monkeypatch):
    opened = []

    def never_answered(self, address):
        opened.append(self)
        raise_in_progress(self, address)

    monkeypatch.setattr(socket.socket, "connect", never_answered)
    monkeypatch.setattr("pyos.lib.sockets.WriteWait", lambda raw: Sleep(1000))

    def main():
        tid = yield start(connect("127.0.0.1", 9))
        yield KillTask(tid)
        return (yield WaitTask(tid)).signal

    assert run(main()).value is TERM
    assert [raw.fileno() for raw in opened] == [-1]


def test_several_tasks_accept_on_one_socket(run):
    """Each connection goes to one of them; the others, who were woken for nothing, wait on."""

    def acceptor(server, served):
        conn, _ = yield server.accept()
        with conn:
            served.append((yield conn.recv()))

    def main():
        served = []
        with listen() as server:
            tids = []
            for _ in range(3):
                tids.append((yield start(acceptor(server, served))))
            for n in range(3):
                conn = yield connect(*server.address)
                with conn:
                    yield conn.sendall(b"%d" % n)
            for tid in tids:
                assert (yield WaitTask(tid)).ok
        return sorted(served)

    assert run(main()).value == [b"0", b"1", b"2"]


def test_a_client_that_gave_up_before_it_was_accepted_is_passed_over(run, monkeypatch):
    accept = socket.socket.accept
    failures = [ConnectionAbortedError(errno.ECONNABORTED, "gone"), BlockingIOError(errno.EAGAIN, "not yet")]

    def accept_later(self):
        if failures:
            raise failures.pop()
        return accept(self)

    monkeypatch.setattr(socket.socket, "accept", accept_later)

    def main():
        with listen() as server:
            conn = yield connect(*server.address)
            with conn:
                peer, _ = yield server.accept()
                with peer:
                    return peer.raw.getblocking(), len(failures)

    assert run(main()).value == (False, 0)


# --- data


def test_recv_waits_for_data(run, pair):
    ours, theirs = pair

    def typist():
        yield Sleep(1)
        theirs.sendall(b"abc")
        yield Sleep(1)
        theirs.shutdown(socket.SHUT_WR)

    def main():
        yield NewTask(typist())
        return (yield ours.recv(2)), (yield ours.recv(2)), (yield ours.recv(2)), (yield ours.recv(2))

    assert run(main()).value == (b"ab", b"c", b"", b"")


def test_a_second_reader_is_woken_and_waits_on(run, pair):
    ours, theirs = pair
    got = []

    def reader():
        got.append((yield ours.recv()))

    def main():
        first, second = (yield start(reader())), (yield start(reader()))
        theirs.sendall(b"one")
        yield Sleep(1)
        assert got == [b"one"]
        theirs.sendall(b"two")
        yield WaitTask(first)
        yield WaitTask(second)

    run(main())
    assert got == [b"one", b"two"]


@pytest.mark.parametrize(
    "data",
    [b"", b"x" * 1_000_000, bytearray(b"x" * 100_000), memoryview(b"x" * 100_000), array.array("i", range(50_000))],
    ids=["nothing", "bytes", "bytearray", "memoryview", "array"],
)
def test_sendall_sends_all_to_a_slow_reader(run, pair, data):
    ours, theirs = pair
    theirs.setblocking(False)
    read = []

    def reader():
        while True:
            yield Sleep(1)
            with contextlib.suppress(BlockingIOError):
                read.append(theirs.recv(8192))
                if not read[-1]:
                    return

    def main():
        tid = yield NewTask(reader())
        yield ours.sendall(data)
        ours.shutdown()
        assert (yield WaitTask(tid)).ok

    run(main())
    assert b"".join(read) == bytes(data)


def test_a_sender_that_waits_says_so(run, pair):
    ours, theirs = pair

    def main():
        yield start(ours.sendall(b"x" * 1_000_000))
        state = (yield Tasks())[1].waiting_on
        theirs.close()
        yield Sleep(0)
        return state

    assert run(main()).value == f"write fd {ours.fileno()}"


def test_a_peer_that_is_gone_is_the_senders_error(run, pair):
    ours, theirs = pair
    theirs.close()

    def main():
        return (yield outcome(ours.sendall(b"x"))), (yield ours.recv())

    error, data = run(main()).value
    assert (type(error), data) == (BrokenPipeError, b"")


def test_a_peer_that_resets_is_the_receivers_error(run):
    def main():
        with listen() as server, socket.create_connection(server.address) as client:
            peer, _ = yield server.accept()
            with peer:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.close()
                return (yield outcome(peer.recv()))

    assert type(run(main()).value) is ConnectionResetError


def test_half_close(run, pair):
    ours, theirs = pair

    def main():
        yield ours.sendall(b"done")
        ours.shutdown()
        ours.shutdown()
        assert (theirs.recv(10), theirs.recv(10)) == (b"done", b"")
        theirs.sendall(b"not me")
        return (yield ours.recv())

    assert run(main()).value == b"not me"


# --- closing


@pytest.mark.parametrize("yielded", [True, False])
def test_close_closes_yielded_or_not_and_twice_is_harmless(run, pair, yielded):
    ours, theirs = pair

    def main():
        for _ in range(2):
            closing = ours.close()
            if yielded:
                yield closing
        yield
        return ours.fileno(), theirs.recv(1)

    assert run(main()).value == (-1, b"")


def test_a_closed_socket_is_an_error_of_whoever_uses_it(run, pair):
    ours, _ = pair
    ours.close()
    ours.shutdown()

    def main():
        return (yield outcome(ours.recv())).errno, (yield outcome(ours.sendall(b"x"))).errno

    assert run(main()).value == (errno.EBADF, errno.EBADF)


@pytest.mark.parametrize("signal", [None, KILL])
def test_a_task_that_ends_closes_what_it_holds_in_a_with(run, pair, signal):
    ours, theirs = pair

    def child():
        with ours:
            yield ours.recv()

    def main():
        tid = yield start(child())
        if signal is None:
            theirs.sendall(b"x")
        else:
            yield KillTask(tid, signal)
        yield WaitTask(tid)
        return ours.fileno()

    assert run(main()).value == -1


def test_a_socket_is_not_blocking():
    with listen() as server:
        assert server.raw.getblocking() is False
        with pytest.raises(BlockingIOError):
            server.raw.accept()
