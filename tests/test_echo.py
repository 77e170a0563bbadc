"""The echo server as a process, and real clients: many, slow, rude and half-closed ones."""

from __future__ import annotations

import contextlib
import resource
import selectors
import shutil
import signal
import socket
import struct
import subprocess
import threading

import pytest

from tests.system import INIT, PATIENCE, address_in, booted, client, pyos, receive

ECHO = "userland/srv/echo.py"
LOTS = bytes(range(256)) * (10 * 1024 * 1024 // 256)


@pytest.fixture
def server():
    """A booted echo server's address."""
    with booted(ECHO) as system:
        yield address_in(system.until("listening"))
        system.signal(signal.SIGTERM)
        assert system.end() == (143, "", "")  # nothing that a client did was worth a word


@pytest.mark.parametrize(
    "command",
    [["nc", "-N", "{host}", "{port}"], ["socat", "-t", "60", "-", "TCP:{host}:{port}"]],
    ids=["nc", "socat"],
)
@pytest.mark.parametrize("size", [12, 1_000_000])
def test_a_common_client_gets_back_what_it_sends(server, command, size):
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    host, port = server
    words = [word.format(host=host, port=port) for word in command]
    done = subprocess.run(words, input=LOTS[:size], capture_output=True, timeout=PATIENCE, check=True)
    assert done.stdout == LOTS[:size]


def test_half_close(server):
    """A client that is done sending still gets all of its echo, and then the end of the stream."""
    with client(server) as conn:
        conn.sendall(b"the last words")
        conn.shutdown(socket.SHUT_WR)
        assert receive(conn, 1000) == b"the last words"


def test_a_client_that_leaves_at_once_is_no_trouble(server):
    for _ in range(20):
        client(server).close()
    is_served(server)


def is_served(address):
    """A new client gets its echo."""
    with client(address) as conn:
        conn.sendall(b"hello")
        assert receive(conn, 5) == b"hello"


def reset(conn):
    """Close a connection with RST instead of FIN."""
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    conn.close()


@pytest.mark.parametrize("mid", ["idle", "unread", "blocked"])
def test_a_client_that_resets_mid_stream_hits_nobody_else(server, mid):
    with client(server) as other:
        other.sendall(b"before")
        for _ in range(10):
            rude = client(server)
            if mid == "unread":
                rude.sendall(b"x" * 1000)
            elif mid == "blocked":
                fill(rude)  # its task is waiting for it to read
            reset(rude)
            is_served(server)
        assert receive(other, 6) == b"before"
        other.sendall(b"after")
        assert receive(other, 5) == b"after"


def fill(conn):
    """Send, reading nothing, until neither side takes any more."""
    conn.setblocking(False)
    poll = selectors.DefaultSelector()
    with poll:
        poll.register(conn, selectors.EVENT_WRITE)
        while poll.select(0.05):
            with contextlib.suppress(BlockingIOError):
                conn.send(LOTS[:65536])


def test_a_slow_reader_gets_all_10_mb_while_others_are_served(server):
    with client(server) as slow, client(server) as other:
        sender = threading.Thread(target=slow.sendall, args=(LOTS,))
        sender.start()
        got = 0
        while got < len(LOTS):
            if got % (1 << 20) == 0:  # once a megabyte; the echo of the rest waits in the meantime
                other.sendall(b"ping")
                assert receive(other, 4) == b"ping"
                is_served(server)
            piece = receive(slow, 1 << 16)
            assert piece == LOTS[got : got + len(piece)]
            got += len(piece)
        sender.join()


def test_1500_clients_at_once_each_get_their_echo():
    with more_descriptors(4000), booted(ECHO) as system, contextlib.ExitStack() as stack:
        address = address_in(system.until("listening"))
        clients = [stack.enter_context(client(address)) for _ in range(1500)]
        for round_ in range(2):
            for number, conn in enumerate(clients):
                conn.sendall(b"%d/%d" % (round_, number))
            for number, conn in enumerate(clients):
                wanted = b"%d/%d" % (round_, number)
                assert receive(conn, len(wanted)) == wanted
        is_served(address)
        system.signal(signal.SIGTERM)
        assert system.end() == (143, "", "")


@contextlib.contextmanager
def more_descriptors(number):
    """Raise the soft limit; skip where the hard one is too low."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < number:
        pytest.skip(f"the system allows {hard} descriptors only")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, number), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_out_of_descriptors_the_server_waits_for_better_times():
    """Clients beyond the limit wait in the backlog, and are served when others have left."""
    with booted(ECHO, limits="-n 20") as system, contextlib.ExitStack() as stack:
        address = address_in(system.until("listening"))
        clients = [stack.enter_context(client(address)) for _ in range(30)]
        assert "Too many open files: trying again in a second" in system.until("cannot accept")
        for conn in clients:
            conn.sendall(b"hello")
        assert receive(clients[0], 5) == b"hello"
        for conn in clients[:20]:
            conn.close()
        for conn in clients[20:]:
            assert receive(conn, 5) == b"hello"
        system.signal(signal.SIGTERM)
        code, _, err = system.end()
        assert (code, err) == (143, "")


def test_kill_from_the_shell_closes_just_that_connection():
    with booted(INIT) as system:
        address = address_in(system.until("listening"))
        with client(address) as victim, client(address) as other:
            tids = {}
            for conn in (victim, other):
                conn.sendall(b"hello")
                assert receive(conn, 5) == b"hello"
                name = "echo {}:{}".format(*conn.getsockname())
                system.tell("ps")
                tids[conn] = system.until(name).split()[0]
            system.tell(f"kill {tids[victim]}")
            assert victim.recv(1) == b""
            other.sendall(b"still here")
            assert receive(other, 10) == b"still here"
            is_served(address)
            system.tell("ps")
            listed = system.until(f"echo {other.getsockname()[0]}:{other.getsockname()[1]}")
            assert listed.split()[:4] == [tids[other], "2", "blocked", "read"]
        assert system.end()[0] == 0


def test_a_taken_port_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = pyos("boot", ECHO, port)
    message = f"echo: cannot listen on 127.0.0.1:{port}: [Errno 98] Address already in use\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, message, "")


@pytest.mark.parametrize("port", ["x", "-1", "65536", "1e3"])
def test_what_is_no_port_is_told(port):
    done = pyos("boot", ECHO, port)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout == f"echo: cannot listen on 127.0.0.1:{port}: a port is a number from 0 to 65535\n"


def test_a_port_can_be_taken_again_at_once():
    """Connections of the last server that linger do not keep the next from listening."""
    with booted(ECHO) as system:
        address = address_in(system.until("listening"))
        is_served(address)
        system.signal(signal.SIGTERM)
        system.end()
    with booted(ECHO, address[1]) as system:
        assert address_in(system.until("listening")) == address
