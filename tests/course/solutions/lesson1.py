"""The solution of exercise 1: what is repeated is left out."""


def changes(items):
    before = object()  # equal to nothing
    for item in items:
        if item != before:
            yield item
        before = item
