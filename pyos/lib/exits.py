"""How a task ended, for a person and as a number. Nothing here fails, though values and errors are the task's own."""

from __future__ import annotations

import traceback

from pyos.status import ExitStatus

LONGEST = 200  # characters of a value that are shown


def exit_code(status: ExitStatus) -> int:
    """The status as shells number it: 128+n for signal n, 1 for an error, else the integer value, or 0."""
    if status.signal is not None:
        return 128 + status.signal
    if status.error is not None:
        return 1
    return int.__index__(status.value) if issubclass(type(status.value), int) else 0


def ending(status: ExitStatus) -> str:
    """What became of the task, in a few words: "ended with 0", "was killed by TERM", "died of ..."."""
    if status.signal is not None:
        return f"was killed by {status.signal.name}"
    if status.error is not None:
        return f"died of an uncaught {class_name(type(status.error))}"
    return f"ended with {0 if status.value is None else described(status.value)}"


def last_words(status: ExitStatus) -> str:
    """The traceback of the error it died of, or ""; whoever waits for a task is the one to show it."""
    if status.error is None:
        return ""
    try:
        return "".join(traceback.format_exception(status.error))
    except Exception as failure:
        return f"{class_name(type(status.error))}, which cannot be printed: that raised {class_name(type(failure))}\n"


def described(value: object) -> str:
    """A value in one line that is not too long. (Python prints no int of more than 4300 digits.)"""
    try:
        text = " ".join(str.__str__(repr(value)).splitlines())
    except (Exception, SystemExit, KeyboardInterrupt) as failure:
        return (
            f"a value that cannot be printed: {class_name(type(value))}, whose repr raised {class_name(type(failure))}"
        )
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def class_name(kind: type) -> str:
    """The name of a class, whatever its metaclass says."""
    name: str = type.__dict__["__name__"].__get__(kind)
    return name
