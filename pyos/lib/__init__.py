"""Userland's library, written with traps only: `TaskGroup` and `gather` for children that end together, `sockets` for
TCP, `console` for reading standard input by lines."""

from pyos.lib.group import TaskGroup, gather

__all__ = ["TaskGroup", "gather"]
