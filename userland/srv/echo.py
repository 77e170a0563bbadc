"""echo: a TCP server that sends everything back, with one task a connection.

python -m pyos boot userland/srv/echo.py [PORT]
"""

from pyos import NewTask, Program
from pyos.lib.sockets import Socket, listen

HOST = "127.0.0.1"


def main(port: str = "0") -> Program:
    try:
        server = listen(HOST, int(port))
    except (OSError, ValueError, OverflowError) as error:
        print(f"echo: cannot listen on {HOST}:{port}: {error}")
        return 1
    with server:
        print("echo: listening on {}:{}".format(*server.address))
        while True:
            conn, (host, peer_port) = yield server.accept()
            yield NewTask(serve(conn), name=f"echo {host}:{peer_port}", detached=True)


def serve(conn: Socket) -> Program:
    """Echo until the client says it is done; a client that resets ends only this."""
    with conn:
        try:
            while data := (yield conn.recv()):
                yield conn.sendall(data)
        except ConnectionError:
            pass
