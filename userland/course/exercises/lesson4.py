"""Exercise 4: a target that works in a thread.

InThread(target) stands in front of a coroutine, and has two methods of its own. send(item) goes on at once: a thread,
always the same one, sends the item to the target, in the order of sending. close() waits until the target has received
every item, has the thread close the target, and comes back when the thread has ended.

Run it: python3 THIS_FILE
Check it: python3 -m pyos lesson 4 --check THIS_FILE
"""

import queue  # noqa: F401
import threading

from pyos.lib.dataflow import coroutine


class InThread:
    def __init__(self, target):
        self.target = target

    def send(self, item):
        self.target.send(item)  # TODO: not here, in the thread

    def close(self):
        self.target.close()  # TODO


@coroutine
def printer():
    try:
        while True:
            item = yield
            print(f"{item} in {threading.current_thread().name}")
    finally:
        print("closed")


if __name__ == "__main__":
    target = InThread(printer())
    for number in range(3):
        target.send(number)
    target.close()
