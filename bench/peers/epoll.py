"""What a Python programmer writes by hand for one server: an epoll loop and a dict of sockets."""

import platform
import select

from bench.workloads.echo import ECHO

TITLE = "epoll loop"
IS_LIMIT = True


def version():
    return platform.python_version()


def run(program, *args, **params):
    program(*args, **params)


@ECHO.on("epoll")
def echo(listener):
    """Bytes that a slow client does not take are kept, and sent when it does; a broken connection is closed."""
    epoll = select.epoll()
    poll, modify, writable = epoll.poll, epoll.modify, select.EPOLLOUT
    accepting = listener.fileno()
    epoll.register(accepting, select.EPOLLIN)
    conns, unsent = {}, {}
    while True:
        for fd, events in poll():
            if fd == accepting:
                conn, _ = listener.accept()
                conn.setblocking(False)
                conns[conn.fileno()] = conn
                epoll.register(conn.fileno(), select.EPOLLIN)
                continue
            conn = conns[fd]
            try:
                data = unsent.pop(fd) if events & writable else conn.recv(65536)
                sent = conn.send(data) if data else -1
            except OSError:
                sent = -1
            if sent < 0:
                del conns[fd]
                conn.close()
            elif sent < len(data):
                unsent[fd] = data[sent:]
                modify(fd, writable)
            elif events & writable:
                modify(fd, select.EPOLLIN)
