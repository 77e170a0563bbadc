"""Fixtures of the tests that run userland's programs inside a pyos of their own, with a virtual clock."""

import os

import pytest

from pyos import Exec, WaitTask
from tests.system import ROOT

USERLAND = str(ROOT / "userland")


@pytest.fixture
def stdin():
    """Have descriptor 0 be a pipe; answers a function that writes its lines and closes it."""
    kept = os.dup(0)
    reader, writer = os.pipe()
    os.dup2(reader, 0)
    os.close(reader)
    open_writers = [writer]

    def write(text):
        os.write(writer, text.encode())
        os.close(open_writers.pop())

    yield write
    for fd in open_writers:
        os.close(fd)
    os.dup2(kept, 0)
    os.close(kept)


@pytest.fixture
def execute(run, capsys):
    """Run a program of userland as a child of init; answers its exit status, and what it printed on both outputs."""

    def execute_it(path, *argv):
        def init():
            return (yield WaitTask((yield Exec(path, *argv))))

        status = run(init(), home=USERLAND).value
        return status, *capsys.readouterr()

    return execute_it


@pytest.fixture
def sh(execute, stdin):
    """Have the shell execute lines from a pipe; answers its exit status, and what it printed on both outputs."""

    def type_lines(*lines):
        stdin("".join(f"{line}\n" for line in lines))
        status, out, err = execute("bin/sh.py")
        assert status.ok
        return status.value, out, err

    return type_lines
