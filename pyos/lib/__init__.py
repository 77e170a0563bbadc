"""Userland's library, written with traps only: `sockets` for TCP, `console` for reading standard input by lines."""
