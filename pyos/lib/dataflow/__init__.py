"""Dataflow: coroutines that are sent items and send them on, the same inside a kernel and without one.

Read core.py first: how a flow begins and ends. Then, as you need them: stages.py (broadcast, fan-in, filters, batches),
follow.py (a growing log as a source), xmlevents.py (XML as a flow), threads.py and processes.py (targets elsewhere).

    with a kernel:     yield pump(follow("access.log"), filtered(is_error, sink(print)))
    without one:       push(open("access.log"), filtered(is_error, sink(print)))

A stage never waits and knows no kernel: only the source, which is a task, yields traps.
"""

from pyos.lib.dataflow.core import Coroutine, Target, Worker, coroutine, outlet, pump, push
from pyos.lib.dataflow.follow import Tail, follow
from pyos.lib.dataflow.processes import Process, RemoteError, WorkerDied, process
from pyos.lib.dataflow.stages import batch, broadcast, fan_in, filtered, mapped, sink, take, throttle
from pyos.lib.dataflow.threads import Threaded, threaded
from pyos.lib.dataflow.xmlevents import XMLError, chunks, expat_events, iterparse_records, records, sax_events

__all__ = [
    "Coroutine",
    "Process",
    "RemoteError",
    "Tail",
    "Target",
    "Threaded",
    "Worker",
    "WorkerDied",
    "XMLError",
    "batch",
    "broadcast",
    "chunks",
    "coroutine",
    "expat_events",
    "fan_in",
    "filtered",
    "follow",
    "iterparse_records",
    "mapped",
    "outlet",
    "process",
    "pump",
    "push",
    "records",
    "sax_events",
    "sink",
    "take",
    "threaded",
    "throttle",
]
