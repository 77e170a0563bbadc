"""timers: many tasks sleep once, each for another time of 0 to 1 s; CPU time from the first spawn to the last end."""

import random

from bench.workload import WHOLE, Case, Promise, Workload

TIMERS = Workload(
    name="timers",
    about="100,000 tasks that sleep for 0 to 1 s",
    unit="µs/timer",
    scale=1e6,
    order=6,
    cases={WHOLE: Case({"tasks": 100_000}, quick={"tasks": 10_000}, tiny={"tasks": 20})},
    operations=lambda tasks: tasks,
    promises=[Promise("CPU of 100,000 timers, against asyncio", against="asyncio", at_most=0.45)],
)


def durations(tasks):
    """The same for everyone."""
    source = random.Random(2009)
    return [source.random() for _ in range(tasks)]


@TIMERS.on("pyos")
def pyos(meter, tasks):
    from pyos import NewTask, Sleep, WaitTask

    def child(seconds):
        yield Sleep(seconds)

    tids = []
    for seconds in durations(tasks):
        tids.append((yield NewTask(child(seconds))))
    for tid in tids:
        yield WaitTask(tid)


@TIMERS.on("asyncio", "uvloop")
async def asyncio(meter, tasks):
    import asyncio

    async def child(seconds):
        await asyncio.sleep(seconds)

    for task in [asyncio.create_task(child(seconds)) for seconds in durations(tasks)]:
        await task


@TIMERS.on("trio")
async def trio(meter, tasks):
    import trio

    async with trio.open_nursery() as nursery:
        for seconds in durations(tasks):
            nursery.start_soon(trio.sleep, seconds)


@TIMERS.on("curio")
async def curio(meter, tasks):
    import curio

    for task in [await curio.spawn(curio.sleep, seconds) for seconds in durations(tasks)]:
        await task.join()


@TIMERS.on("gevent")
def gevent(meter, tasks):
    import gevent

    gevent.joinall([gevent.spawn(gevent.sleep, seconds) for seconds in durations(tasks)])
