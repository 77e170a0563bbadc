"""gevent, greenlets on libev: https://www.gevent.org"""

import gevent
import gevent.server
import gevent.socket

from bench.workloads.echo import ECHO

TITLE = "gevent"


def version():
    return gevent.__version__


def run(program, *args, **params):
    program(*args, **params)


@ECHO.on("gevent")
def echo(listener):
    def serve(conn, address):
        while data := conn.recv(65536):
            conn.sendall(data)

    gevent.server.StreamServer(gevent.socket.socket(fileno=listener.detach()), serve).serve_forever()
