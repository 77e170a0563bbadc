"""The solution of exercise 2: every nth item is sent on."""

from pyos.lib.dataflow import coroutine


@coroutine
def every(n, target):
    seen = 0
    try:
        while True:
            item = yield
            seen += 1
            if seen % n == 0:
                target.send(item)
    finally:
        target.close()
