"""The command line: `python -m pyos boot PROGRAM [ARG...]`, `python -m pyos man [TRAP]`.

Exit code: init's integer value (None is 0), 1 for an uncaught error, 2 for anything that fails before the first step,
3 for a deadlock, 128+n when signal n ended it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

import pyos
from pyos.errors import Deadlock, ProgramError
from pyos.host import signals_handled
from pyos.kernel.kernel import Kernel, exit_code, log_to_stderr
from pyos.kernel.loader import Loader, trace_in
from pyos.kernel.poller import BACKENDS
from pyos.kernel.trampoline import describe
from pyos.kernel.watchdog import watching
from pyos.limits import Limits
from pyos.manual import page
from pyos.observe.debug import Unyielded
from pyos.observe.strace import Strace
from pyos.signals import Signal


class UsageError(Exception):
    """Something failed before the first step; the message is one line, `details` go before it."""

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(" ".join(message.split()))
        self.details = details


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")


def parser() -> Parser:
    """The command line's grammar."""
    top = Parser(prog="pyos", description="An operating system for generators.", allow_abbrev=False)
    top.add_argument("--version", action="version", version=f"pyos {pyos.__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    boot = commands.add_parser(
        "boot", help="boot a program as init", description="Boot a program as init.", allow_abbrev=False
    )
    boot.add_argument("--poller", choices=list(BACKENDS), help="how to ask which descriptors are ready")
    boot.add_argument("--seed", type=seed, help="seed of Random and Choose, a number or any text")
    boot.add_argument(
        "--limit",
        action="append",
        type=limit,
        metavar="NAME=VALUE",
        default=[],
        help=f"bound the system, several times if need be: {', '.join(Limits._fields)}",
    )
    boot.add_argument(
        "--max-slice",
        action="append",
        type=max_slice,
        metavar="SECONDS",
        dest="limit",
        help="raise SliceExceeded in a task that does not let others run for so long (--limit max_slice=SECONDS)",
    )
    boot.add_argument("--strace", action="store_true", help="print each trap with its result on standard error")
    boot.add_argument("--debug", action="store_true", help="report traps that were built and never yielded")
    boot.add_argument("program", help="a Python file with a main that is a generator or async function")
    args = boot.add_argument("args", nargs=argparse.REMAINDER, help="arguments for the program's main, as strings")
    args.required = False  # else argparse names it as missing beside the program
    boot.set_defaults(run=boot_program)
    man = commands.add_parser("man", help="explain a trap, or list them all", description="Explain a trap.")
    man.add_argument("trap", nargs="?", help="its name, for example Sleep")
    man.set_defaults(run=print_manual)
    return top


def seed(text: str) -> int | str:
    """A seed as it was given: a number, or any text."""
    try:
        return int(text)
    except ValueError:
        return text


def limit(text: str) -> tuple[str, Any]:
    """One of the limits, given as `name=value`."""
    name, equals, value = text.partition("=")
    if not equals or name not in Limits._fields:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE with one of {', '.join(Limits._fields)}")
    return checked(name, value)


def max_slice(text: str) -> tuple[str, Any]:
    """The limit of that name."""
    return checked("max_slice", text)


