"""The command line: `python -m pyos boot PROGRAM [ARG...]`, `check PROGRAM [ARG...]`, `man [TRAP]`, `lesson`, `new`.

Exit code of boot: init's integer value modulo 256 (None is 0), 1 for an uncaught error, 2 for what fails before the
first step, 3 for a deadlock, 128+n when signal n ended it. That of check: 0 nothing found, 1 a failure, 2 as above.

Who reads the standard output may go before its end, as `head` does. Of what pyos prints itself that changes nothing. A
task that prints has BrokenPipeError raised; an init that ends by it, ends boot without a word, and with 128+SIGPIPE
(141), as such a signal would.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import signal
import sys
from collections.abc import Sequence
from typing import Any

import pyos
from pyos.check import command
from pyos.errors import Deadlock
from pyos.host import signals_handled
from pyos.kernel.kernel import Kernel, exit_code, log_to_stderr
from pyos.kernel.loader import Loader
from pyos.kernel.poller import BACKENDS, has_no_reader
from pyos.kernel.tracebacks import describe
from pyos.kernel.watchdog import watching
from pyos.lessons.commands import add_commands
from pyos.limits import Limits
from pyos.manual import page
from pyos.observe.debug import Unyielded
from pyos.observe.strace import Strace
from pyos.signals import Signal
from pyos.usage import Parser, UsageError, loaded

EXIT_CODES = """\
exit code:
  0 to 255  the integer that the program's main returns, modulo 256 (None, or what is no integer: 0)
  1         an error that it did not catch
  2         the command line is wrong, or the program cannot be loaded
  3         a deadlock: nothing could ever run again
  128+n     ended by signal n (130: Ctrl-C, 143: TERM)"""


def parser() -> Parser:
    """The command line's grammar."""
    top = Parser(prog="pyos", description="An operating system for generators.", allow_abbrev=False)
    top.add_argument("--version", action="version", version=f"pyos {pyos.__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    boot = commands.add_parser(
        "boot",
        help="boot a program as init",
        description="Boot a program as init. Options go before the program; what comes after it is the program's own.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
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
    own = {name for action in boot._actions for name in action.option_strings} - {"-h", "--help"}
    boot.set_defaults(run=boot_program, own=own)
    command.add_to(commands)
    man = commands.add_parser(
        "man",
        help="explain a trap or an object like Lock, or list them all",
        description="Explain a trap, or an object that tasks share.",
    )
    man.add_argument("trap", nargs="?", metavar="NAME", help="its name, for example Sleep or Lock")
    man.set_defaults(run=print_manual)
    add_commands(commands)
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
        except Exception:  # a task has closed it, or put another in its place
            continue
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
        loader = Loader(log_to_stderr)

        def load(path: str) -> Any:
            hint_at_misplaced(options.own, options.args, path)
            return loader.load(path, options.args)

        path, target = loaded(loader, options.program, load)
        raise_descriptor_limit()
        home = os.path.dirname(os.path.abspath(path))
        limits = Limits(**dict(options.limit))
        kernel = stack.enter_context(
            Kernel(poller=options.poller, seed=options.seed, limits=limits, wrappers=wrappers, home=home)
        )
        kernel.host_takes_error = nobody_reads
        kernel.spawn(target, name=stem(path), program=path)
        caught = stack.enter_context(signals_handled(kernel))
        stack.enter_context(watching(kernel))
        try:
            status = kernel.run()
        except Deadlock as error:
            log_to_stderr(f"deadlock: {error}")
            return 3
        assert status is not None
        if status.signal in (Signal.TERM, Signal.KILL) and caught.signal is None:
            log_to_stderr(f"init was killed by {status.signal.name}, which ended the system")
        if status.error is not None and not caught.terminated and nobody_reads(status.error):
            return 128 + signal.SIGPIPE
        if status.value is not None and not issubclass(type(status.value), int):
            if kernel.init_called_sys_exit:
                say_as_python(status.value)
                return exit_code(status, Signal.TERM) if caught.terminated else 1
            log_to_stderr(f"init ended with {describe(status.value)}, which is no exit code: 0 is reported")
        return exit_code(status, Signal.TERM if caught.terminated else None)


def nobody_reads(error: BaseException) -> bool:
    """True for the error of printing to a standard output whose reader has gone."""
    if type(error) is not BrokenPipeError:
        return False
    try:
        return has_no_reader(sys.stdout.fileno())
    except (OSError, ValueError, AttributeError):  # a task has closed it, or put another in its place
        return False


def hint_at_misplaced(own: set[str], args: Sequence[str], path: str) -> None:
    """Say in one line which of boot's own options the program was given, if it does not look as if it knew them."""
    with open(path, "rb") as file:
        source = file.read().decode(errors="replace")
    given = dict.fromkeys(arg.partition("=")[0] for arg in args)
    wrong = [name for name in given if name in own and f'"{name}"' not in source and f"'{name}'" not in source]
    if wrong:
        log_to_stderr(
            f"hint: the program is given {', '.join(wrong)}; options of boot go before it: boot {wrong[0]} {path}"
        )


def say_as_python(message: Any) -> None:
    """Print the argument of `sys.exit` that is no exit code. It may be one that cannot be printed."""
    with contextlib.suppress(Exception):
        print(message, file=sys.stderr)


def raise_descriptor_limit() -> None:
    """Allow as many descriptors as the system lets us have: the usual soft limit is there for `select`'s sake."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # some systems call their limit infinite, and take less
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def print_manual(options: argparse.Namespace) -> int:
    """Print the manual page of a trap, or of an object that tasks share."""
    text = page(options.trap)
    if text is None:
        raise UsageError(f"there is no trap or object {options.trap} (see pyos man)")
    return write_out(0, text + "\n")


def stem(path: str) -> str:
    """A program's name: its file's, without the ending."""
    return os.path.splitext(os.path.basename(path))[0]
