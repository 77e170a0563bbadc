"""Userland's library, written with traps only.

`sockets` for TCP, `console` for reading standard input by lines, `options` for a program's arguments and complaints,
`dataflow` for coroutines that are sent items and send them on.
"""
