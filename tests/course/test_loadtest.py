"""The load test: echo servers written three ways, the blaster that verifies them, and the table."""

import contextlib
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import threading

import pytest

from tests.course.running import BOOTED, LIMIT, PLAIN, Server, load, output, run_program

BLASTER = "loadtest/blaster.py"
SERVERS = "loadtest/echo_servers.py"
LOADTEST = "loadtest/loadtest.py"
WAYS = pytest.mark.parametrize(
    ("way", "by"),
    [("tasks", BOOTED), ("threads", BOOTED), ("asyncio", BOOTED), ("threads", PLAIN), ("asyncio", PLAIN)],
    ids=["tasks", "threads booted", "asyncio booted", "threads", "asyncio"],
)
RESET = struct.pack("ii", 1, 0)


# --- the servers


@WAYS
def test_a_server_serves_blaster_and_then_says_its_cpu_time(way, by):
    with Server(SERVERS, way, by=by) as server:
        assert server.greeting == f"echo_servers: {way} on 127.0.0.1:{server.port}\n"
        out = output(BLASTER, str(server.port), "--connections", "10", "--messages", "20")
        assert "200 messages verified on 10 connections" in out
        code, out, err = server.end(signal.SIGTERM)
        assert (code, err) == (128 + (signal.SIGTERM if by is BOOTED else signal.SIGINT), "")
        assert re.fullmatch(r"echo_servers: \d+\.\d{3} s of CPU\n", out)


@pytest.mark.skipif(shutil.which("nc") is None, reason="nc is not installed")
@WAYS
def test_nc_gets_everything_back(way, by):
    data = os.urandom(3_000_000)
    with Server(SERVERS, way, by=by) as server:
        command = ["nc", "-N", "127.0.0.1", str(server.port)]
        assert subprocess.run(command, input=data, capture_output=True, check=True, timeout=LIMIT).stdout == data


@WAYS
def test_a_client_that_resets_its_connection_ends_nothing_else(way, by):
    with Server(SERVERS, way, by=by) as server:
        address = ("127.0.0.1", server.port)
        with socket.create_connection(address, LIMIT) as rude:
            rude.sendall(b"x")
            assert rude.recv(1) == b"x"
            rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        with socket.create_connection(address, LIMIT) as polite:
            polite.sendall(b"hello")
            assert polite.recv(100) == b"hello"
            assert server.end(signal.SIGTERM)[2] == "", "and there is nothing to complain of"


@WAYS
def test_a_server_tests_itself_at_the_end_of_its_input_and_when_asked(way, by):
    for args in ([], ["--self-test"]):
        assert output(SERVERS, way, *args, by=by).splitlines()[1] == "echo_servers: 100 echoes verified"


def test_tasks_without_pyos_and_an_unknown_way_are_refused_in_one_line():
    for args, by in ((["tasks"], PLAIN), (["fibres"], BOOTED)):
        refused = run_program(SERVERS, *args, by=by)
        assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
    assert "asyncio" in output(SERVERS, "--help")


# --- the blaster


def test_blaster_without_a_port_serves_itself_and_shows_progress():
    lines = output(BLASTER, "--connections", "4", "--messages", "25").splitlines()
    assert lines[:-1] == [f"blaster: {done} of 100 messages verified" for done in range(10, 101, 10)]
    assert lines[-1].startswith("blaster: 100 messages verified on 4 connections in ")


def corrupt(data):
    return bytes([data[0] ^ 1]) + data[1:]


def once(conn):
    """Echo the first message and leave."""
    conn.sendall(conn.recv(1024))


def half(conn):
    """Echo half of the first message and leave."""
    conn.sendall(conn.recv(1024)[:500])
    conn.shutdown(socket.SHUT_WR)
    conn.recv(1024)


def late_corruption(conn):
    """Echo, but change one bit of the third message."""
    for n in range(1, 10):
        data = conn.recv(1024, socket.MSG_WAITALL)
        conn.sendall(corrupt(data) if n == 3 else data)


def too_much(conn):
    """Echo everything, and say one byte more in the end."""
    while data := conn.recv(65536):
        conn.sendall(data)
    conn.sendall(b"!")


