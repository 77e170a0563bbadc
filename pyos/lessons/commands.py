"""`pyos lesson [N [--start FILE | --check FILE]]` and `pyos new FILE`: their grammar and exit codes.

Exit codes: 0 for done or passed, 1 for a check that failed or a program of the lesson that did, 2 for usage,
141 for a lesson whose reader has gone.
"""

from __future__ import annotations

import argparse
import signal
import sys
from typing import Any

from pyos.lessons.catalogue import COURSE, LESSONS, Lesson


def add_commands(commands: Any) -> None:
    """Add both commands to the subparsers of the command line."""
    lesson = commands.add_parser("lesson", help="list the lessons, or give one", description="Give a lesson.")
    lesson.add_argument("number", nargs="?", metavar="N", help="which one: 1 to 8")
    what = lesson.add_mutually_exclusive_group()
    what.add_argument("--start", metavar="FILE", help="write the exercise's skeleton to a new file")
    what.add_argument("--check", metavar="FILE", help="check your solution of the exercise")
    lesson.set_defaults(run=lesson_command)
    new = commands.add_parser("new", help="write a small program to begin with", description="Write a small program.")
    new.add_argument("file", metavar="FILE", help="where to: a new file")
    new.set_defaults(run=lambda options: write("program.py", options.file, "python3 -m pyos boot {file}"))


def lesson_command(options: argparse.Namespace) -> int:
    """List the lessons; or give one, start its exercise, or check a solution."""
    from pyos.lessons import show

    if options.number is None:
        if options.start or options.check:
            return refuse("of which lesson? (pyos lesson N --start FILE, pyos lesson N --check FILE)")
        return show.listing()
    lesson = LESSONS.get(options.number)
    if lesson is None:
        return refuse(f"there is no lesson {options.number} (see pyos lesson)")
    if not COURSE.is_dir():
        return refuse(f"the course's programs are missing: {COURSE}")
    if options.start is not None:
        return write(lesson.skeleton, options.start, f"python3 -m pyos lesson {lesson.number} --check {{file}}")
    if options.check is not None:
        return check(lesson, options.check)
    try:
        return show.give(lesson)
    except BrokenPipeError:  # the reader has seen enough
        return 128 + signal.SIGPIPE


def write(template: str, file: str, then: str) -> int:
    """Write one of the files in exercises/ to a new file, and say what to do with it."""
    text = (COURSE / "exercises" / template).read_text().replace("THIS_FILE", file)
    try:
        with open(file, "x") as new:
            new.write(text)
    except FileExistsError:
        return refuse(f"{file} exists already, and is left as it is")
    except OSError as error:
        return refuse(f"cannot write {file}: {error.strerror}")
    print(f"{file} is written: read it, change it, then: {then.format(file=file)}")
    return 0


def check(lesson: Lesson, file: str) -> int:
    """Check a solution; prints one line for each failure."""
    from pyos.lessons import checker

    try:
        with open(file, "rb"):
            pass
    except OSError as error:
        return refuse(f"cannot read {file}: {error.strerror}")
    failures = checker.failures(lesson.number, file)
    for failure in failures:
        print(failure)
    if not failures:
        print(f"{file}: passed, which is the end of lesson {lesson.number}")
    return 1 if failures else 0


def refuse(message: str) -> int:
    """Say in one line on standard error what is wrong with the command; the exit code."""
    print(f"pyos: {message}", file=sys.stderr)
    return 2
