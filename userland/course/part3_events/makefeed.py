"""makefeed: write a feed of buses in XML, as large as you like, to try the other programs on.

python -m pyos boot --seed 1 userland/course/part3_events/makefeed.py FEED --buses 100

Each bus is an element with a dozen lines below it; some text is in CDATA, some has line breaks in it, as in real feeds.
The same seed makes the same feed.
"""

import random

from pyos import Program
from pyos import Random as RandomTrap
from pyos.lib.options import Options, count

OPTIONS = Options("makefeed", __doc__)
OPTIONS.add_argument("feed", metavar="FEED", help="the file to write")
SIZE = OPTIONS.add_mutually_exclusive_group()
SIZE.add_argument("--buses", type=count, default=100, metavar="N", help="how many buses (100)")
SIZE.add_argument("--megabytes", type=count, metavar="N", help="how large it has to be at least, instead")
OPTIONS.add_argument("--cut", action="store_true", help="stop in the middle of the last bus: a malformed feed")

BREATH = 200  # buses that are written at once, before others run
ROUTES = ["3", "8", "9", "22", "22", "22", "36", "147", "X9"]
DIRECTIONS = ["North Bound", "North\n         Bound", "South Bound", " South Bound ", "East Bound", "West Bound"]
STOPS = ["Main & 1st", "Main & 22nd", "Harbour <Gate 3>", "University", "Old Town"]
BUS = """\
  <bus>
    <id>{id}</id>
    <route>
      {route}
    </route>
    <direction>{direction}</direction>
    <latitude>{latitude:.6f}</latitude>
    <longitude>{longitude:.6f}</longitude>
    <speed unit="km/h">{speed}</speed>
    <nextStop><![CDATA[{stop}]]></nextStop>
    <passengers>{passengers}</passengers>
    <driver name="">unknown &amp; unnamed</driver>
    <!-- from the depot -->
  </bus>
"""


def bus(number: int, chance: random.Random) -> str:
    """One bus, somewhere in town."""
    some = chance.random  # the only method that gives the same numbers in every version of Python
    return BUS.format(
        id=1000 + number,
        route=ROUTES[int(some() * len(ROUTES))],
        direction=DIRECTIONS[int(some() * len(DIRECTIONS))],
        latitude=41.8 + some() / 5,
        longitude=-87.7 + some() / 5,
        speed=int(some() * 60),
        stop=STOPS[int(some() * len(STOPS))],
        passengers=int(some() * 80),
    )


def main(*argv: str) -> Program:
    options = OPTIONS.parse_args(argv)
    chance = random.Random(int((yield RandomTrap()) * 2**53))
    buses = size = 0
    with OPTIONS.complaints(), open(options.feed, "w") as feed:
        feed.write('<?xml version="1.0"?>\n<buses>\n')
        while size < options.megabytes * 1_000_000 if options.megabytes is not None else buses < options.buses:
            text = bus(buses, chance)
            feed.write(text)
            size += len(text)
            buses += 1
            if buses % BREATH == 0:
                yield
        if options.cut:
            feed.write(bus(buses, chance).partition("</route>")[0])
        else:
            feed.write("</buses>\n")
    print(f"{options.feed}: {buses} buses")
