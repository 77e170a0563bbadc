"""echo: a TCP server that sends everything back, with one task a connection.

python -m pyos boot userland/srv/echo.py [PORT]
"""

import errno
import os

from pyos import NewTask, Program, Sleep
from pyos.lib.sockets import Socket, listen

HOST = "127.0.0.1"
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)  # what passes when connections are closed


def main(port: str = "0") -> Program:
    if not (port.isascii() and port.isdecimal() and len(port) < 9 and int(port) <= 65535):
        print(f"echo: cannot listen on {HOST}:{port}: a port is a number from 0 to 65535")
        return 1
    try:
        server = listen(HOST, int(port))
    except OSError as error:
        print(f"echo: cannot listen on {HOST}:{port}: {error}")
        return 1
    with server:
        print("echo: listening on {}:{}".format(*server.address))
        while True:
            try:
                conn, (host, peer_port) = yield server.accept()
            except OSError as error:
                if error.errno not in EXHAUSTED:
                    raise
                print(f"echo: cannot accept: {os.strerror(error.errno)}: trying again in a second")
                yield Sleep(1)
                continue
            yield NewTask(serve(conn), name=f"echo {host}:{peer_port}", detached=True)


def serve(conn: Socket) -> Program:
    """Echo until the client says it is done; a client that resets ends only this."""
    with conn:
        try:
            while data := (yield conn.recv()):
                yield conn.sendall(data)
        except ConnectionError:
            pass