def checked(name: str, text: str) -> tuple[str, Any]:
    """The limit's name and value."""
    kind, what = (float, "a number of seconds") if name == "max_slice" else (int, "a whole number")
    try:
        value: Any = kind(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{name} is {what}, not {text!r}") from None
    try:
        Limits(**{name: value}).checked()
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return name, value


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; answers the exit code."""
    open_standard_files()
    code: int
    try:
        options = parser().parse_args(argv)
        code = options.run(options)
    except UsageError as error:
        with contextlib.suppress(OSError):
            sys.stderr.write(error.details)
        log_to_stderr(str(error))
        code = 2
    except KeyboardInterrupt:  # before the kernel took the signal over, or after it gave it back
        code = 128 + signal.SIGINT
    except SystemExit as done:  # --help and --version
        code = int(done.code or 0)
    return write_out(code)


def open_standard_files() -> None:
    """Give each of the descriptors 0 to 2 that is closed to /dev/null, before a socket gets its number."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            fd = os.open(os.devnull, os.O_RDWR)  # the lowest free number: the one that is missing
            setattr(sys, name, os.fdopen(fd, "w" if fd else "r"))


def write_out(code: int, text: str = "") -> int:
    """Write what is buffered, and `text`; answers the exit code. A reader that has gone is no error of ours."""
    for stream, rest in ((sys.stderr, ""), (sys.stdout, text)):
        try:
            stream.write(rest)
            stream.flush()
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # else the interpreter tries again at its end
            if stream is sys.stdout and not isinstance(error, BrokenPipeError):
                log_to_stderr(f"cannot write to standard output: {error.strerror}")
                code = code or 1
    return code


def boot_program(options: argparse.Namespace) -> int:
    """Load a program, boot it as init, run until the system has shut down."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(line_buffering=True)  # services log as things happen, also into a pipe
    unyielded = Unyielded(log_to_stderr)
    wrappers: list[Any] = [Strace().wrap] if options.strace else []
    wrappers += [unyielded.wrap] if options.debug else []
    with contextlib.ExitStack() as stack:
        if options.debug:
            stack.enter_context(unyielded.watching())
        path, target = load(options.program, options.args)
        raise_descriptor_limit()
        limits = Limits(**dict(options.limit))
        kernel = stack.enter_context(
            Kernel(poller=options.poller, seed=options.seed, limits=limits, wrappers=wrappers, home=home_of(path))
        )
        kernel.spawn(target, name=stem(path), program=path)
        caught = stack.enter_context(signals_handled(kernel))
        stack.enter_context(watching(kernel))
        try:
            status = kernel.run()
        except Deadlock as error:
            log_to_stderr(f"deadlock: {error}")
            return 3
        assert status is not None
        if not isinstance(status.value, int | None):
            log_to_stderr(f"init ended with {describe(status.value)}, which is no exit code: 0 is reported")
        return exit_code(status, Signal.TERM if caught.terminated else None)


def raise_descriptor_limit() -> None:
    """Allow as many descriptors as the system lets us have: the usual soft limit is there for `select`'s sake."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # some systems call their limit infinite, and take less
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def print_manual(options: argparse.Namespace) -> int:
    """Print a trap's manual page."""
    text = page(options.trap)
    if text is None:
        raise UsageError(f"there is no trap {options.trap} (see pyos man)")
    return write_out(0, text + "\n")


def load(program: str, args: Sequence[str]) -> tuple[str, Any]:
    """Load the program to boot: its path, and its generator or coroutine. Every failure is a UsageError."""
    loader = Loader(log_to_stderr)
    try:
        path = loader.find(program)
    except OSError as error:
        raise UsageError(f"cannot boot {program}: {error.strerror}") from None
    loader.home = home_of(path)
    try:
        return path, loader.load(path, args)
    except ProgramError as error:
        raise UsageError(str(error)) from None
    except (Exception, SystemExit) as error:
        trace = trace_in(path, error)
        if trace is None:
            raise UsageError(unreadable(path, error)) from None
        details = "".join(traceback.format_exception(type(error), error, trace))
        raise UsageError(f"cannot boot {path}: it raised {type(error).__name__} while loading", details) from None


def unreadable(path: str, error: BaseException) -> str:
    """What to say of a file that did not get as far as running."""
    if isinstance(error, SyntaxError):
        where = f"{error.filename or path}:{error.lineno}" if error.lineno else path
        return f"{where}: syntax error: {error.msg}"
    return f"cannot boot {path}: {getattr(error, 'strerror', None) or error}"


def home_of(path: str) -> str:
    """The folder of a program."""
    return os.path.dirname(os.path.abspath(path))


def stem(path: str) -> str:
    """A program's name: its file's, without the ending."""
    return os.path.splitext(os.path.basename(path))[0]
