"""Exercise 8: a trampoline on which errors travel.

trampoline(program) runs a generator with its subroutines: it yields what is no call, and returns what the program
returns. This is the one of part 8, and it knows of success only. Make it keep two more promises:

- An error that a subroutine does not catch is raised in its caller, where it yielded the call: `try` works as it does
  around an ordinary call. What nobody catches comes out of the trampoline.
- When the trampoline is closed, or has an error thrown in, at a yield of its own, that reaches the frame that yielded,
  and from there its callers: every `finally` runs, from the innermost frame outwards.

Run it: python3 THIS_FILE
Check it: python3 -m pyos lesson 8 --check THIS_FILE
"""

from types import GeneratorType


def trampoline(program):
    running, callers, answer = program, [], None
    while True:
        try:
            yielded = running.send(answer)
        except StopIteration as end:
            if not callers:
                return end.value
            running, answer = callers.pop(), end.value
            continue
        if isinstance(yielded, GeneratorType):
            callers.append(running)
            running, answer = yielded, None
        else:
            answer = yield yielded


def divide(x, y):
    yield f"dividing {x} by {y}"
    return x / y


def main():
    for y in (2, 0, 4):
        try:
            print("the result is", (yield divide(8, y)))
        except ZeroDivisionError as error:
            print("caught:", error)


if __name__ == "__main__":
    for request in trampoline(main()):
        print("the system sees:", request)
