"""Exercise 3: a coroutine that finds the text of elements.

texts(tag, target) receives the events of a parser, ("start", (name, attrs)), ("text", string), ("end", name), and sends
to its target, for each element called `tag`, all text inside, in one piece: also what is in elements within it, and ""
if there is none. Text elsewhere does not count. No such element is inside another of its kind.

Run it: python3 THIS_FILE
Check it: python3 -m pyos lesson 3 --check THIS_FILE
"""

from pyos.lib.dataflow import coroutine, expat_events, push, sink

FEED = b"<news><title>One <b>bold</b> word</title><p>no title</p><title/></news>"


@coroutine
def texts(tag, target):
    while True:
        event, value = yield
        # TODO: what to do depends on the event, and on where in the feed we are
        if event == "text":
            target.send(value)


if __name__ == "__main__":
    push([FEED], expat_events(texts("title", sink(lambda text: print(repr(text)))), "FEED"))
