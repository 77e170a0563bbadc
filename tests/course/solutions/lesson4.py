"""The solution of exercise 4: a target in a thread."""

import queue
import threading

END = object()


class InThread:
    def __init__(self, target):
        self.items = queue.SimpleQueue()
        self.thread = threading.Thread(target=self.work, args=(target,))
        self.thread.start()

    def work(self, target):
        while (item := self.items.get()) is not END:
            target.send(item)
        target.close()

    def send(self, item):
        self.items.put(item)

    def close(self):
        self.items.put(END)
        self.thread.join()
