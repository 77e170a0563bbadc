"""trio, structured concurrency: https://trio.readthedocs.io"""

import functools

import trio

from bench.workloads.echo import ECHO

TITLE = "trio"


def version():
    return trio.__version__


def run(program, *args, **params):
    trio.run(functools.partial(program, *args, **params))


@ECHO.on("trio")
async def echo(listener):
    async def serve(stream):
        async for data in stream:
            await stream.send_all(data)

    await trio.serve_listeners(serve, [trio.SocketListener(trio.socket.from_stdlib_socket(listener))])
