"""pyos, an operating system for generators: what userland imports, and `run` for the host."""

from pyos.errors import (
    BadTrap,
    Deadlock,
    KernelPanic,
    LimitExceeded,
    ProgramError,
    TaskExit,
    TaskKilled,
)
from pyos.host import run
from pyos.signals import KILL, TERM, Signal
from pyos.status import ExitStatus, TaskInfo
from pyos.traps import (
    Choose,
    Exec,
    Exit,
    GetTid,
    GetTime,
    KillTask,
    NewTask,
    Program,
    Random,
    ReadWait,
    Sleep,
    Tasks,
    Trap,
    WaitTask,
    WriteWait,
)

__version__ = "0.1.0"

__all__ = [
    "KILL",
    "TERM",
    "BadTrap",
    "Choose",
    "Deadlock",
    "Exec",
    "Exit",
    "ExitStatus",
    "GetTid",
    "GetTime",
    "KernelPanic",
    "KillTask",
    "LimitExceeded",
    "NewTask",
    "Program",
    "ProgramError",
    "Random",
    "ReadWait",
    "Signal",
    "Sleep",
    "TaskExit",
    "TaskInfo",
    "TaskKilled",
    "Tasks",
    "Trap",
    "WaitTask",
    "WriteWait",
    "run",
]
