"""Userland's library, written with traps only.

`sockets` for TCP, `console` for standard input by lines, `ps` for tables of tasks, `exits` for how they ended.
"""
