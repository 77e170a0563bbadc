"""cycle: coroutines that send to each other in a circle: a fault, and its cure.

python -m pyos boot userland/course/part4_concurrency/cycle.py

`send` comes back only when the receiver waits at its next yield. So a coroutine that sends is still running, and what
comes around to it finds it busy: flows may branch and join, but a circle of sends cannot be. Cut the circle with a
queue: one coroutine puts items into it, and a loop outside takes them out when nobody is running.
"""

from collections import deque

from pyos import Program
from pyos.lib.dataflow import Coroutine, Target, coroutine
from pyos.lib.options import Options

OPTIONS = Options("cycle", __doc__)


@coroutine
def player(name: str, partner: list[Target]) -> Coroutine:
    """Send the ball on, one lower, to whoever is in `partner` by then; 0 is not sent on."""
    while True:
        ball = yield
        print(f"  {name} has the ball: {ball}")
        if ball:
            partner[0].send(ball - 1)


class Letterbox:
    """A target that keeps what it is sent."""

    def __init__(self) -> None:
        self.items: deque[int] = deque()
        self.send = self.items.append


def main(*argv: str) -> Program:
    OPTIONS.parse_args(argv)
    print("ping sends to pong, and pong to ping:")
    to_pong, to_ping = [], []
    ping, pong = player("ping", to_pong), player("pong", to_ping)
    to_pong.append(pong)
    to_ping.append(ping)
    try:
        ping.send(3)
    except ValueError as error:
        print(f"  ValueError: {error} (ping is still busy sending to pong)")
    yield
    print("with a letterbox between pong and ping:")
    letterbox = Letterbox()
    pong = player("pong", [letterbox])
    ping = player("ping", [pong])
    letterbox.send(3)
    while letterbox.items:
        ping.send(letterbox.items.popleft())
        yield
