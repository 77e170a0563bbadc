"""What a line of a program names, read off its source: variables it reads or writes, and sets whose order it uses.

Only names, attributes and items are followed (`box[0]`, `self.rows`), from the variable at the root. A method call
counts as a write unless the method is known to read only. What an object is loaded for is told as well: to give it to
a function is not to look into it.
"""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

READ_ONLY = frozenset(("get", "keys", "values", "items", "count", "index", "copy", "join", "format", "split"))
KEEPS_ORDER = frozenset(("list", "tuple", "iter", "enumerate", "zip", "map", "filter", "next"))
KEEPS_ORDER_METHODS = frozenset(("extend", "join"))
ANY_ORDER = frozenset(("sorted", "set", "frozenset", "sum", "min", "max", "any", "all", "len"))
LOOK_INSIDE = ANY_ORDER | KEEPS_ORDER | {"dict", "print", "repr", "str", "bool", "reversed"}
OF_ONE_ITEM = frozenset(("get", "setdefault", "pop"))  # methods of dicts whose first argument is a key
NESTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
KEEPS = (ast.Assign, ast.AnnAssign, ast.Return, ast.Yield, ast.Tuple, ast.List, ast.Dict, ast.NamedExpr)
CHAIN = (ast.Name, ast.Attribute, ast.Subscript)
LONGEST = 40  # characters of an expression


@dataclass(frozen=True)
class Access:
    """A variable named in a line: `root` is the variable, `text` the expression that starts there.

    `path` leads from the variable to what is accessed: names of attributes, and the expressions of items. `texts` are
    the variable and what each part of the path leads to. What is found there is `kept` (no matter what is in it), or
    it is an argument of `call`, or `call` calls its `method`; without a call, it is looked into.
    """

    root: str
    text: str
    write: bool
    path: tuple[str | ast.expr, ...]
    texts: tuple[str, ...]
    kept: bool = False
    call: ast.Call | None = None
    method: str = ""
    in_place: bool = False  # an augmented assignment
    late: bool = False  # it comes after what its line yields

    @property
    def bare(self) -> bool:
        """True for the variable itself, nothing in it."""
        return not self.path and not self.method


@dataclass
class Source:
    """One file: for each line its accesses, and the expressions whose iteration order is used; the lines that yield."""

    accesses: dict[int, list[Access]] = field(default_factory=dict)
    yields: set[int] = field(default_factory=set)
    resumed: set[int] = field(default_factory=set)  # lines whose yield has been visited
    varying: set[int] = field(default_factory=set)  # lines that name another item each time they are run
    ordered: dict[int, list[ast.expr]] = field(default_factory=dict)
    asked: set[int] = field(default_factory=set)  # ids of nodes that are yielded: a call there builds a trap
    in_any_order: set[int] = field(default_factory=set)  # ids of nodes whose order is lost again

    def visit(self, node: ast.AST) -> None:
        """Enter what is in a syntax tree."""
        self._see_order(node)
        if isinstance(node, ast.Yield | ast.YieldFrom | ast.Await):
            self.yields.add(node.lineno)
            self.asked.add(id(node.value))
        if isinstance(node, ast.Call) and isinstance(node.func, CHAIN):
            self._visit_call(node)
        elif isinstance(node, ast.AugAssign):
            self._enter(node.target, True, in_place=True)
            self._enter(node.target, False, kept=True)
            self.visit(node.value)
        elif isinstance(node, CHAIN):
            self._enter(node, not isinstance(node.ctx, ast.Load))
        else:
            for child in ast.iter_child_nodes(node):
                if keeps(node) and isinstance(child, CHAIN) and isinstance(child.ctx, ast.Load):
                    self._enter(child, False, kept=True)
                else:
                    self.visit(child)
        if isinstance(node, ast.Yield | ast.YieldFrom | ast.Await):
            self.resumed.add(node.end_lineno or node.lineno)

    def _visit_call(self, node: ast.Call) -> None:
        function = node.func
        if isinstance(function, ast.Attribute):
            asked = id(node) in self.asked
            write = function.attr not in READ_ONLY and not asked
            after = f"({', '.join(map(ast.unparse, node.args))})" if function.attr in OF_ONE_ITEM else "()"
            self._enter(function.value, write, f".{function.attr}{after}", call=node, method=function.attr, kept=asked)
        looks = isinstance(function, ast.Name) and function.id in LOOK_INSIDE
        for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
            if isinstance(argument, CHAIN) and not looks:
                self._enter(argument, False, call=node)
            else:
                self.visit(argument)

    def _enter(self, node: ast.expr, write: bool, after: str = "", **more: Any) -> None:
        base, parts, nodes = node, [], [node]
        while isinstance(base, ast.Attribute | ast.Subscript):
            if isinstance(base, ast.Subscript):
                self.visit(base.slice)
                if not isinstance(base.slice, ast.Constant):
                    self.varying.add(node.lineno)
            parts.append(base.slice if isinstance(base, ast.Subscript) else base.attr)
            base = base.value
            nodes.append(base)
        if not isinstance(base, ast.Name):
            self.visit(base)
            return
        texts = tuple(in_short(ast.unparse(each)) for each in reversed(nodes))
        text = in_short(ast.unparse(node) + after)
        late = write or node.lineno in self.resumed
        access = Access(base.id, text, write, tuple(reversed(parts)), texts, late=late, **more)
        self.accesses.setdefault(node.lineno, []).append(access)

    def _see_order(self, node: ast.AST) -> None:
        """Enter the expressions that are gone through in an order that shows."""
        found: list[ast.expr] = []
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ANY_ORDER:
            self.in_any_order.update(map(id, node.args))
        if id(node) in self.in_any_order:
            return
        if isinstance(node, ast.For) and any(map(has_yield, node.body)):
            found = [node.iter]
        elif isinstance(node, ast.ListComp):
            found = [part.iter for part in node.generators]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KEEPS_ORDER:
            found = list(node.args)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in KEEPS_ORDER_METHODS:
                found = list(node.args)
            elif node.func.attr == "pop" and not node.args:
                found = [node.func.value]
        found += [part.iter for each in found if isinstance(each, ast.GeneratorExp) for part in each.generators]
        for expression in found:
            self.ordered.setdefault(expression.lineno, []).append(expression)


