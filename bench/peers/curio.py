"""curio, coroutines on traps, the nearest relative: https://curio.readthedocs.io

It runs with -O, as it advises: otherwise each step checks assertions, some of them by a walk through all tasks.
"""

import functools

import curio
import curio.io
import curio.network

from bench.workloads.echo import ECHO

TITLE = "curio"
PYTHON_OPTIONS = ["-O"]


def version():
    return curio.__version__


def run(program, *args, **params):
    curio.run(functools.partial(program, *args, **params))


@ECHO.on("curio")
async def echo(listener):
    async def serve(client, address):
        while data := await client.recv(65536):
            await client.sendall(data)

    listener.setblocking(False)
    await curio.network.run_server(curio.io.Socket(listener), serve)
