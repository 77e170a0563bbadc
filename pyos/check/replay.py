"""A schedule as a string that reproduces it: `pyos1:<hash of program and kernel version>:<choices>`.

The choices are written in base 36, one character each where there are at most 36 options, else "(" number ")";
trailing zeros are cut, as production's choice is taken where there is none.

The hash is in hexadecimal digits. The first 12 are of the program's source and of the version of the kernel: another
program, or another kernel, may choose at other points. The rest, the *marks*, are of the steps of the run that the
string was made from, as what the program imports or reads may have changed though its source has not: a digit after
each of the first 16 steps, then four until the number of steps has doubled, and two of the whole run. A digit depends
on all steps so far, so a run that differs is seen at that step, or with 1 : 16 at a later one, and at its end with
1 : 256 not at all. Without marks nothing is compared.
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
IDENTITY = 12  # digits of the hash that are the program's and the kernel's
AT_END = 2  # digits of the whole run


class ReplayError(ValueError):
    """A replay string is malformed, or belongs to another program."""


def encode(identity: str, choices: Sequence[int], marks: str = "") -> str:
    """The replay string of a schedule of the program with this identity; `marks` are of the run's steps."""
    end = len(choices)
    while end and choices[end - 1] == 0:
        end -= 1
    return f"{FORMAT}:{identity}{marks}:" + "".join(
        DIGITS[c] if c < len(DIGITS) else f"({in_base_36(c)})" for c in choices[:end]
    )


def decode(text: str, identity: str) -> tuple[int, ...]:
    """The choices in a replay string. Raises ReplayError if it is malformed, or of another program."""
    parts = split(text)
    if parts[1] != identity:
        raise ReplayError(
            f"this replay string is of another program, or of another version: {parts[1]}, not {identity}"
        )
    choices: list[int] = []
    rest = parts[3]
    try:
        while rest:
            digit, rest = rest[0], rest[1:]
            if digit == "(":
                digit, found, rest = rest.partition(")")
                if not found:
                    raise ValueError
            if not set(digit) <= set(DIGITS):  # `int` takes signs, spaces and underscores as well
                raise ValueError
            choices.append(int(digit, 36))
    except ValueError:
        raise ReplayError(f"not a replay string: {text!r}") from None
    return tuple(choices)


def split(text: str) -> tuple[str, str, str, str]:
    """Format, identity, marks and choices of a replay string, the choices as text. Raises ReplayError."""
    parts = text.strip().split(":")
    if len(parts) != 3 or parts[0] != FORMAT or not set(parts[1]) <= set(string.hexdigits):
        raise ReplayError(f"not a replay string: {text!r} (it looks like {FORMAT}:0123456789ab:0102)")
    return parts[0], parts[1][:IDENTITY], parts[1][IDENTITY:], parts[2]


def marks_in(text: str) -> str:
    """The marks in a replay string, "" if it has none. Raises ReplayError if it is malformed."""
    return split(text)[2]


def marks_of(labels: Sequence[str]) -> str:
    """The marks of a run whose steps have these labels."""
    digest = hashlib.sha256()
    marks = ""
    marked = set(marked_steps(len(labels)))
    for number, label in enumerate(labels, 1):
        digest.update(label.encode("utf-8", "surrogatepass") + b"\0")
        if number in marked:
            marks += digest.hexdigest()[0]
    return marks + digest.hexdigest()[-AT_END:]


def marked_steps(most: int) -> list[int]:
    """The numbers of the steps, up to `most`, after which there is a mark: 1 to 16, 20, 24, 28, 32, 40, 48 …"""
    found, step = [], 1
    while step <= most:
        found.append(step)
        step += max(1, (1 << step.bit_length()) // 8) if step >= 16 else 1
    return found


def first_that_differs(marks: str, labels: Sequence[str]) -> tuple[int, int] | None:
    """In which steps, from the first number to the second, a run has left the one with these marks; None if it has not.

    A number may be one more than there are steps: the run should have gone on.
    """
    now = marks_of(labels)
    if not marks or now == marks:
        return None
    then, now = marks[:-AT_END], now[:-AT_END]
    same = next((i for i, (a, b) in enumerate(zip(then, now)) if a != b), min(len(then), len(now)))
    steps = [0, *marked_steps(len(labels))]
    here_too = same < len(now)  # there is a mark that should be another, or should not be
    return steps[same] + 1, steps[same + 1] if here_too else max(steps[same], len(labels) - (len(then) == len(now))) + 1


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