def keeps(node: ast.AST) -> bool:
    """True if the objects that are named right below are not looked into."""
    if isinstance(node, ast.Compare):
        return all(isinstance(operator, ast.Is | ast.IsNot) for operator in node.ops)
    return isinstance(node, KEEPS)


def in_short(text: str) -> str:
    """An expression that is not too long."""
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def has_yield(node: ast.AST) -> bool:
    """True if something is yielded or awaited here, functions that are only defined here left out."""
    if isinstance(node, NESTED):
        return False
    if isinstance(node, ast.Yield | ast.YieldFrom | ast.Await):
        return True
    return any(map(has_yield, ast.iter_child_nodes(node)))


def source_of(path: str) -> Source:
    """What is in a file as it is now; nothing if it cannot be read."""
    linecache.checkcache(path)
    return parsed("".join(linecache.getlines(path)))


@lru_cache(maxsize=32)  # a test session checks the same file a hundred times: this was two thirds of a short check
def parsed(text: str) -> Source:
    """What is in a text; nothing if it is no Python."""
    source = Source()
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return source
    source.visit(tree)
    return source


# --- the values of expressions, without running any code of the program's


def value_of(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """The value of a simple expression; None if it is not one."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute):
        return attributes_of(value_of(node.value, names)).get(node.attr)
    if isinstance(node, ast.Set):
        return {item.value for item in node.elts if isinstance(item, ast.Constant)}
    if isinstance(node, ast.BinOp):
        return value_of(node.left, names)  # of two sets: their elements are alike
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) == 1:
        value = value_of(node.args[0], names)
        if node.func.id in ("set", "frozenset") and type(value) in (list, tuple, dict, set, frozenset, str):
            return set(value)
    return None


def attributes_of(value: Any) -> dict[str, Any]:
    """What an object has in its `__dict__`; nothing if it has none, or one of its own making."""
    try:
        found = object.__getattribute__(value, "__dict__")
    except Exception:
        return {}
    return found if type(found) is dict else {}


def unordered(value: Any) -> bool:
    """True for a set whose order may be another one in another process, or for other objects."""
    return type(value) in (set, frozenset) and len(value) > 1 and not all(map(hashes_alike, value))


def hashes_alike(value: Any) -> bool:
    """True for a value that has the same hash in every process."""
    if type(value) is tuple:
        return all(map(hashes_alike, value))
    return type(value) in (int, float, bool, complex)


def sets_in_line(source: Source, line: int, names: dict[str, Any]) -> Iterator[str]:
    """The sets whose order a line depends on, as they are written there."""
    for node in source.ordered.get(line, ()):
        if unordered(value_of(node, names)):
            yield ast.unparse(node)
