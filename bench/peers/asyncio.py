"""asyncio, the standard library's event loop."""

import asyncio
import platform

from bench.workloads.echo import ECHO

TITLE = "asyncio"


def version():
    return platform.python_version()


def run(program, *args, **params):
    asyncio.run(program(*args, **params))


@ECHO.on("asyncio", "uvloop", variant="streams")
async def streams(listener):
    async def serve(reader, writer):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, sock=listener) as server:
        await server.serve_forever()


class Echo(asyncio.Protocol):
    """Echo by callbacks: nothing in between, and no task a connection."""

    def connection_made(self, transport):
        self.write = transport.write

    def data_received(self, data):
        self.write(data)


@ECHO.on("asyncio", "uvloop", variant="protocol")
async def protocol(listener):
    server = await asyncio.get_running_loop().create_server(Echo, sock=listener)
    await server.serve_forever()
