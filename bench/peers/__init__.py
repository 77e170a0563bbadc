"""Who is measured: one file a peer.

Each has `TITLE`, `version()`, and `run(program, *args, **params)`; optionally `PYTHON_OPTIONS` for the interpreter,
`IS_LIMIT = True` if it is no runtime but what none in Python can beat, and programs of its own: `@ECHO.on("name")`. It
may import its library freely: only processes that need it load the file.
"""
