"""Every program and command in the READMEs, run as it stands there: the output is what the README says, but for times.

A Python block is a file, named by the paragraph before it (Save this as `name.py`). In any other block, `$ ` begins a
command of the shell, and what follows is all it prints, on both outputs.
"""

import os
import re
import subprocess
import sys

import pytest

from tests.system import PATIENCE, ROOT, environment

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
NOT_RUN = ["make test"]  # this is what is running


class Block:
    """A fenced block of a README: where it is, what kind it is, what it says, and the paragraph before it."""

    def __init__(self, path, found):
        self.path = path
        self.kind, self.text = found.groups()
        before = found.string[: found.start()]
        self.name = f"{path}:{before.count(chr(10)) + 1}"
        self.paragraph = before.rstrip().rpartition("\n\n")[2]

    @property
    def file(self):
        """The file that a Python block is to be saved as."""
        named = re.findall(r"[Ss]ave this as `([\w.]+)`", self.paragraph)
        assert len(named) == 1, f"{self.name} does not say what to save it as"
        return named[0]

    @property
    def commands(self):
        """Pairs of a command and its output."""
        assert self.text.startswith("$ "), f"{self.name} is neither Python nor a command"
        pairs = [part.partition("\n")[::2] for part in re.split(r"^\$ ", self.text, flags=re.M)[1:]]
        return [(command, output) for command, output in pairs if command not in NOT_RUN]


BLOCKS = [
    Block(path, found)
    for path in ("README.md", "userland/README.md")
    for found in BLOCK.finditer((ROOT / path).read_text())
]
COMMANDS = [
    pytest.param(block, command, output, id=f"{block.name} {command}")
    for block in BLOCKS
    if block.kind != "python"
    for command, output in block.commands
]


def comparable(output):
    """An output without what differs from run to run: times, ports, and where Python points at an error."""
    output = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", output)
    output = re.sub(r" *\b\d+\.\d+", " TIME", output)
    lines = [line.split() for line in output.splitlines()]
    return [" ".join(words) for words in lines if words and not set("".join(words)) <= set("~^")]


@pytest.fixture
def folder(tmp_path):
    """An empty folder but for userland, and a `python3` that is this Python."""
    (tmp_path / "userland").symlink_to(ROOT / "userland")
    (tmp_path / "commands").mkdir()
    (tmp_path / "commands/python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (tmp_path / "commands/python3").chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(("block", "command", "output"), COMMANDS)
def test_a_command_prints_what_the_readme_says(folder, block, command, output):
    for other in BLOCKS:
        if other.path == block.path and other.kind == "python":
            (folder / other.file).write_text(other.text)
    env = environment(PATH=f"{folder / 'commands'}:{os.environ['PATH']}", COLUMNS="80")
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert comparable(done.stdout) == comparable(output)


def test_every_block_is_run():
    """Ways to write a block that would go unnoticed."""
    kinds = {block.kind for block in BLOCKS}
    assert kinds <= {"", "console", "python"}
    assert all(block.file for block in BLOCKS if block.kind == "python")
    text = "".join((ROOT / path).read_text() for path in ("README.md", "userland/README.md"))
    assert text.count("```") == 2 * len(BLOCKS)
    assert "~~~" not in text
    assert len(COMMANDS) >= 8


def test_no_placeholder_is_left():
    assert "@@" not in (ROOT / "README.md").read_text()


def test_links_lead_somewhere():
    for path in ("README.md", "userland/README.md"):
        links = re.findall(r"\]\((?!https?:|#)([^)#]+)", (ROOT / path).read_text())
        assert links
        assert [link for link in links if not ((ROOT / path).parent / link).exists()] == []


def test_comparing_is_not_blind():
    assert comparable("[  0.0001] init") == comparable("[ 12.3456] init")
    assert comparable("TID  1\n") != comparable("TID  2\n")
    assert comparable("a\n") != comparable("a\nb\n")
