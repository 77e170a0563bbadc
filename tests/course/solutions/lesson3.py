"""The solution of exercise 3: the text of elements."""

from pyos.lib.dataflow import coroutine


@coroutine
def texts(tag, target):
    pieces = None  # a list inside the element
    while True:
        match (yield):
            case "start", (name, _) if name == tag:
                pieces = []
            case "text", text if pieces is not None:
                pieces.append(text)
            case "end", name if name == tag:
                target.send("".join(pieces))
                pieces = None
