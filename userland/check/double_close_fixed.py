"""double_close_fixed: a connection forgets its number when it is closed, so that a second close does nothing."""

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
        del self.files[number]


class Connection:
    def __init__(self, table: Descriptors) -> None:
        self.table = table
        self.number: int | None = table.open("connection")

    def close(self) -> None:
        number, self.number = self.number, None
        if number is not None:
            self.table.close(number)


def gives_up(connection: Connection) -> Program:
    yield  # the peer is gone, or the time is up
    connection.close()


def opens_another(table: Descriptors) -> Program:
    yield
    table.open("log")


def main() -> list[Program]:
    table = Descriptors()
    connection = Connection(table)

    def the_log_is_open() -> bool:
        return "log" in table.files.values()

    eventually(the_log_is_open)
    return [gives_up(connection), gives_up(connection), opens_another(table)]
