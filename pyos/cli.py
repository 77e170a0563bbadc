"""The command line: `python -m pyos boot PROGRAM [ARG...]`, `python -m pyos man [TRAP]`.

Exit code: init's integer value (None is 0), 1 for an uncaught error, 2 for anything that fails before the first step,
3 for a deadlock, 128+n when signal n ended it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

import pyos
from pyos.errors import Deadlock, ProgramError
from pyos.host import signals_handled
from pyos.kernel.kernel import Kernel, exit_code, log_to_stderr
from pyos.kernel.loader import Loader
from pyos.kernel.poller import BACKENDS
from pyos.kernel.watchdog import watching
from pyos.limits import Limits
from pyos.manual import page
from pyos.observe.debug import Unyielded
from pyos.observe.strace import Strace


class UsageError(Exception):
    """Something failed before the first step; the message is one line, `details` go before it."""

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.details = details


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")


def parser() -> Parser:
    """The command line's grammar."""
    top = Parser(prog="pyos", description="An operating system for generators.")
    top.add_argument("--version", action="version", version=f"pyos {pyos.__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    boot = commands.add_parser("boot", help="boot a program as init", description="Boot a program as init.")
    boot.add_argument("--poller", choices=list(BACKENDS), help="how to ask which descriptors are ready")
    boot.add_argument("--seed", help="seed of Random and Choose, a number or any text")
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
    boot.add_argument("args", nargs=argparse.REMAINDER, help="arguments for the program's main, as strings")
    boot.set_defaults(run=boot_program)
    man = commands.add_parser("man", help="explain a trap, or list them all", description="Explain a trap.")
    man.add_argument("trap", nargs="?", help="its name, for example Sleep")
    man.set_defaults(run=print_manual)
    return top


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
    try:
        if os.name != "posix":
            raise UsageError(f"pyos needs a POSIX system, and this is {os.name}")
        options = parser().parse_args(argv)
        code: int = options.run(options)
    except UsageError as error:
        sys.stderr.write(error.details)
        log_to_stderr(str(error))
        return 2
    return flush(code)


def flush(code: int) -> int:
    """Write out what is buffered; a reader that has gone is no error of ours."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def boot_program(options: argparse.Namespace) -> int:
    """Load a program, boot it as init, run until the system has shut down."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(line_buffering=True)  # services log as things happen, also into a pipe
    seed = int(options.seed) if options.seed and options.seed.isdigit() else options.seed
    unyielded = Unyielded(log_to_stderr)
    wrappers: list[Any] = [Strace().wrap] if options.strace else []
    wrappers += [unyielded.wrap] if options.debug else []
    home = os.path.dirname(os.path.abspath(options.program))
    loader = Loader(log_to_stderr, home)
    with contextlib.ExitStack() as stack:
        if options.debug:
            stack.enter_context(unyielded.watching())
        target = load(loader, options.program, options.args)
        limits = Limits(**dict(options.limit))
        kernel = stack.enter_context(
            Kernel(poller=options.poller, seed=seed, limits=limits, wrappers=wrappers, home=home)
        )
        kernel.spawn(target, name=stem(options.program), program=options.program)
        caught = stack.enter_context(signals_handled(kernel))
        stack.enter_context(watching(kernel))
        try:
            status = kernel.run()
        except Deadlock as error:
            log_to_stderr(f"deadlock: {error}")
            return 3
        assert status is not None
        if not isinstance(status.value, int | None):
            log_to_stderr(f"init ended with {status.value!r}, which is no exit code: 0 is reported")
        return exit_code(status, caught.signal)


def print_manual(options: argparse.Namespace) -> int:
    """Print a trap's manual page."""
    text = page(options.trap)
    if text is None:
        raise UsageError(f"there is no trap {options.trap} (see pyos man)")
    print(text)
    return 0


def load(loader: Loader, program: str, args: Sequence[str]) -> Any:
    """Load the program to boot; every way in which that can fail is a UsageError."""
    try:
        return loader.load(loader.find(program), args)
    except ProgramError as error:
        raise UsageError(str(error)) from None
    except SyntaxError as error:
        raise UsageError(f"{error.filename or program}:{error.lineno}: syntax error: {error.msg}") from None
    except (OSError, UnicodeDecodeError) as error:
        if loading_frames(error, program):
            raise failed_while_loading(error, program) from None
        raise UsageError(f"cannot boot {program}: {getattr(error, 'strerror', None) or error}") from None
    except (Exception, SystemExit) as error:
        raise failed_while_loading(error, program) from None


def loading_frames(error: BaseException, program: str) -> Any:
    """The part of a traceback that starts in the program."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_globals.get("__name__", "").startswith(("pyos.", "tokenize")):
        trace = trace.tb_next
    return trace if trace is not None and trace.tb_frame.f_globals.get("__file__") == program else None


def failed_while_loading(error: BaseException, program: str) -> UsageError:
    """An exception at the program's top level: its own traceback, then the line."""
    trace = loading_frames(error, program)
    details = "".join(traceback.format_exception(type(error), error, trace))
    return UsageError(f"cannot boot {program}: it raised {type(error).__name__} while loading", details)


def stem(path: str) -> str:
    """A program's name: its file's, without the ending."""
    return os.path.splitext(os.path.basename(path))[0]
