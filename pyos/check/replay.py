"""A schedule as a string that reproduces it: `pyos1:<hash of program and kernel version>:<choices>`.

The choices are written in base 36, one character each where there are at most 36 options, else "(" number ")";
trailing zeros are cut, as production's choice is taken where there is none. The hash is of the program's source and
of the version of the kernel: another program, or another kernel, may choose at other points.
"""

from __future__ import annotations

import hashlib
import inspect
import string
from collections.abc import Callable, Sequence
from typing import Any

import pyos
from pyos.check.report import ADDRESS

DIGITS = string.digits + string.ascii_lowercase
FORMAT = "pyos1"


class ReplayError(ValueError):
    """A replay string is malformed, or belongs to another program."""


def encode(identity: str, choices: Sequence[int]) -> str:
    """The replay string of a schedule of the program with this identity."""
    end = len(choices)
    while end and choices[end - 1] == 0:
        end -= 1
    return f"{FORMAT}:{identity}:" + "".join(
        DIGITS[c] if c < len(DIGITS) else f"({in_base_36(c)})" for c in choices[:end]
    )


def decode(text: str, identity: str) -> tuple[int, ...]:
    """The choices in a replay string. Raises ReplayError if it is malformed, or of another program."""
    parts = text.strip().split(":")
    if len(parts) != 3 or parts[0] != FORMAT:
        raise ReplayError(f"not a replay string: {text!r} (it looks like {FORMAT}:0123456789ab:0102)")
    if parts[1] != identity:
        raise ReplayError(
            f"this replay string is of another program, or of another version: {parts[1]}, not {identity}"
        )
    choices: list[int] = []
    rest = parts[2]
    try:
        while rest:
            digit, rest = rest[0], rest[1:]
            if digit == "(":
                digit, found, rest = rest.partition(")")
                if not found:
                    raise ValueError
            choices.append(int(digit, 36))
    except ValueError:
        raise ReplayError(f"not a replay string: {text!r}") from None
    return tuple(choices)


def in_base_36(number: int) -> str:
    """A number >= 0 in base 36."""
    text = ""
    while number or not text:
        number, digit = divmod(number, 36)
        text = DIGITS[digit] + text
    return text


def identity_of(
    program: Callable[..., Any],
    source: bytes | None = None,
    argv: Sequence[str] = (),
    seed: int | str | None = None,
) -> str:
    """Twelve hex digits for a program and the kernel that runs it. `source`: the program file's, if it is one."""
    digest = hashlib.sha256(f"{pyos.__version__}\0{getattr(program, '__qualname__', '')}\0".encode())
    digest.update(source if source is not None else source_of(program))
    for arg in argv:
        digest.update(b"\0" + ADDRESS.sub("", arg).encode("utf-8", "surrogatepass"))
    if seed is not None:
        digest.update(f"\0\0{seed!r}".encode())  # Random draws from it
    return digest.hexdigest()[:12]


def source_of(program: Callable[..., Any]) -> bytes:
    """The source of the program's module, or, where there is none, its code."""
    function = inspect.unwrap(getattr(program, "func", program))
    try:
        with open(inspect.getsourcefile(function) or "", "rb") as file:
            return file.read()
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        return code.co_code + repr(code.co_names).encode() if code is not None else repr(function).encode()
