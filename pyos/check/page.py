"""A failure as one self-contained page."""

from __future__ import annotations

from pyos.check.report import Failure


def page(failure: Failure) -> str:
    """The page."""
    return failure.story
