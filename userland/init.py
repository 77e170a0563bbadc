"""init, the first program: start the services, then a shell on standard input; its status is the system's.

python -m pyos boot userland/init.py [--no-shell]
"""

from pyos import Exec, GetTime, Program, WaitTask

SERVICES = [("srv/echo.py", "7007")]
USAGE = "usage: init.py [--no-shell]"


def main(*argv: str) -> Program:
    if unknown := [arg for arg in argv if arg != "--no-shell"]:
        print(f"init: unknown option {unknown[0]}\n{USAGE}")
        return 2
    start = yield GetTime()
    yield from say(start, "init is task 1")
    for path, *args in SERVICES:
        tid = yield Exec(path, *args)
        yield from say(start, f"task {tid} runs {path}")
    if "--no-shell" in argv:
        yield from say(start, "no shell: serving until signalled")
        while (yield WaitTask()) is not None:
            pass
        return 0
    shell = yield Exec("bin/sh.py")
    yield from say(start, f"task {shell} is the shell (try help)")
    status = yield WaitTask(shell)
    return status.value if status.ok else 1


def say(start: float, line: str) -> Program:
    """One line of the boot log, with seconds since init started."""
    now = yield GetTime()
    print(f"[{now - start:8.4f}] {line}")
