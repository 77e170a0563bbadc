"""Every program and command in a document, run as it stands there: the output is what the document says, but for times.

A Python block is a file, named by the paragraph before it (Save this as `name.py`). In any other block, `$ ` begins a
command of the shell, and what follows is all it prints, on both outputs. A block of kind `text` is a picture.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.system import PATIENCE, ROOT, environment

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
NOT_RUN = ("make test",)  # this is what is running
VARIES = [  # what differs from run to run, and what stands for it
    (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
    (r"\[\d\d/\w{3}/\d{4}:[\d:]{8} \+0000\]", "[time]"),
    (r"\(\d+\) died", "(pid) died"),
    (r"\b\d+\.\d+ s\b", "TIME s"),
    (r"[\d,]+ a second", "RATE a second"),
]
TIMED = ("cobench", "xmlbench", "loadtest")  # programs that print tables of times


class Block:
    """A fenced block of a document: where it is, what kind it is, what it says, and the paragraph before it."""

    def __init__(self, path: str, found: re.Match[str]) -> None:
        self.path = path
        self.kind, self.text = found.groups()
        before = found.string[: found.start()]
        self.name = f"{path}:{before.count(chr(10)) + 1}"
        self.paragraph = before.rstrip().rpartition("\n\n")[2]

    @property
    def file(self) -> str:
        """The file that a Python block is to be saved as."""
        named = re.findall(r"[Ss]ave this as `([\w.]+)`", self.paragraph)
        assert len(named) == 1, f"{self.name} does not say what to save it as"
        return str(named[0])

    @property
    def commands(self) -> list[tuple[str, str]]:
        """Pairs of a command and its output."""
        assert self.text.startswith("$ "), f"{self.name} is neither Python nor a command"
        pairs = [part.partition("\n")[::2] for part in re.split(r"^\$ ", self.text, flags=re.M)[1:]]
        return [(command, output) for command, output in pairs if command not in NOT_RUN]


class Document:
    """A Markdown file of the project, with its blocks in order."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.text = (ROOT / path).read_text()
        self.blocks = [Block(path, found) for found in BLOCK.finditer(self.text)]

    def commands(self) -> list[tuple[Block, str, str]]:
        """Each command with its block and its output, in order."""
        shells = [block for block in self.blocks if block.kind not in ("python", "text")]
        return [(block, *pair) for block in shells for pair in block.commands]

    def save_programs(self, folder: Path) -> None:
        """Save every Python block as the file that it is to be."""
        for block in self.blocks:
            if block.kind == "python":
                (folder / block.file).write_text(block.text)

    def dead_links(self) -> list[str]:
        """The links to files that are not there."""
        links = re.findall(r"\]\((?!https?:|#)([^)#]+)", self.text)
        assert links
        return [link for link in links if not ((ROOT / self.path).parent / link).exists()]

    def check_blocks(self) -> None:
        """No block is written in a way that would go unnoticed."""
        assert {block.kind for block in self.blocks} <= {"", "console", "python", "text"}
        assert all(block.file for block in self.blocks if block.kind == "python")
        assert not [block.name for block in self.blocks if block.kind == "text" and "$ " in block.text]
        assert self.text.count("```") == 2 * len(self.blocks)
        assert "~~~" not in self.text


def comparable(output: str, timed: bool = False) -> list[str]:
    """An output without what differs from run to run, and where Python points at an error.

    `timed` takes it for full of times: no number with a point in it counts, nor does white space.
    """
    for pattern, stand_in in VARIES:
        output = re.sub(pattern, stand_in, output)
    lines = [line for line in output.splitlines() if not line.strip() or not set(line) <= set("~^ ")]
    if not timed:
        return lines
    lines = [re.sub(r" *\b\d+\.\d+", " TIME", line) for line in lines]
    return [" ".join(line.split()) for line in lines if line.strip()]


def settled(command: str, output: str) -> list[str]:
    """As `comparable`; the output of a program that measures is without its numbers."""
    measures = any(f"/{name}.py" in command for name in TIMED)
    return comparable(re.sub(r" +[\d.]+", " #", output) if measures else output)


def prepare(folder: Path) -> None:
    """Make an empty folder one to run commands in: with userland, a README.md, and a `python3` that is this Python."""
    for name in ("userland", "README.md"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "commands").mkdir()
    (folder / "commands/python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (folder / "commands/python3").chmod(0o755)


def run_in(folder: Path, command: str) -> str:
    """Run a command there, with its input at the end of file; what it prints. What it writes to /tmp is there too."""
    done = subprocess.run(
        ["sh", "-c", command.replace("/tmp/", f"{folder}/")],
        cwd=folder,
        env=environment(PATH=f"{folder / 'commands'}:{os.environ['PATH']}", COLUMNS="80"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.stdout.replace(f"{folder}/", "/tmp/")
