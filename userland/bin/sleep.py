"""sleep: wait for some seconds."""

from pyos import Program, Sleep


def main(seconds: str) -> Program:
    yield Sleep(float(seconds))
