"""events: a parser that pushes what it finds into a coroutine: starts, texts and ends of elements.

python -m pyos boot userland/course/part3_events/events.py FEED --first 8

The parser has no idea who listens, and the coroutine none of where events come from: SAX, or expat, which is faster.
Text comes in one piece, however the parser has cut it up.
"""

from pyos import Program
from pyos.lib.dataflow import chunks, expat_events, pump, sax_events, sink, take
from pyos.lib.options import Options, positive

PARSERS = {"expat": expat_events, "sax": sax_events}

OPTIONS = Options("events", __doc__)
OPTIONS.add_argument("feed", metavar="FEED", help="a file of XML")
OPTIONS.add_argument("--parser", choices=list(PARSERS), default="expat", help="which parser sends them (expat)")
OPTIONS.add_argument("--first", type=positive, metavar="N", help="end after so many events")


def main(*argv: str) -> Program:
    options = OPTIONS.parse_args(argv)
    target = sink(print)
    if options.first:
        target = take(options.first, target)
    with OPTIONS.complaints():
        yield pump(chunks(options.feed), PARSERS[options.parser](target, options.feed), breath=1)
