"""The load test's server: a TCP echo server written three ways, to be compared by reading and by measuring.

tasks: a task of pyos for each connection. threads: a thread for each. asyncio: a coroutine with streams for each.

It listens on a free port of 127.0.0.1, says which, and serves until a signal ends it; then it says how much CPU time it
has used. At the end of its standard input (with </dev/null, say) it serves one client of its own, and ends.

Boot it: python -m pyos boot userland/course/loadtest/echo_servers.py [tasks|threads|asyncio]. The last two also run
without pyos: python userland/course/loadtest/echo_servers.py threads
"""

import argparse
import asyncio
import contextlib
import math
import os
import select
import signal
import socket
import sys
import threading
import time

HOST = "127.0.0.1"
BACKLOG = 1024  # connections that may wait to be accepted
SIZE = 65536  # bytes received at once, at most
PLAIN = __name__ == "__main__"  # run by Python alone, not by pyos


# --- with tasks


def serve_with_tasks(listener):
    from pyos import NewTask  # here, since the others need no pyos
    from pyos.lib.sockets import Socket

    with Socket(listener) as server:
        while True:
            conn, _ = yield server.accept()
            yield NewTask(echo_task(conn), detached=True)


def echo_task(conn):
    with conn, contextlib.suppress(ConnectionError):
        while data := (yield conn.recv(SIZE)):
            yield conn.sendall(data)


# --- with threads


def serve_with_threads(listener):
    while True:
        conn, _ = listener.accept()
        threading.Thread(target=echo_thread, args=(conn,), daemon=True).start()


def echo_thread(conn):
    with conn, contextlib.suppress(ConnectionError):
        while data := conn.recv(SIZE):
            conn.sendall(data)


# --- with asyncio


def serve_with_asyncio(listener):
    asyncio.run(accept_streams(listener))


async def accept_streams(listener):
    async with await asyncio.start_server(echo_streams, sock=listener, backlog=BACKLOG) as server:
        await server.serve_forever()


async def echo_streams(reader, writer):
    with contextlib.closing(writer), contextlib.suppress(ConnectionError, asyncio.CancelledError):
        while data := await reader.read(SIZE):
            writer.write(data)
            await writer.drain()


# --- the program


def main(*argv):
    parser = argparse.ArgumentParser("echo_servers", argparse.SUPPRESS, __doc__)
    parser.add_argument(
        "way", nargs="?", choices=["tasks", "threads", "asyncio"], default="tasks", help="tasks, if none"
    )
    parser.add_argument("--self-test", action="store_true", help="serve one client of its own, then end")
    options = parser.parse_args(argv)
    if options.way == "tasks" and PLAIN:
        parser.error("tasks need pyos: python -m pyos boot userland/course/loadtest/echo_servers.py")
    listener = socket.create_server((HOST, 0), backlog=BACKLOG)  # not closed while threads may still accept from it
    print("echo_servers: {} on {}:{}".format(options.way, *listener.getsockname()), flush=True)
    start = time.process_time()
    try:
        if options.self_test or at_end_of_input():
            yield from self_test(options.way, listener)
        else:
            yield from serve(options.way, listener)
    finally:
        print(f"echo_servers: {time.process_time() - start:.3f} s of CPU", flush=True)


def at_end_of_input():
    """True if standard input has nothing more to say."""
    if sys.stdin is None:
        return True
    readable, _, _ = select.select([sys.stdin], [], [], 0)
    return bool(readable) and not sys.stdin.buffer.peek(1)


def serve(way, listener):
    """Serve for ever. Booted in pyos, the servers that are not made of tasks run in a thread beside its kernel."""
    if way == "tasks":
        yield from serve_with_tasks(listener)
    elif PLAIN:
        blocking_server(way)(listener)
    else:
        from pyos import Sleep

        threading.Thread(target=blocking_server(way), args=(listener,), daemon=True).start()
        yield Sleep(math.inf)


def blocking_server(way):
    """The function that serves without pyos."""
    return {"threads": serve_with_threads, "asyncio": serve_with_asyncio}[way]


def self_test(way, listener):
    """Serve one client of our own, which runs in a thread; says what it found, and ends with 1 if that is bad."""
    found = []
    client = threading.Thread(target=check, args=(listener.getsockname(), found), daemon=True)
    if way == "tasks":
        from pyos import NewTask, Sleep

        yield NewTask(serve_with_tasks(listener))
        client.start()
        while client.is_alive():
            yield Sleep(0.001)
    else:
        threading.Thread(target=blocking_server(way), args=(listener,), daemon=True).start()
        client.start()
        client.join()
    print(f"echo_servers: {found[0] if found else '100 echoes verified'}")
    if found:
        sys.exit(1)


def check(address, found):
    """A client: a hundred random messages, one after the other, each compared with its echo; notes what is wrong."""
    try:
        with socket.create_connection(address, timeout=10) as conn, conn.makefile("rb") as stream:
            for _ in range(100):
                message = os.urandom(1024)
                conn.sendall(message)
                if stream.read(len(message)) != message:
                    found.append("an echo differs from its message")
    except OSError as error:
        found.append(f"the client failed: {error}")


if PLAIN:
    signal.signal(signal.SIGTERM, lambda number, frame: signal.raise_signal(signal.SIGINT))
    try:
        for _ in main(*sys.argv[1:]):
            pass
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