@contextlib.contextmanager
def serving(behave):
    """A server of one connection that behaves in some way; its port."""

    def serve():
        conn, _ = listener.accept()
        with conn, contextlib.suppress(OSError):
            behave(conn)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join(LIMIT)


@pytest.mark.parametrize(
    ("behave", "reason"),
    [
        (once, "the stream ended within an echo"),
        (half, "the stream ended within an echo"),
        (late_corruption, "an echo differs from its message"),
        (too_much, "there was more than the echoes"),
    ],
)
def test_blaster_notices_a_server_that_does_not_echo(behave, reason):
    with serving(behave) as port:
        done = run_program(BLASTER, str(port), "--connections", "1", "--messages", "5")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == f"blaster: 1 of 1 connections failed, the first: {reason}"


def test_blaster_says_in_one_line_that_nobody_listens():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        done = run_program(BLASTER, str(unused.getsockname()[1]))
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines()[-1] == "blaster: 10 of 10 connections failed, the first: Connection refused"


def test_blaster_gives_up_a_server_that_falls_silent(run, capsys):
    blaster = load(BLASTER)
    with socket.create_server(("127.0.0.1", 0)) as listener:  # accepts nobody
        status = run(blaster.run(listener.getsockname()[1], 3, 2))
    assert status.value == 1
    assert capsys.readouterr().out.splitlines()[-1] == (
        "blaster: 3 of 3 connections failed, the first: no echo for 30 s"
    )


@pytest.mark.parametrize(
    "args", [["nonsense"], ["0"], ["65536"], ["--connections", "-1"], ["--messages", "x"], ["1", "2"]]
)
def test_blaster_refuses_bad_arguments_in_one_line(args):
    refused = run_program(BLASTER, *args)
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)


def test_blaster_refuses_more_connections_than_the_system_has_descriptors():
    refused = run_program(BLASTER, "--connections", "1000000000")
    assert refused.returncode == 2
    assert re.fullmatch(r"blaster: error: this needs \d+ open files, and the limit is \d+ .*\n", refused.stderr)


def test_two_runs_with_a_seed_send_the_same_messages():
    """The messages come from the kernel's random numbers, so a run can be repeated."""

    def first_message(seed):
        messages = []
        with serving(lambda conn: messages.append(conn.recv(1024, socket.MSG_WAITALL))) as port:
            run_program(BLASTER, str(port), "--connections", "1", by=(*BOOTED, "--seed", seed))
        return messages[0]

    assert first_message("1") == first_message("1") != first_message("2")
    assert len(first_message("1")) == 1024


# --- the table


def test_the_load_test_compares_the_three_servers():
    out = output(LOADTEST, "--connections", "10", "--messages", "20", "--rounds", "2")
    assert re.findall(r"^loadtest: round (\d) of 2, (\w+)$", out, re.MULTILINE) == [
        ("1", "tasks"),
        ("1", "threads"),
        ("1", "asyncio"),
        ("2", "threads"),
        ("2", "asyncio"),
        ("2", "tasks"),
    ]
    assert out.count("200 messages verified on 10 connections") == 6
    header, *rows = out.splitlines()[-4:]
    assert header.split()[0] == "server"
    assert [row.split()[0] for row in rows] == ["tasks", "threads", "asyncio"]
    assert rows[0].split()[-2:] == ["1.00", "1.00"]
    assert all(float(number) > 0 for row in rows for number in row.split()[1:3])


def test_the_load_test_refuses_bad_arguments_in_one_line():
    refused = run_program(LOADTEST, "--rounds", "0")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "--rounds" in output(LOADTEST, "--help")


def test_the_table_has_medians_and_ratios_within_rounds():
    results = {
        "tasks": [(1.0, 2.0), (2.0, 4.0), (9.0, 6.0)],
        "threads": [(2.0, 3.0), (4.0, 4.0), (9.0, 12.0)],
    }
    _, tasks, threads = load(LOADTEST).table(results, 1_000_000).splitlines()
    assert tasks.split() == ["tasks", "2.000", "4.000", "4.0", "1.00", "1.00"]
    assert threads.split() == ["threads", "4.000", "4.000", "4.0", "2.00", "1.50"]
