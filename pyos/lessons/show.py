"""Lists the lessons, and gives one: explains its programs, shows how each differs from the stage before, and runs them.

Every program runs in a process of its own with its input at the end of file, so a lesson ends by itself.
"""

from __future__ import annotations

import ast
import difflib
import itertools
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pyos.lessons.catalogue import COURSE, LESSONS, USERLAND, Lesson, Shown
from pyos.lessons.checker import environment

CONTEXT = 1  # lines around a change
NO_MATTER = ("import ", "from ")  # lines at which a change explains nothing


def listing() -> int:
    """Print the lessons; the exit code."""
    for lesson in LESSONS.values():
        print(f"{lesson.number}  {lesson.title}")
    print("\n`lesson N` gives one, `lesson N --start FILE` begins its exercise, `lesson N --check FILE` checks it.")
    return 0


def give(lesson: Lesson) -> int:
    """Explain a lesson and run its programs; the exit code: 1 if one of them failed that should not have."""
    print(f"Lesson {lesson.number}: {lesson.title}\n\n{lesson.about}")
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "userland").symlink_to(USERLAND)
        for shown in lesson.programs:
            print(f"\n--- {shown.path}\n\n{explanation(shown.path)}")
            if shown.after is not None:
                print("\n" + "\n".join(difference(shown.after, shown.path)))
            for args in shown.runs:
                print(flush=True)
                failed = (run(shown, args, folder) != 0 and not shown.fails) or failed
    mine = f"my_lesson{lesson.number}.py"
    print(f"\nExercise: {lesson.exercise}.\n    python3 -m pyos lesson {lesson.number} --start {mine}")
    if (chapter := USERLAND.parent / "docs/course" / lesson.chapter).exists():  # in a checkout
        print(f"The chapter: {os.path.relpath(chapter)}")
    return 1 if failed else 0


def run(shown: Shown, args: str, folder: str) -> int:
    """Run a program once in the folder, with the command above what it prints; its exit code."""
    words = ["-m", "pyos", "boot", *shlex.split(shown.options), f"userland/course/{shown.path}", *shlex.split(args)]
    print(f"$ {shlex.join(['python3', *words])}", flush=True)
    command = [sys.executable, *words]
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    print(done.stdout, end="", flush=True)
    return done.returncode


def explanation(path: str) -> str:
    """What a program says of itself."""
    return ast.get_docstring(ast.parse((COURSE / path).read_text())) or ""


def difference(before: str, after: str) -> Iterator[str]:
    """How a stage's code differs from that of the one before, as a unified diff of the parts that changed."""
    names = Path(before).stem, Path(after).stem
    old, new = [line.replace(*names) for line in code(before)], code(after)
    lines = list(difflib.unified_diff(old, new, before, after, lineterm="", n=CONTEXT))
    yield from lines[:2]
    starts = [number for number, line in enumerate(lines) if line.startswith("@@")]
    for start, end in itertools.pairwise([*starts, len(lines)]):
        changes = [line[1:] for line in lines[start + 1 : end] if line[0] in "+-"]
        if any(line.strip() and not line.startswith(NO_MATTER) for line in changes):
            yield from lines[start:end]


def code(path: str) -> list[str]:
    """A program's lines, with the docstring at its top, which is shown by itself, left empty."""
    text = (COURSE / path).read_text()
    top = ast.parse(text).body[0]
    return ["" if number < (top.end_lineno or 0) else line for number, line in enumerate(text.splitlines())]
