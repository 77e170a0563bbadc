"""Runs the course's programs as a learner does, in processes of their own: with Python alone, or booted in pyos."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
COURSE = ROOT / "userland" / "course"
LIMIT = 60  # seconds after which a program is taken to hang
PLAIN = (sys.executable,)
BOOTED = (sys.executable, "-m", "pyos", "boot")


def run_program(path: str, *args: str, by: tuple[str, ...] = BOOTED) -> subprocess.CompletedProcess[str]:
    """Run a program of the course to its end, with standard input at its end."""
    command = [*by, str(COURSE / path), *args]
    streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True}
    return subprocess.run(command, check=False, cwd=ROOT, timeout=LIMIT, **streams)


def output(path: str, *args: str, by: tuple[str, ...] = BOOTED) -> str:
    """What a program prints, which ends well and complains of nothing.

    That it has held up the others is no complaint of its own: the watchdog says so, of a lesson or on a slow machine.
    """
    done = run_program(path, *args, by=by)
    complaints = [line for line in done.stderr.splitlines() if "has not let others run" not in line]
    assert (done.returncode, complaints) == (0, []), done.stderr
    return done.stdout


def load(path: str) -> ModuleType:
    """A program of the course as a module of this process."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, COURSE / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Server:
    """A server of the course, which serves while the test is inside: `.port` says where, `.process` is its own."""

    def __init__(self, path: str, *args: str, by: tuple[str, ...] = BOOTED) -> None:
        self.command = [*by, str(COURSE / path), *args]

    def __enter__(self) -> Server:
        pipe: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        env = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(self.command, cwd=ROOT, env=env, text=True, **pipe)
        self.greeting = self.process.stdout.readline()
        try:
            self.port = int(self.greeting.rpartition(":")[2])
        except ValueError:
            _, err = self.process.communicate(timeout=LIMIT)
            raise AssertionError(f"the server has not started: {self.greeting}{err}") from None
        return self

    def __exit__(self, *exc: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=LIMIT)

    def end(self, signal: int) -> tuple[int, str, str]:
        """Send a signal; exit code, and what the server has said since on both streams."""
        self.process.send_signal(signal)
        out, err = self.process.communicate(timeout=LIMIT)
        return self.process.returncode, out, err
