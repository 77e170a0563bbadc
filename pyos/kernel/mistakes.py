"""What a program's source shows of common mistakes: a trap or a subroutine that is not yielded, a lock in a `with`.

Only what can be nothing else is spoken of: a name that is bound to anything but pyos's is left alone.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Container, Iterator

from pyos import handles, traps

TRAP_NAMES = frozenset(
    name for name, kind in vars(traps).items() if isinstance(kind, type) and issubclass(kind, traps.Trap)
)

HANDLE_METHODS = {  # of the classes of handles: what builds a trap
    name: [method for method in vars(kind) if not method.startswith("_") and callable(getattr(kind, method))]
    for name, kind in vars(handles).items()
    if isinstance(kind, type) and issubclass(kind, handles.Handle) and kind is not handles.Handle
}

Mistake = tuple[int, str]
"""A line, and what is wrong with it."""


def mistakes(tree: ast.AST) -> list[Mistake]:
    """What is wrong in a program, in the order of its lines."""
    return sorted([*forgotten_yields(tree), *managed_acquires(tree)], key=lambda mistake: mistake[0])


def forgotten_yields(tree: ast.AST) -> Iterator[Mistake]:
    """Each trap that is built, or subroutine that is called, as a bare statement, or in one that is a tuple."""
    makers = names_of(tree, TRAP_NAMES, "pyos.traps").keys() | methods_of_handles(tree) | subroutines(tree)
    bare = [node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)]
    values = [value for node in bare for value in (node.elts if isinstance(node, ast.Tuple) else [node])]
    calls = [value for value in values if isinstance(value, ast.Call)]
    for call in sorted(calls, key=lambda call: (call.lineno, call.col_offset)):
        if (written := ast.unparse(call.func)) in makers:
            yield call.lineno, f"{written}(...) does nothing without yield: `yield {written}(...)`"


def managed_acquires(tree: ast.AST) -> Iterator[Mistake]:
    """Each `with (yield lock.acquire()):`, which reads as if it released the lock."""
    items = [item for node in ast.walk(tree) if isinstance(node, ast.With | ast.AsyncWith) for item in node.items]
    for asked in [item.context_expr for item in items]:
        call = asked.value if isinstance(asked, ast.Yield | ast.YieldFrom | ast.Await) else asked
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "acquire":
            lock = ast.unparse(call.func.value)
            how = f"`yield {lock}.acquire()`, then `try: ... finally: yield {lock}.release()`"
            yield asked.lineno, f"`with` does not release what {lock}.acquire() has taken (it answers None): {how}"


def names_of_pyos(tree: ast.AST) -> set[str]:
    """The names under which a program has the package `pyos`."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {a.asname for a in node.names if a.name == "pyos" and a.asname}
            names |= {"pyos" for a in node.names if a.name.partition(".")[0] == "pyos" and not a.asname}
    return names


def names_of(tree: ast.AST, wanted: Container[str], module: str) -> dict[str, str]:
    """The names, as a program writes them, of what it has of `pyos`: what each stands for."""
    exported = [name for name in (*TRAP_NAMES, *HANDLE_METHODS) if name in wanted]
    found = {f"{package}.{name}": name for package in names_of_pyos(tree) for name in exported}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in ("pyos", module):
            found |= {a.asname or a.name: a.name for a in node.names if a.name in wanted}
            found |= {name: name for a in node.names if a.name == "*" for name in exported}
    return found


def methods_of_handles(tree: ast.AST) -> set[str]:
    """`lock.release` and the like, for each name that is bound in the program to new handles of one kind alone."""
    kinds = names_of(tree, HANDLE_METHODS, "pyos.handles")
    handles: dict[str, set[str]] = {}
    bound: Counter[str] = Counter()  # how often a name is bound to anything
    for node in ast.walk(tree):
        bound[binding(node)] += 1
        for name, value in assigned(node):
            if isinstance(value, ast.Call) and (kind := kinds.get(ast.unparse(value.func))):
                handles.setdefault(name, set()).add(kind)
                bound[name] -= 1
    return {
        f"{name}.{method}"
        for name, found in handles.items()
        if not bound[name] and len(found) == 1
        for method in HANDLE_METHODS[found.pop()]
    }


def subroutines(tree: ast.AST) -> set[str]:
    """The program's own generator functions, as `name` or `self.name`, where that can mean nothing else."""
    bound = Counter(binding(node) for node in ast.walk(tree))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and bound[node.name] == 1]
    methods = {id(node) for outer in ast.walk(tree) if isinstance(outer, ast.ClassDef) for node in outer.body}
    return {
        f"self.{function.name}" if id(function) in methods else function.name
        for function in functions
        if not function.decorator_list and any(isinstance(node, ast.Yield | ast.YieldFrom) for node in own(function))
    }


def own(function: ast.AST) -> Iterator[ast.AST]:
    """What a function's code consists of, without that of functions and classes in it."""
    for node in ast.iter_child_nodes(function):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            yield node
            yield from own(node)


def binding(node: ast.AST) -> str:
    """The name that this piece of source binds, as a target, parameter, import, function or other; "" for none."""
    if isinstance(node, ast.Name):
        return "" if isinstance(node.ctx, ast.Load) else node.id
    if isinstance(node, ast.keyword):
        return ""  # of a call
    if isinstance(node, ast.alias):
        return node.asname or node.name.partition(".")[0]
    return str(getattr(node, "arg", None) or getattr(node, "name", None) or "")


def assigned(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """The names that a statement binds, each with its value, where both can be seen."""
    if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
        return
    for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
        pairs = [(target, node.value)]
        if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            pairs = list(zip(target.elts, node.value.elts))
        for place, value in pairs:
            if isinstance(place, ast.Name):
                yield place.id, value
