"""The two programs in C: the load client and the echo server, compiled with cc into bench/build/ when they change."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from bench.workload import Skip

SOURCES = Path(__file__).parent
BUILD = SOURCES.parent / "build"
COMPILER = os.environ.get("CC", "cc")


def build(name: str) -> str:
    """The path of a compiled program; compiles it first if its source is newer. Skip if there is no compiler."""
    source, program = SOURCES / f"{name}.c", BUILD / name
    if program.exists() and program.stat().st_mtime >= source.stat().st_mtime:
        return str(program)
    if shutil.which(COMPILER) is None:
        raise Skip(f"there is no C compiler ({COMPILER})")
    BUILD.mkdir(exist_ok=True)
    fresh = program.with_suffix(f".{os.getpid()}")  # moved when complete: another process may be compiling it too
    subprocess.run([COMPILER, "-O2", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-o", fresh, source], check=True)
    fresh.rename(program)
    return str(program)


def compiler_version() -> str:
    """The compiler's own words."""
    if shutil.which(COMPILER) is None:
        raise Skip(f"there is no C compiler ({COMPILER})")
    return subprocess.run([COMPILER, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
