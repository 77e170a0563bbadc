"""An epoll echo server in C (native/server.c): what the system itself costs."""

import os

from bench.native import build, compiler_version
from bench.workloads.echo import ECHO

TITLE = "C"
IS_LIMIT = True


def version():
    return compiler_version()


def run(program, *args, **params):
    program(*args, **params)


@ECHO.on("c")
def echo(listener):
    listener.set_inheritable(True)
    server = build("server")
    os.execv(server, [server, str(listener.fileno())])
