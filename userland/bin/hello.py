"""hello: greet, and say which task does."""

from pyos import GetTid, Program


def main(name: str = "world") -> Program:
    tid = yield GetTid()
    print(f"Hello, {name}, from task {tid}!")
