"""sh: a small shell. With a terminal it prompts; from a pipe it executes the lines and ends with the last status."""

import os
import shlex
import sys

from pyos import (
    INT,
    Exec,
    ExitStatus,
    Foreground,
    GetTid,
    KillTask,
    Program,
    ProgramError,
    Signal,
    TaskKilled,
    Tasks,
    WaitTask,
)
from pyos.lib.console import LineReader
from pyos.lib.ps import table

PROMPT = "pyos$ "
NOT_FOUND = 127


def main() -> Program:
    shell = Shell()
    lines = LineReader()
    interactive = os.isatty(0)
    if interactive:
        yield shell.take_foreground()
    while not shell.ended:
        try:
            if interactive:
                print(PROMPT, end="", flush=True)
            line = yield lines.readline()
            if not line:
                if interactive:
                    print()
                break
            yield shell.execute(line)
        except TaskKilled as killed:
            if killed.signal is not INT or not interactive:
                raise
            shell.status = 128 + INT
            print()
    return shell.status


class Shell:
    """What one shell knows: its last status, and its commands (the methods named do_...)."""

    def __init__(self) -> None:
        self.status = 0
        self.ended = False
        self.foreground: tuple[int, ...] = ()  # who has the terminal when no job does: a shell with a prompt

    def take_foreground(self) -> Program:
        """Have the terminal's interrupts sent to this shell."""
        self.foreground = ((yield GetTid()),)
        yield Foreground(*self.foreground)

    def execute(self, line: str) -> Program:
        """Run one line; its status is kept."""
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            self.status = complain(f"{error}", 2)
            return
        if not words:
            return
        command = getattr(self, f"do_{words[0]}", None)
        try:
            if command is not None:
                self.status = yield command(*words[1:])
            else:
                self.status = yield self.do_run(*words)
        except UsageError as error:
            self.status = complain(str(error), 2)

    def do_help(self, *args: str) -> Program:
        """help                      this list"""
        for name in sorted(vars(Shell)):
            if name.startswith("do_"):
                print(f"  {getattr(self, name).__doc__}")
        print("  PROGRAM [ARG...] [&]      the same as run, also for programs of userland/bin by name")
        return 0
        yield

    def do_ps(self, *args: str) -> Program:
        """ps                        every task: what it is and what it waits for"""
        print(table((yield Tasks())), end="")
        return 0

    def do_kill(self, *args: str) -> Program:
        """kill [-SIGNAL] TID...     send tasks a signal, TERM if none is given"""
        names = list(args)
        signal = Signal.TERM
        if names and names[0].startswith("-"):
            signal = signal_named(names.pop(0)[1:])
        if not names:
            raise UsageError("usage: kill [-SIGNAL] TID...")
        status = 0
        for tid in map(a_tid, names):
            if not (yield KillTask(tid, signal, reason="kill from the shell")):
                status = complain(f"there is no task {tid}", 1)
        return status

    def do_run(self, *args: str) -> Program:
        """run PROGRAM [ARG...] [&]  run a program, in the background with &"""
        words = list(args)
        background = bool(words) and words[-1] == "&"
        if background:
            words.pop()
        if not words:
            raise UsageError("usage: run PROGRAM [ARG...] [&]")
        tid = yield self.start(*words)
        if tid is None:
            return NOT_FOUND
        if background:
            print(f"[{tid}]")
            return 0
        status = yield self.in_foreground(tid)
        if status.signal is not None and self.foreground:
            print()  # the terminal may have shown ^C
        return code_of(status)

    def in_foreground(self, tid: int) -> Program:
        """Wait for a job that has the terminal's interrupts. They come here as well, in case it is dead by then."""
        yield Foreground(tid, (yield GetTid()))
        try:
            while True:
                try:
                    return (yield WaitTask(tid))
                except TaskKilled as killed:
                    if killed.signal is not INT:
                        raise
        finally:
            yield Foreground(*self.foreground)

    def start(self, name: str, *args: str) -> Program:
        """The tid of a new task that runs the program, or None after saying why not."""
        for path in (name, f"{name}.py", f"bin/{name}.py"):
            try:
                return (yield Exec(path, *args))
            except (FileNotFoundError, IsADirectoryError):
                continue
            except (ProgramError, SyntaxError, OSError) as error:
                complain(str(error), 1)
                return None
            except Exception as error:
                complain(f"{path} raised {type(error).__name__} while loading: {error}", 1)
                return None
        complain(f"no such command or program: {name} (try help)", NOT_FOUND)
        return None

    def do_wait(self, *args: str) -> Program:
        """wait [TID]                wait for a task, or for all started from here"""
        me = yield GetTid()
        if args:
            tid = a_tid(args[0])
            if tid == me:
                raise UsageError("a shell cannot wait for itself")
            status = yield WaitTask(tid)
            if status is None:
                return complain(f"there is no task {tid}", NOT_FOUND)
            return report(status)
        code = 0
        while (status := (yield WaitTask())) is not None:
            code = report(status)
        return code

    def do_exit(self, *args: str) -> Program:
        """exit [STATUS]             leave the shell, which shuts the system down"""
        self.ended = True
        if not args:
            return self.status
        if not args[0].isdigit():
            raise UsageError("usage: exit [STATUS]")
        return int(args[0])
        yield


class UsageError(Exception):
    """A command was used wrongly."""


def a_tid(text: str) -> int:
    if not text.isdigit():
        raise UsageError(f"a tid is a number, not {text}")
    return int(text)


def signal_named(text: str) -> Signal:
    """The signal for a name (TERM, SIGTERM) or number."""
    for signal in Signal:
        if text.upper() in (signal.name, f"SIG{signal.name}", str(int(signal))):
            return signal
    raise UsageError(f"no signal {text}: there are {', '.join(signal.name for signal in Signal)}")


def code_of(status: ExitStatus) -> int:
    """An exit status as a number, as in other shells."""
    if status.signal is not None:
        return 128 + status.signal
    if status.error is not None:
        return complain(f"task {status.tid} ({status.name}): {type(status.error).__name__}: {status.error}", 1)
    return status.value if isinstance(status.value, int) else 0


def report(status: ExitStatus) -> int:
    """Say how a task in the background ended."""
    code = code_of(status)
    how = f"killed by {status.signal.name}" if status.signal else f"ended with {code}"
    print(f"[{status.tid}] {status.name} {how}")
    return code


def complain(message: str, status: int) -> int:
    print(f"sh: {message}", file=sys.stderr)
    return status
