"""init, the first program: start the services, then a shell on standard input; its status is the system's.

python -m pyos boot userland/init.py [--no-shell]

The environment variable ECHO_PORT is the echo server's port (7007; 0: any free one). A service that cannot start, or
ends, is logged, and the system goes on.
"""

import math
import os
import sys

from pyos import Exec, ExitStatus, GetTime, Program, Sleep, WaitTask
from pyos.lib.exits import ending, exit_code, last_words

SERVICES = [("srv/echo.py", os.environ.get("ECHO_PORT", "7007"))]
USAGE = "usage: init.py [--no-shell]"


def main(*argv: str) -> Program:
    if unknown := [arg for arg in argv if arg != "--no-shell"]:
        print(f"init: unknown option {unknown[0]}\n{USAGE}", file=sys.stderr)
        return 2
    start = yield GetTime()
    yield say(start, "init is task 1")
    for path, *args in SERVICES:
        yield start_service(start, path, *args)
    shell = None
    if "--no-shell" in argv:
        yield say(start, "no shell: serving until signalled")
    else:
        shell = yield Exec("bin/sh.py")
        yield say(start, f"task {shell} is the shell (try help)")
    while (status := (yield WaitTask())) is not None:
        if status.tid == shell:
            sys.stderr.write(last_words(status))
            return exit_code(status)
        yield say(start, report(status))
    yield Sleep(math.inf)


def start_service(start: float, path: str, *args: str) -> Program:
    """Start one; what is wrong with it must not keep the system from booting."""
    try:
        tid = yield Exec(path, *args)
    except Exception as error:
        yield say(start, f"cannot start {path}: {type(error).__name__}: {error}")
    else:
        yield say(start, f"task {tid} runs {path}")


def report(status: ExitStatus) -> str:
    """That a service has ended: init waits for it, so it is init who says why."""
    return f"task {status.tid} ({status.name}) {ending(status)}\n{last_words(status)}".rstrip()


def say(start: float, line: str) -> Program:
    """One line of the boot log, with seconds since init started."""
    now = yield GetTime()
    print(f"[{now - start:8.4f}] {line}")
