"""sh: a small shell. With a terminal it prompts; from a pipe it executes the lines and ends with the last status."""

import os
import shlex
import sys
import traceback

from pyos import (
    INT,
    KILL,
    TERM,
    Exec,
    ExitStatus,
    Foreground,
    GetTid,
    KillTask,
    Program,
    ProgramError,
    Signal,
    TaskInfo,
    TaskKilled,
    Tasks,
    WaitTask,
)
from pyos.lib.console import LineReader
from pyos.lib.exits import ending, exit_code, last_words
from pyos.lib.ps import table

PROMPT = "pyos$ "
NOT_RUNNABLE, NOT_FOUND = 126, 127  # as in other shells
MOST = 255  # of a process's exit status
DIGITS = 18  # of a number that is typed; Python converts no more than 4300


def main() -> Program:
    shell = Shell()
    interactive = os.isatty(0)
    try:
        with LineReader() as lines:
            yield shell.serve(lines, PROMPT if interactive else "")
    finally:
        if interactive and not shell.ended:
            print()  # the cursor stands behind a prompt, or a ^C
    return shell.status


class Shell:
    """What one shell knows: its last status, and its commands (the methods named do_...)."""

    def __init__(self) -> None:
        self.status = 0
        self.ended = False
        self.foreground: tuple[int, ...] = ()  # who has the terminal when no job does: a shell with a prompt
        self.jobs: set[int] = set()  # in the background, and not known to have ended
        self.announced: dict[int, int] = {}  # the codes of those that have, until somebody waits for them

    def serve(self, lines: LineReader, prompt: str) -> Program:
        """Execute lines until they end, or `exit` does. With a prompt, an interrupt only leads to the next one."""
        if prompt:
            self.foreground = ((yield GetTid()),)
            yield Foreground(*self.foreground)
        while not self.ended:
            try:
                yield self.announce()
                print(prompt, end="", flush=True)
                line = yield lines.readline()
                if not line:
                    break
                yield self.execute(line)
            except TaskKilled as killed:
                if killed.signal is not INT or not prompt:
                    raise
                self.status = 128 + INT
                print()

    def announce(self) -> Program:
        """Say which jobs have ended since the last line."""
        if self.jobs:
            for ended in [t.tid for t in (yield Tasks()) if t.tid in self.jobs and t.state == "zombie"]:
                status = yield WaitTask(ended)
                print(f"[{ended}] {status.name} {ending(status)}")  # what it died of was logged when it did
                self.jobs.discard(ended)
                self.announced[ended] = exit_code(status)

    def execute(self, line: str) -> Program:
        """Run one line; its status is kept."""
        try:
            if words := split(line):
                command = getattr(self, f"do_{words[0]}", None)
                self.status = yield (command(*words[1:]) if command else self.do_run(*words))
        except Failure as failure:
            complain(str(failure))
            self.status = failure.status

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
            raise Failure("usage: kill [-SIGNAL] TID...")
        status = 0
        for tid in map(a_tid, names):
            if tid == 1 and signal in (TERM, INT, KILL):
                print("task 1 is init: when it ends, the system shuts down")
            if not (yield KillTask(tid, signal, reason="kill from the shell")):
                complain(f"there is no task {tid}")
                status = 1
        return status

    def do_run(self, *args: str) -> Program:
        """run PROGRAM [ARG...] [&]  run a program, in the background with &"""
        words = list(args)
        background = bool(words) and words[-1] == "&"
        if background:
            words.pop()
        if not words:
            raise Failure("usage: run PROGRAM [ARG...] [&]")
        tid = yield self.start(*words)
        if background:
            self.jobs.add(tid)
            print(f"[{tid}]")
            return 0
        status = yield self.in_foreground(tid)
        if status.signal is not None and self.foreground:
            print()  # behind the ^C that the terminal may have shown
        if not status.ok or not issubclass(type(status.value), int | type(None)):  # a number says it all by itself
            complain(f"task {tid} ({status.name}) {ending(status)}\n{last_words(status)}".rstrip())
        return exit_code(status)

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
        """The tid of a new task that runs the program."""
        for path in (name, f"{name}.py", f"bin/{name}.py"):
            try:
                return (yield Exec(path, *args))
            except Exception as error:
                if not (isinstance(error, FileNotFoundError) and error.filename == path):
                    raise Failure(reason(path, error), NOT_RUNNABLE) from None
        raise Failure(f"no such command or program: {name} (try help)", NOT_FOUND)

    def do_wait(self, *args: str) -> Program:
        """wait [TID]                wait for a task, or for all started from here"""
        me = yield GetTid()
        if args:
            tid = a_tid(args[0])
            if tid == me:
                raise Failure("a shell cannot wait for itself")
            if tid in ancestors(me, (yield Tasks())):
                raise Failure(f"task {tid} will not end before this shell, which it has started")
            if tid in self.announced:
                return self.announced.pop(tid)
            status = yield WaitTask(tid)
            if status is None:
                raise Failure(f"there is no task {tid}", NOT_FOUND)
            self.jobs.discard(tid)
            return report(status)
        codes = list(self.announced.values())
        self.announced.clear()
        while (status := (yield WaitTask())) is not None:
            codes.append(report(status))
            self.jobs.discard(status.tid)
        return codes[-1] if codes else 0

    def do_exit(self, *args: str) -> Program:
        """exit [STATUS]             leave the shell, which shuts the system down"""
        if args[1:] or not all(map(str.isdecimal, args)):
            raise Failure("usage: exit [STATUS]")
        if args and (len(args[0]) > DIGITS or int(args[0]) > MOST):
            raise Failure(f"an exit status is at most {MOST}")
        self.ended = True
        return int(args[0]) if args else self.status
        yield


