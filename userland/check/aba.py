"""aba: a stack without locks, by compare-and-swap of its top. BUG: the same top need not be the same stack.

One task reads the top A and what is below it, B. Meanwhile another pops A and B and pushes A back: the top is A again,
the swap succeeds, and B, which is in use, is the top of the stack.
"""

from pyos import Program, eventually


class Stack:
    def __init__(self) -> None:
        self.top: str | None = "A"
        self.below: dict[str, str | None] = {"A": "B", "B": None}
        self.in_use: set[str] = set()


def pop(stack: Stack) -> Program:
    while (top := stack.top) is not None:
        below = stack.below[top]
        yield  # others may run between the look and the swap
        if stack.top == top:
            stack.top = below
            stack.in_use.add(top)
            return top
    return None


def push(stack: Stack, item: str) -> None:
    stack.in_use.discard(item)
    stack.below[item] = stack.top
    stack.top = item


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
        return stack.top not in stack.in_use

    eventually(what_is_in_use_is_not_in_the_stack)
    return [one_pop(stack), two_pops_and_a_push(stack)]
