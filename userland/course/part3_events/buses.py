"""buses: from XML to the buses you wait for: events become dicts, dicts are filtered, and what is left is printed.

python -m pyos boot userland/course/part3_events/buses.py FEED --route 22 --direction "North Bound"

Each step is a coroutine, and a feed of any size passes through them a piece at a time. `--parser iterparse` does the
same with ElementTree, which builds each element as an object first.

    chunks of bytes ─ events ─ one dict a bus ─ filter on route ─ filter on direction ─ print
"""

from pyos import Program
from pyos.lib.dataflow import (
    Coroutine,
    Target,
    chunks,
    coroutine,
    expat_events,
    iterparse_records,
    outlet,
    pump,
    records,
    sax_events,
    sink,
)
from pyos.lib.options import Options

PARSERS = {"expat": expat_events, "sax": sax_events}

OPTIONS = Options("buses", __doc__)
OPTIONS.add_argument("feed", metavar="FEED", help="a file of XML with <bus> elements")
OPTIONS.add_argument("--route", metavar="ROUTE", help="only buses on this route")
OPTIONS.add_argument("--direction", metavar="DIRECTION", help="only buses in this direction")
OPTIONS.add_argument("--parser", choices=[*PARSERS, "iterparse"], default="expat", help="how to read it (expat)")


@coroutine
def where(field: str, value: str, target: Target) -> Coroutine:
    """Send on the buses whose field has that value."""
    with outlet(target) as send:
        while True:
            bus = yield
            if bus.get(field) == value:
                send(bus)


def line_of(bus: dict[str, str]) -> str:
    """route,id,"direction",latitude,longitude"""
    route, number, latitude, longitude = (bus.get(field, "") for field in ("route", "id", "latitude", "longitude"))
    direction = bus.get("direction", "").replace('"', '""')
    return f'{route},{number},"{direction}",{latitude},{longitude}'


def show(bus: dict[str, str]) -> None:
    print(line_of(bus))


def flow(options) -> Target:
    """The filters that the options ask for, and the printer."""
    target = sink(show)
    for field in ("direction", "route"):
        value = getattr(options, field)
        if value is not None:
            target = where(field, value, target)
    return target


def main(*argv: str) -> Program:
    options = OPTIONS.parse_args(argv)
    with OPTIONS.complaints():
        if options.parser == "iterparse":
            yield pump(iterparse_records(options.feed, "bus"), flow(options))
        else:
            events = PARSERS[options.parser](records("bus", flow(options)), options.feed)
            yield pump(chunks(options.feed), events, breath=1)