class Failure(Exception):
    """What a command cannot do, and its status then; 2 for one that was used wrongly."""

    def __init__(self, message: str, status: int = 2) -> None:
        super().__init__(message)
        self.status = status


def split(line: str) -> list[str]:
    """The words of a line, a last & as one of its own (`sleep 1&`)."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError as error:
        raise Failure(str(error)) from None
    if words and len(words[-1]) > 1 and words[-1].endswith("&"):
        words[-1:] = [words[-1][:-1], "&"]
    return words


def a_tid(text: str) -> int:
    if not text.isdecimal():
        raise Failure(f"a tid is a number, not {text}")
    if len(text) > DIGITS:
        raise Failure(f"a tid has at most {DIGITS} digits")
    return int(text)


def ancestors(tid: int, tasks: list[TaskInfo]) -> set[int]:
    """Those that a task descends from."""
    parents = {task.tid: task.parent for task in tasks}
    found = set()
    while tid := parents.get(tid, 0):
        found.add(tid)
    return found


def signal_named(text: str) -> Signal:
    """The signal for a name (TERM, SIGTERM) or number."""
    for signal in Signal:
        if text.upper() in (signal.name, f"SIG{signal.name}", str(int(signal))):
            return signal
    raise Failure(f"no signal {text}: there are {', '.join(signal.name for signal in Signal)}")


def report(status: ExitStatus) -> int:
    """Say how a task in the background ended."""
    print(f"[{status.tid}] {status.name} {ending(status)}")
    sys.stderr.write(last_words(status))
    return exit_code(status)


def reason(path: str, error: Exception) -> str:
    """Why a program cannot be run; with the program's own traceback, if that is where it failed."""
    if isinstance(error, ProgramError):
        return str(error)
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}: syntax error: {error.msg}"
    trace = error.__traceback__ and error.__traceback__.tb_next  # below the shell's own line
    if trace is None:
        return f"cannot run {path}: {getattr(error, 'strerror', None) or error}"
    lines = "".join(traceback.format_exception(type(error), error, trace))
    return f"{path} raised {type(error).__name__} while loading\n{lines}".rstrip()


def complain(message: str) -> None:
    print(f"sh: {message}", file=sys.stderr)
