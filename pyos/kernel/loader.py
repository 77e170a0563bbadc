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
import sys
import threading
from collections.abc import Callable, Container, Sequence
from types import CodeType, CoroutineType, FunctionType, GeneratorType, ModuleType, TracebackType
from typing import Any

from pyos import traps
from pyos.errors import ProgramError
from pyos.kernel.mistakes import mistakes, names_of_pyos

FORBIDDEN = "pyos.kernel"
PACKAGE = os.path.dirname(os.path.abspath(traps.__file__))  # an installed pyos has userland/ in it


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
        with open(path, "rb") as file:
            tree = parse(file.read(), path)
        check_imports(tree, path)
        for line, what in mistakes(tree):
            self.log(f"warning: {path}:{line}: {what}")
        code: CodeType = compile(tree, path, "exec", dont_inherit=True)
        return code

    def main_of(self, path: str, code: CodeType) -> Any:
        """Run a program's top level in a fresh namespace; returns its `main`."""
        module = ModuleType("userland." + os.path.splitext(os.path.basename(path))[0])
        module.__file__ = path
        with Guard(path, module):
            exec(code, module.__dict__)
        check_holdings(module, path)
        main = getattr(module, "main", None)
        if main is None:
            raise ProgramError(f"{path} has no main: a program defines `def main(*argv)`", path=path)
        return main

    def _call(self, main: Any, path: str, argv: Sequence[Any]) -> Any:
        if inspect.isasyncgenfunction(main):
            raise ProgramError(
                f"main in {path} is an async generator: in an async def, a trap is awaited and not yielded "
                "(`await Sleep(1)`)",
                path=path,
            )
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
        raise ProgramError(f"{path} cannot be called so: {error}; usage: {usage(main)}") from None


def shorter(path: str) -> str:
    """A path as a person would write it from here."""
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative


def usage(main: Any) -> str:
    """How a main is called, without its annotations."""
    signature = inspect.signature(main)
    parameters = [parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()]
    return f"main{signature.replace(parameters=parameters, return_annotation=signature.empty)}"


def parse(source: bytes, path: str) -> ast.Module:
    """The program's syntax tree. Whatever is wrong with the source is a SyntaxError with its file and line."""
    if b"\0" in source:
        line = source.count(b"\n", 0, source.index(b"\0")) + 1
        raise SyntaxError("source code cannot contain null bytes", (path, line, None, None))
    try:
        tree = compile(source, path, "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
    except SyntaxError as error:
        error.lineno = error.lineno or 1  # an encoding that cannot be has no line
        raise
    assert isinstance(tree, ast.Module)
    return tree


# --- the kernel is not for userland


def forbidden(name: str) -> bool:
    """True for `pyos.kernel` and what is in it."""
    return name == FORBIDDEN or name.startswith(FORBIDDEN + ".")


def refuse(path: str, line: int | None = None) -> ProgramError:
    """The error for an import of the kernel."""
    where = path if line is None else f"{path}:{line}"
    return ProgramError(f"{where}: userland may not import pyos.kernel; it talks to the kernel by yielding traps")


def check_imports(tree: ast.AST, path: str) -> None:
    """Raise ProgramError for an import of the kernel anywhere in the source, also one inside a function."""
    packages = names_of_pyos(tree)
    for node in ast.walk(tree):
        if any(map(forbidden, imported(node, packages))):
            raise refuse(path, getattr(node, "lineno", None))


def check_holdings(module: ModuleType, path: str) -> None:
    """Raise ProgramError if the program, once loaded, holds something of the kernel's, however it came by it."""
    for value in list(vars(module).values()):
        kind = value if isinstance(value, type | FunctionType) else type(value)
        if forbidden(value.__name__ if isinstance(value, ModuleType) else str(kind.__module__)):
            raise refuse(path)


def imported(node: ast.AST, packages: set[str]) -> list[str]:
    """The modules that a piece of source imports, or gets as an attribute of `pyos`, by their full names."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        # a program is in no package, so a relative import works only for one that plays to be in pyos
        module = ".".join(filter(None, ["pyos" if node.level else "", node.module]))
        return [module, *(f"{module}.{alias.name}" for alias in node.names)]
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in packages:
        return [f"pyos.{node.attr}"]
    if isinstance(node, ast.Call):
        function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
        texts = [a.value for a in arguments if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        if function in ("__import__", "import_module"):
            return [*texts, "".join(reversed(texts[:2]))]  # import_module(".kernel", "pyos")
    return []


class Guard:
    """While inside, this thread cannot import the kernel, unless pyos itself does; and the module is known by its name.

    (Dataclasses look for the module of their class.)
    """

    def __init__(self, path: str, module: ModuleType) -> None:
        self.path = path
        self.module = module
        self.name = module.__name__  # the program may change its own
        self.thread: int | None = None
        self.real_import = builtins.__import__
        self.real_module = importlib.import_module

    def __enter__(self) -> None:
        self.thread = threading.get_ident()
        sys.modules[self.name] = self.module
        builtins.__import__ = self.checked_import
        importlib.import_module = self.checked_module

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        forget((Guard.checked_import.__code__, Guard.checked_module.__code__), error)
        self.thread = None  # another thread's guard may have been put around this one, and keep it
        if builtins.__import__ == self.checked_import:
            builtins.__import__ = self.real_import
        if importlib.import_module == self.checked_module:
            importlib.import_module = self.real_module
        if sys.modules.get(self.name) is self.module:
            del sys.modules[self.name]

    def checked_import(
        self, name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0
    ) -> ModuleType:
        """In the place of `builtins.__import__`."""
        if self.thread == threading.get_ident() and not is_of_pyos(globals):
            package = package_of(globals) if level else ""
            full = importlib.util.resolve_name("." * level + name, package) if package else name
            if any(map(forbidden, [full, *(f"{full}.{part}" for part in fromlist or ())])):
                raise refuse(self.path)
        return self.real_import(name, globals, locals, fromlist, level)

    def checked_module(self, name: str, package: str | None = None) -> ModuleType:
        """In the place of `importlib.import_module`."""
        full = importlib.util.resolve_name(name, package) if package else name
        if self.thread == threading.get_ident() and forbidden(full):
            raise refuse(self.path)
        return self.real_module(name, package)


def is_of_pyos(namespace: Any) -> bool:
    """True for the globals of a module of pyos, and not of one that only calls itself so."""
    name = str((namespace or {}).get("__name__"))
    return name.partition(".")[0] == "pyos" and getattr(sys.modules.get(name), "__dict__", None) is namespace


def package_of(namespace: Any) -> str:
    """What relative imports in these globals are relative to; "" for nothing, as in a program."""
    return str(namespace.get("__package__") or str(namespace.get("__name__")).rpartition(".")[0])


# --- what is shown of an error while loading


def forget(codes: Container[CodeType], error: BaseException | None) -> None:
    """Take the frames that run these codes out of an error's traceback, and out of those of the errors behind it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        trace = error.__traceback__
        while trace is not None:
            while trace.tb_next is not None and trace.tb_next.tb_frame.f_code in codes:
                trace.tb_next = trace.tb_next.tb_next
            trace = trace.tb_next
        error = error.__cause__ or error.__context__


def trace_in(path: str, error: BaseException) -> TracebackType | None:
    """The part of a traceback that starts in the program; None if the error was not raised by it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != path:
        trace = trace.tb_next
    return trace
