"""A deque of generators and `send`, and nothing else: what no kernel in pure Python can beat."""

import platform

TITLE = "bare loop"
IS_LIMIT = True


def version():
    return platform.python_version()


def run(program, *args, **params):
    program(*args, **params)
