"""echo: a TCP server sends back what a load client in C sends it; its CPU time is what counts.

The servers are in peers/: a server is a program with one parameter, the listening socket, that serves until its process
is ended. The client (native/load.c) has one message in flight on each busy connection, checks every byte, and reads the
server's process clock.
"""

import json
import os
import resource
import socket
import subprocess
import sys

from bench.native import build
from bench.workload import Case, Promise, Skip, Workload

SPARE = 50  # descriptors that are not connections
SECONDS = 15  # then a run ends with as many messages as have been carried
PATIENCE = 60  # seconds until all must be connected
SMALL = {"size": 64, "messages": 200_000}
QUICK = {"messages": 5_000}
TINY = {"connections": 5, "busy": 2, "messages": 50}


def case(connections, busy=None, size=64, messages=200_000, quick=QUICK):
    """So many connections, all of them busy unless said otherwise."""
    params = {"connections": connections, "busy": busy or connections, "size": size, "messages": messages}
    return Case(params, quick, TINY)


def measure(workload, peer, contender, meter, params):
    """Start the server and the client, and let the client tell."""
    if params["connections"] > getattr(peer, "MOST_CONNECTIONS", params["connections"]):
        raise Skip(f"it takes {peer.MOST_CONNECTIONS} connections at most, as select does")
    enough_descriptors(params["connections"] + SPARE)
    client = build("load")
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # whoever accepts inherits it
        fd, port = listener.fileno(), listener.getsockname()[1]
        options = ["-O"] if sys.flags.optimize else []
        arguments = [sys.executable, *options, "-m", "bench.child", "serve", workload.name, str(contender), str(fd)]
        server = subprocess.Popen(arguments, pass_fds=[fd])
        keep_apart(server.pid)
    numbers = [
        port,
        server.pid,
        *(params[name] for name in ("connections", "busy", "size", "messages")),
        SECONDS,
        PATIENCE,
    ]
    load = subprocess.Popen([client, *map(str, numbers)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    line = load.stdout.readline()
    server.kill()
    server.wait()
    load.communicate()
    if not line:
        raise RuntimeError(f"the load client ended with status {load.returncode}")
    figures = json.loads(line)
    messages = figures.pop("messages")
    meter.note(**figures, cost=figures["cpu"] / messages * workload.scale, rate=messages / figures["wall"] / 1000)


def keep_apart(server):
    """Server and client each get a core of their own: on one, every message would cost the server a preemption."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(server, cores[:1])
        os.sched_setaffinity(0, cores[1:2])  # this process's, and so the client's


def enough_descriptors(needed):
    """Allow this process and its children as many descriptors as the system lets it; Skip if that is too few."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < needed:
        raise Skip(f"needs {needed} descriptors, and the limit is {most} (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


ECHO = Workload(
    name="echo",
    about="TCP echo, the server's CPU time a message",
    unit="CPU s/100,000 messages",
    scale=1e5,
    order=9,
    cases={
        "1 connection": case(1, messages=50_000, quick={"messages": 500}),
        "100 connections": case(100),
        "1,000 connections": case(1_000, quick=None),
        "5,000 connections": case(5_000, quick=None),
        "100 connections, 16 KiB": case(100, size=16_384, messages=50_000, quick=None),
        "10 connections": case(10, quick=None),
        "10 busy beside 10,000 idle": case(10_010, busy=10, quick=None),
    },
    extras={"rate": "1,000/s", "p50": "µs", "p99": "µs"},
    measure=measure,
    promises=[
        Promise("echo, 100 connections, against the epoll loop", "100 connections", against="epoll", at_most=1.2),
        Promise("… against asyncio Protocol", "100 connections", against="asyncio protocol", at_most=1.0),
        Promise("… against uvloop streams", "100 connections", against="uvloop streams", at_most=0.85),
        Promise("echo, 5,000 connections, against the epoll loop", "5,000 connections", against="epoll", at_most=1.35),
        Promise(
            "10 busy beside 10,000 idle, against 10 alone",
            "10 busy beside 10,000 idle",
            against_case="10 connections",
            at_least=0.95,
        ),
    ],
)
