"""The real command line as a process of its own, for tests: run to its end, or booted and talked to.

Nothing here sleeps: a test waits for a line of output, for a connection, or for the end of the process. Init's echo
server listens on any free port; `address_in` reads it off the line that names it.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parent.parent
PYOS = [sys.executable, "-m", "pyos"]
INIT = "userland/init.py"
PATIENCE = 60.0  # seconds until a test gives up; no test passes or fails by it


def environment(**changes: str) -> dict[str, str]:
    """The environment of the processes: that of the tests, and whatever they change."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**inherited, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "ECHO_PORT": "0", **changes}


def _options(env: dict[str, str] | None, **options: Any) -> dict[str, Any]:
    return {
        "cwd": ROOT,
        "env": environment(**(env or {})),
        "text": True,
        **options,
    }


@contextlib.contextmanager
def hearing_sigint() -> Iterator[None]:
    """Whoever starts the tests in the background may have them ignore SIGINT, and what they start with them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def pyos(*args: Any, stdin: str | IO[str] | int = "", env: dict[str, str] | None = None, **options: Any) -> Any:
    """Run `python -m pyos ARGS...` to its end; answers what subprocess.run does, with text in `stdout` and `stderr`."""
    defaults: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "timeout": PATIENCE}
    defaults["input" if isinstance(stdin, str) else "stdin"] = stdin
    return subprocess.run([*PYOS, *map(str, args)], check=False, **_options(env, **{**defaults, **options}))


class Running:
    """A booted system: its process, and what it has said."""

    def __init__(self, process: subprocess.Popen[str], errors: IO[str]) -> None:
        assert process.stdout is not None
        assert process.stdin is not None
        self.process = process
        self.stdout = process.stdout
        self.stdin = process.stdin
        self.errors = errors
        self.signalled = False

    def until(self, text: str) -> str:
        """Read standard output up to the line that contains `text`; answers that line."""
        seen = []
        for line in self.stdout:
            seen.append(line)
            if text in line:
                return line
        raise AssertionError(f"the output ended without {text!r}: {seen}; {self.end()[2]}")

    def tell(self, line: str) -> None:
        """Write a line to standard input."""
        self.stdin.write(line + "\n")
        self.stdin.flush()

    def signal(self, number: int) -> None:
        self.process.send_signal(number)
        self.signalled = True

    def end(self) -> tuple[int, str, str]:
        """Wait for the end: the exit code, the rest of standard output, all of standard error.

        Standard input is closed first, unless a signal was sent: its end would compete with the signal.
        """
        if not self.signalled:
            self.stdin.close()
        rest = self.stdout.read()
        code = self.process.wait(PATIENCE)
        self.stdin.close()
        self.errors.seek(0)
        return code, rest, self.errors.read()


@contextlib.contextmanager
def booted(*args: Any, limits: str = "", env: dict[str, str] | None = None, **options: Any) -> Iterator[Running]:
    """`python -m pyos boot ARGS...`, running, under `ulimit LIMITS`; it is killed at the end unless it has ended."""
    pipe = subprocess.PIPE
    command = [*PYOS, "boot", *map(str, args)]
    if limits:
        command = ["sh", "-c", f'ulimit {limits} && exec "$0" "$@"', *command]
    with tempfile.TemporaryFile("w+") as errors:
        given = _options(env, stdin=pipe, stdout=pipe, stderr=errors, **options)
        with hearing_sigint():
            process = subprocess.Popen(command, **given)
        with process:
            try:
                yield Running(process, errors)
            finally:
                process.kill()


class Terminal:
    """A system booted at a terminal: what it shows, and the keyboard."""

    def __init__(self, process: subprocess.Popen[bytes], fd: int) -> None:
        self.process = process
        self.fd = fd
        self.shown = ""

    def until(self, text: str) -> str:
        """Read until `text` is shown; answers all that was shown since the last time."""
        while text not in self.shown:
            more = self._read()
            assert more, f"the end without {text!r}: {self.shown!r}"
        shown, self.shown = self.shown, ""
        return shown

    def type(self, keys: str) -> None:
        os.write(self.fd, keys.encode())

    def end(self) -> tuple[int, str]:
        """Wait for the end: the exit code, and what was shown since the last time."""
        while self._read():
            pass
        return self.process.wait(PATIENCE), self.shown

    def _read(self) -> str:
        with contextlib.suppress(OSError):  # EIO: nobody holds the other side any more
            more = os.read(self.fd, 65536).decode().replace("\r\n", "\n")
            self.shown += more
            return more
        return ""


@contextlib.contextmanager
def at_terminal(*args: Any, **env: str) -> Iterator[Terminal]:
    """`python -m pyos ARGS...` at a terminal of its own; it is killed at the end unless it has ended."""
    keyboard, screen = os.openpty()
    command = ["setsid", "--ctty", *PYOS, *map(str, args)]  # a session of its own, so that Ctrl-C there is for it
    try:
        try:
            with hearing_sigint():
                process = subprocess.Popen(
                    command, stdin=screen, stdout=screen, stderr=screen, cwd=ROOT, env=environment(**env)
                )
        finally:
            os.close(screen)
        with process:
            try:
                yield Terminal(process, keyboard)
            finally:
                process.kill()
    finally:
        os.close(keyboard)


def address_in(line: str) -> tuple[str, int]:
    """The address in a line such as `echo: listening on 127.0.0.1:4711`."""
    found = re.search(r"(\S+):(\d+)\s*$", line)
    assert found is not None, line
    return found[1], int(found[2])


def client(address: tuple[str, int]) -> socket.socket:
    """A connection to a server, with a time limit."""
    return socket.create_connection(address, timeout=PATIENCE)


def receive(conn: socket.socket, size: int) -> bytes:
    """Exactly `size` bytes, or what came before the end of the stream."""
    data = b""
    while len(data) < size and (more := conn.recv(size - len(data))):
        data += more
    return data
