"""How a task ended, for a person and as a number."""

from __future__ import annotations

import traceback

from pyos.status import ExitStatus


def exit_code(status: ExitStatus) -> int:
    """The status as shells number it: 128+n for signal n, 1 for an error, else the integer value, or 0."""
    if status.signal is not None:
        return 128 + status.signal
    if status.error is not None:
        return 1
    return status.value if isinstance(status.value, int) else 0


def ending(status: ExitStatus) -> str:
    """What became of the task, in a few words: "ended with 0", "was killed by TERM", "died of ..."."""
    if status.signal is not None:
        return f"was killed by {status.signal.name}"
    if status.error is not None:
        return f"died of an uncaught {type(status.error).__name__}"
    return f"ended with {0 if status.value is None else repr(status.value)}"


def last_words(status: ExitStatus) -> str:
    """The traceback of the error it died of, or ""; whoever waits for a task is the one to show it."""
    return "" if status.error is None else "".join(traceback.format_exception(status.error))
