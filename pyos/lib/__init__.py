"""Userland's library, written with traps only.

console   reading standard input by lines
dataflow  coroutines that are sent items: stages, sources and sinks, XML events, threads and processes as targets
exits     how a program's end is told
group     TaskGroup and gather: children that end together
options   a program's command line, and its errors in one line
ps        a table of tasks
sockets   TCP
"""

from pyos.lib.group import TaskGroup, gather

__all__ = ["TaskGroup", "gather"]
