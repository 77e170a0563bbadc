"""Exercise 2: a coroutine that sends on every nth item.

every(n, target) receives items, and sends the nth, the 2nth, the 3nth, … on to its target. A flow has an end: when the
coroutine is closed, it closes its target. It is primed by its decorator, so that items can be sent to it at once.

Run it: python3 THIS_FILE
Check it: python3 -m pyos lesson 2 --check THIS_FILE
"""

from pyos.lib.dataflow import coroutine, push, sink


@coroutine
def every(n, target):
    while True:
        item = yield
        target.send(item)  # TODO


if __name__ == "__main__":
    push(range(1, 11), every(3, sink(print)))
