"""Checks a learner's file, in a process of its own with a limited time: whatever the file does, there is an end.

The process says on its standard output, line by line, which check begins and what is wrong. What the learner's file
prints goes to standard error instead. A check that does not come back is a failure like any other, and ends the rest.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from types import ModuleType
from typing import Any

from pyos.lessons import checks_flow, checks_system, checks_tasks
from pyos.lessons.checks_flow import Failed

CHECKS = {**checks_flow.CHECKS, **checks_tasks.CHECKS, **checks_system.CHECKS}
CPU = 5  # seconds of a processor that all checks of a file may take together
MEMORY = 2 << 30  # bytes of address space
WALL = 20.0  # seconds until a file that waits for something is given up
PACKAGES = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # where this pyos is


def failures(number: str, path: str, cpu: int = CPU, wall: float = WALL) -> list[str]:
    """What is wrong with the file as a solution of lesson `number`: a line for each failed check, none if it passed."""
    command = [sys.executable, "-m", "pyos.lessons.checker", number, path, str(cpu)]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, env=environment())
        try:
            code: int | None = process.wait(wall)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            process.kill()
            process.wait()
        said.seek(0)
        reports = [json.loads(line) for line in said if line.endswith("\n")]
    lines = [report["fail"] for report in reports if "fail" in report]
    if reports and "done" in reports[-1]:
        return lines
    begun = [report["begin"] for report in reports if "begin" in report]
    return [*lines, f"{path}: {begun[-1] if begun else 'its check'}: {why_it_ended(code, cpu, wall)}"]


def environment() -> dict[str, str]:
    """The environment of a process that uses this pyos, wherever it is."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [PACKAGES, os.environ.get("PYTHONPATH")]))}


def why_it_ended(code: int | None, cpu: int, wall: float) -> str:
    """What to say of a file whose checks have not come to their end; None for one that was given up."""
    if code == -signal.SIGXCPU:
        return f"it ran for {cpu} s and did not come back: a loop that never yields, or never ends?"
    if code is None:
        return f"it waited for {wall:.0f} s and did not come back: what does it wait for?"
    return f"it ended the whole process (exit code {code})"


# --- in the process of its own


def main(number: str, path: str, cpu: str) -> None:
    """Check the file and report; ends the process, with whatever threads the file has left."""
    report_to = os.dup(1)
    os.dup2(2, 1)
    resource.setrlimit(resource.RLIMIT_CPU, (int(cpu), int(cpu) + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError, ValueError):  # not every system has this limit
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))

    def report(**what: Any) -> None:
        os.write(report_to, (json.dumps(what) + "\n").encode())

    report(begin="it is loaded")
    module = loaded(path, report)
    needed, checks = CHECKS[number]
    missing = [name for name in needed if not callable(getattr(module, name, None))]
    if module is not None and missing:
        report(fail=f"{path}: there is no {' and no '.join(missing)} in it, which the exercise asks for")
    for title, check in checks.items():
        if module is None or missing:
            break
        report(begin=title)
        try:
            check(module)
        except Failed as failure:
            report(fail=f"{path}: {title}: {' '.join(str(failure).splitlines())}")
        except BaseException as error:  # SystemExit and KeyboardInterrupt among them
            report(fail=f"{path}: {title}: {described(path, error)}")
    report(done=True)
    os._exit(0)


def loaded(path: str, report: Any) -> ModuleType | None:
    """The file as a module; None after a report of what is wrong with it."""
    module = ModuleType("solution")  # not by its file's name: that may be the name of a module of Python's
    module.__file__ = path
    sys.modules[module.__name__] = module  # dataclasses look for the module of their class
    try:
        with open(path, "rb") as file:
            exec(compile(file.read(), path, "exec", dont_inherit=True), module.__dict__)
    except SyntaxError as error:
        report(fail=f"{error.filename or path}:{error.lineno or 1}: syntax error: {error.msg}")
    except ValueError as error:  # null bytes, in Python 3.11
        report(fail=f"{path}: it cannot be loaded: {error}")
    except BaseException as error:
        report(fail=f"{path}: it cannot be loaded: {described(path, error)}")
    else:
        return module
    return None


def described(path: str, error: BaseException) -> str:
    """An error in one line, with the last line of the file that it went through."""
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == path:
            line = trace.tb_lineno
        trace = trace.tb_next
    text = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    return f"it raised {text.removesuffix(':')}" + (f" (line {line})" if line else "")


if __name__ == "__main__":
    main(*sys.argv[1:])
