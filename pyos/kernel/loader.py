"""A program file becomes a generator: find it, check it, run its top level, call its `main`.

Userland may import anything but `pyos.kernel`. That is a guard rail, not a sandbox: the source is searched for every
static spelling, and while a program's top level runs, the import functions refuse it too.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import importlib.util
import inspect
import os
import tokenize
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import CodeType, CoroutineType, GeneratorType, ModuleType
from typing import Any

import pyos
from pyos import traps
from pyos.errors import ProgramError

FORBIDDEN = "pyos.kernel"
PACKAGE = os.path.dirname(os.path.abspath(pyos.__file__))  # an installed pyos has userland/ in it
TRAP_NAMES = frozenset(
    name for name, kind in vars(traps).items() if isinstance(kind, type) and issubclass(kind, traps.Trap)
)


class Loader:
    """Loads programs; `home` is the folder of the booted program, searched after the current one."""

    def __init__(self, log: Callable[[str], None], home: str | None = None) -> None:
        self.log = log
        self.home = home

    def find(self, path: str) -> str:
        """The program's path: from here, the booted program's folder, or what pyos ships. OSError if there is none."""
        tries = [path]
        if not os.path.isabs(path):
            tries += [shorter(os.path.join(folder, path)) for folder in (self.home, PACKAGE) if folder is not None]
        found = next(filter(os.path.exists, tries), None)
        if found is None:
            raise FileNotFoundError(2, "no such program", path)
        if os.path.isdir(found):
            raise IsADirectoryError(21, "a program is a file, and this is a directory", path)
        return found

    def load(self, path: str, argv: Sequence[Any]) -> Any:
        """Load the program in a fresh namespace and call `main(*argv)`; returns its generator or coroutine."""
        return self._call(self.main_of(path, self.compile(path)), path, argv)

    def compile(self, path: str) -> CodeType:
        """Read and check a program; its top level is still to be run."""
        with tokenize.open(path) as file:
            source = file.read()
        tree = ast.parse(source, path)
        check_imports(tree, path)
        for line, name in forgotten_yields(tree):
            self.log(f"warning: {path}:{line}: {name}(...) does nothing without yield: `yield {name}(...)`")
        code: CodeType = compile(tree, path, "exec")
        return code

    def main_of(self, path: str, code: CodeType) -> Any:
        """Run a program's top level in a fresh namespace; returns its `main`."""
        module = ModuleType(os.path.splitext(os.path.basename(path))[0])
        module.__file__ = path
        with _guarded_imports(path):
            exec(code, module.__dict__)
        main = getattr(module, "main", None)
        if main is None:
            raise ProgramError(f"{path} has no main: a program defines `def main(*argv)`", path=path)
        return main

    def _call(self, main: Any, path: str, argv: Sequence[Any]) -> Any:
        if not inspect.isgeneratorfunction(main) and not inspect.iscoroutinefunction(main):
            raise ProgramError(
                f"main in {path} is neither a generator nor an async function: it never yields to the kernel", path=path
            )
        check_arguments(main, path, argv)
        target = main(*argv)
        if type(target) not in (GeneratorType, CoroutineType):
            raise ProgramError(f"main in {path} returned {type(target).__name__}, not a generator or coroutine")
        return target


def check_arguments(main: Any, path: str, argv: Sequence[Any]) -> None:
    """Raise ProgramError if `main` does not take these arguments."""
    try:
        inspect.signature(main).bind(*argv)
    except TypeError as error:
        raise ProgramError(f"{path} cannot be called so: {error}; usage: main{inspect.signature(main)}") from None


def shorter(path: str) -> str:
    """A path as a person would write it from here."""
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative


def forbidden(name: str) -> bool:
    """True for `pyos.kernel` and what is in it."""
    return name == FORBIDDEN or name.startswith(FORBIDDEN + ".")


def refuse(path: str, line: int | None = None) -> ProgramError:
    where = path if line is None else f"{path}:{line}"
    return ProgramError(f"{where}: userland may not import pyos.kernel; it talks to the kernel by yielding traps")


def check_imports(tree: ast.AST, path: str) -> None:
    """Raise ProgramError for an import of the kernel anywhere in the source, also one inside a function."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names] + [node.module or ""]
        elif isinstance(node, ast.Attribute) and node.attr == "kernel":
            names = [FORBIDDEN] if isinstance(node.value, ast.Name) and node.value.id == "pyos" else []
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            names = [str(node.args[0].value)] if function in ("__import__", "import_module") else []
        if any(forbidden(name) for name in names):
            raise refuse(path, getattr(node, "lineno", None))


def forgotten_yields(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of each trap that is built as a bare statement, the commonest mistake."""
    names: dict[str, str] = {}
    modules: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in ("pyos", "pyos.traps"):
            names |= {a.asname or a.name: a.name for a in node.names if a.name in TRAP_NAMES}
        elif isinstance(node, ast.Import):
            modules |= {a.asname or a.name for a in node.names if a.name == "pyos"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            function = node.value.func
            if isinstance(function, ast.Name) and function.id in names:
                yield node.lineno, function.id
            elif (
                isinstance(function, ast.Attribute)
                and function.attr in TRAP_NAMES
                and isinstance(function.value, ast.Name)
                and function.value.id in modules
            ):
                yield node.lineno, f"{function.value.id}.{function.attr}"


@contextmanager
def _guarded_imports(path: str) -> Iterator[None]:
    """Refuse the kernel to the import functions while a program's top level runs (pyos itself may import it)."""
    real_import, real_module = builtins.__import__, importlib.import_module

    def checked_import(
        name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0
    ) -> ModuleType:
        asked = [name, *(f"{name}.{part}" for part in fromlist or ())]
        importer = (globals or {}).get("__name__") or ""
        if not level and any(map(forbidden, asked)) and importer.partition(".")[0] != "pyos":
            raise refuse(path)
        return real_import(name, globals, locals, fromlist, level)

    def checked_module(name: str, package: str | None = None) -> ModuleType:
        if forbidden(importlib.util.resolve_name(name, package) if package else name):
            raise refuse(path)
        return real_module(name, package)

    builtins.__import__ = checked_import
    importlib.import_module = checked_module
    try:
        yield
    finally:
        builtins.__import__ = real_import
        importlib.import_module = real_module
