"""The command line: `python -m pyos boot PROGRAM [ARG...]`, `check PROGRAM [ARG...]`, `man [TRAP]`.

Exit code of boot: init's integer value (None is 0), 1 for an uncaught error, 2 for anything that fails before the first
step, 3 for a deadlock, 128+n when signal n ended it. That of check: 0 nothing found, 1 a failure, 2 as above.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import pyos
from pyos.check import command
from pyos.errors import Deadlock
from pyos.host import signals_handled
from pyos.kernel.kernel import Kernel, exit_code, log_to_stderr
from pyos.kernel.loader import Loader
from pyos.kernel.poller import BACKENDS
from pyos.manual import page
from pyos.observe.debug import Unyielded
from pyos.observe.strace import Strace
from pyos.usage import Parser, UsageError, loaded


def parser() -> Parser:
    """The command line's grammar."""
    top = Parser(prog="pyos", description="An operating system for generators.")
    top.add_argument("--version", action="version", version=f"pyos {pyos.__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    boot = commands.add_parser("boot", help="boot a program as init", description="Boot a program as init.")
    boot.add_argument("--poller", choices=list(BACKENDS), help="how to ask which descriptors are ready")
    boot.add_argument("--seed", help="seed of Random and Choose, a number or any text")
    boot.add_argument("--strace", action="store_true", help="print each trap with its result on standard error")
    boot.add_argument("--debug", action="store_true", help="report traps that were built and never yielded")
    boot.add_argument("program", help="a Python file with a main that is a generator or async function")
    boot.add_argument("args", nargs=argparse.REMAINDER, help="arguments for the program's main, as strings")
    boot.set_defaults(run=boot_program)
    command.add_to(commands)
    man = commands.add_parser("man", help="explain a trap, or list them all", description="Explain a trap.")
    man.add_argument("trap", nargs="?", help="its name, for example Sleep")
    man.set_defaults(run=print_manual)
    return top


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
        target = loaded(options.program, lambda: loader.load(loader.find(options.program), options.args))
        kernel = stack.enter_context(Kernel(poller=options.poller, seed=seed, wrappers=wrappers, home=home))
        kernel.spawn(target, name=stem(options.program), program=options.program)
        caught = stack.enter_context(signals_handled(kernel))
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


def stem(path: str) -> str:
    """A program's name: its file's, without the ending."""
    return os.path.splitext(os.path.basename(path))[0]
