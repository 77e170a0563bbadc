"""double_close: a connection that two tasks give up on. BUG: each closes its descriptor, one for the second time.

Numbers are used again: by then the number may belong to another file.
"""

from pyos import Program, eventually


class Descriptors:
    """Open files by number; a new one gets the lowest number that is free."""

    def __init__(self) -> None:
        self.files: dict[int, str] = {}

    def open(self, name: str) -> int:
        number = next(n for n in range(99) if n not in self.files)
        self.files[number] = name
        return number

    def close(self, number: int) -> None:
        self.files.pop(number, None)  # EBADF is ignored, as so often


def gives_up(table: Descriptors, number: int) -> Program:
    yield  # the peer is gone, or the time is up
    table.close(number)


def opens_another(table: Descriptors) -> Program:
    yield
    table.open("log")


def main() -> list[Program]:
    table = Descriptors()
    number = table.open("connection")

    def the_log_is_open() -> bool:
        return "log" in table.files.values()

    eventually(the_log_is_open)
    return [gives_up(table, number), gives_up(table, number), opens_another(table)]
