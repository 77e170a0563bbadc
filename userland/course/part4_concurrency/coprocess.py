"""coprocess: a coroutine that runs in a process of its own, behind the same interface again.

python -m pyos boot userland/course/part4_concurrency/coprocess.py FEED

Now sender and target share nothing: batches of buses travel as bytes, and so do errors. The other process finds the
coroutine by the name of its function. A process may die at any moment (`--kill` lets this one): that is an error at the
next thing that is asked of it, never a hang.
"""

import os
import signal

from pyos import Program
from pyos.lib.dataflow import (
    Coroutine,
    WorkerDied,
    batch,
    chunks,
    coroutine,
    expat_events,
    process,
    pump,
    records,
)
from pyos.lib.options import Options

OPTIONS = Options("coprocess", __doc__)
OPTIONS.add_argument("feed", metavar="FEED", help="a file of XML with <bus> elements")
OPTIONS.add_argument("--kill", action="store_true", help="kill the process as soon as it runs")

BATCH = 50  # buses that travel together


@coroutine
def fullest(parent: int) -> Coroutine:
    """Of all the buses in the batches, remember the one with most passengers; say which at the end."""
    best, number = None, 0
    try:
        while True:
            for bus in (yield):
                number += 1
                if best is None or int(bus["passengers"]) > int(best["passengers"]):
                    best = bus
    except GeneratorExit:
        where = "the same" if os.getpid() == parent else "another"
        if best is not None:
            print(f"the fullest of {number} buses: {best['id']} with {best['passengers']} passengers")
        print(f"found by {where} process")


def main(*argv: str) -> Program:
    options = OPTIONS.parse_args(argv)
    with OPTIONS.complaints():
        worker = process(fullest, os.getpid())
        yield from worker.settle()  # it runs
        if options.kill:
            os.kill(worker.pid, signal.SIGKILL)
        flow = expat_events(records("bus", batch(BATCH, worker)), options.feed)
        try:
            yield pump(chunks(options.feed), flow, breath=1, worker=worker)
        except WorkerDied as error:
            OPTIONS.complain(str(error))
