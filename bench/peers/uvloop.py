"""asyncio's programs on uvloop, an event loop in C on libuv: https://github.com/MagicStack/uvloop"""

import uvloop

from bench.peers import asyncio as programs

TITLE = "uvloop"
ECHO = programs.ECHO  # its echo servers are asyncio's


def version():
    return uvloop.__version__


def run(program, *args, **params):
    uvloop.run(program(*args, **params))
