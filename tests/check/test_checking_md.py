"""docs/checking.md is true: its Python is run and its commands too, and what they print is what it says.

In an expected output `…` stands for anything, also for nothing.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "checking.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [text for kind, text in BLOCKS if kind == "console"]


def matches(expected: str, actual: str) -> bool:
    pattern = ".*".join(map(re.escape, expected.strip().split("…")))
    return re.fullmatch(pattern, actual.strip(), re.DOTALL) is not None


def test_every_python_block_prints_what_the_page_says(monkeypatch):
    monkeypatch.chdir(ROOT)
    namespace: dict[str, object] = {"__name__": "page"}
    pairs = zip(BLOCKS, [*BLOCKS[1:], ("", "")])
    compared = 0
    for (kind, text), (next_kind, expected) in pairs:
        if kind != "python":
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(text, "docs/checking.md", "exec"), namespace)
        assert next_kind == "output", f"no output is shown for:\n{text}"
        assert matches(expected, printed.getvalue()), f"{text}\nprinted:\n{printed.getvalue()}\nnot:\n{expected}"
        compared += 1
    assert compared == sum(kind == "output" for kind, _ in BLOCKS) > 10


def test_the_functions_shown_are_those_of_the_program():
    program = (ROOT / "userland" / "check" / "racy_counter.py").read_text()
    shown = next(text for kind, text in BLOCKS if kind == "python")
    (function,) = re.findall(r"^def increment.*?(?=\n\n\n)", shown, re.MULTILINE | re.DOTALL)
    assert function in program


@pytest.mark.parametrize("block", COMMANDS, ids=[text.splitlines()[0][2:] for text in COMMANDS])
def test_every_command_prints_what_the_page_says(block):
    if not the_command_is_there():
        pytest.skip("this pyos has no command `check` yet")
    command, _, expected = block.partition("\n")
    python, *arguments = shlex.split(command.removeprefix("$ "))
    assert python == "python"
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == (0 if "_fixed" in command else 1), done.stderr
    assert matches(f"…{expected.strip()}…", done.stdout)


def the_command_is_there() -> bool:
    command = [sys.executable, "-m", "pyos", "check", "--help"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 0
