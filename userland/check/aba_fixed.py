"""aba_fixed: the top has a version, which every change increases, and the swap compares both."""

from pyos import Program, eventually


class Stack:
    def __init__(self) -> None:
        self.top: tuple[str | None, int] = ("A", 0)
        self.below: dict[str, str | None] = {"A": "B", "B": None}
        self.in_use: set[str] = set()


def pop(stack: Stack) -> Program:
    while True:
        top, version = stack.top
        if top is None:
            return None
        below = stack.below[top]
        yield  # others may run between the look and the swap
        if stack.top == (top, version):
            stack.top = (below, version + 1)
            stack.in_use.add(top)
            return top


def push(stack: Stack, item: str) -> None:
    stack.in_use.discard(item)
    stack.below[item], version = stack.top
    stack.top = (item, version + 1)


def one_pop(stack: Stack) -> Program:
    yield pop(stack)


def two_pops_and_a_push(stack: Stack) -> Program:
    first = yield pop(stack)
    yield pop(stack)
    yield
    if first is not None:
        push(stack, first)


def main() -> list[Program]:
    stack = Stack()

    def what_is_in_use_is_not_in_the_stack() -> bool:
        return stack.top[0] not in stack.in_use

    eventually(what_is_in_use_is_not_in_the_stack)
    return [one_pop(stack), two_pops_and_a_push(stack)]
