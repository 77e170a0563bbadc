"""memory: what one more task costs while it waits for an event (or a task's end), or sleeps. All resident memory."""

from bench.meter import resident
from bench.workload import Case, Promise, Skip, Workload


def case(tasks, sleeping, **sizes):
    return Case({"tasks": tasks, "sleeping": sleeping}, **sizes)


MILLION = 1_000_000
SIZES = {"quick": {"tasks": 10_000}, "tiny": {"tasks": 100}}

MEMORY = Workload(
    name="memory",
    about="bytes of resident memory for each task that waits for an event, or sleeps",
    unit="bytes/task",
    order=5,
    cases={
        "100,000 blocked": case(100_000, 0, **SIZES),
        "100,000 sleeping": case(100_000, 1, **SIZES),
        "1,000,000 blocked": case(MILLION, 0, tiny={"tasks": 100}),
        "1,000,000 sleeping": case(MILLION, 1, tiny={"tasks": 100}),
    },
    promises=[
        Promise("bytes a blocked task, against asyncio", "100,000 blocked", against="asyncio", at_most=0.5),
        Promise("… of 1,000,000", "1,000,000 blocked", against="asyncio", at_most=0.5),
    ],
)


def few_only(tasks):
    """A million tasks of a runtime whose tasks take kilobytes each may not fit this machine, and tell nothing new."""
    if tasks >= MILLION:
        raise Skip("a million would take gigabytes")


def tell(meter, before, tasks):
    """The tasks all wait: that is the moment. What follows is not measured, and would take long."""
    meter.stop()
    meter.note(cost=max(resident() - before, 0) / tasks)
    meter.report_and_exit()


@MEMORY.on("pyos")
def pyos(meter, tasks, sleeping):
    from pyos import Event, NewTask, Sleep

    def waits():
        yield never.wait()

    def sleeps():
        yield Sleep(3600)

    never = Event()
    before = resident()
    task = sleeps if sleeping else waits
    for _ in range(tasks):
        yield NewTask(task())
    yield
    tell(meter, before, tasks)


@MEMORY.on("asyncio", "uvloop")
async def asyncio(meter, tasks, sleeping):
    import asyncio

    async def waits():
        await never.wait()

    async def sleeps():
        await asyncio.sleep(3600)

    never = asyncio.Event()
    before = resident()
    task = sleeps if sleeping else waits
    kept = [asyncio.create_task(task()) for _ in range(tasks)]
    await asyncio.sleep(0)
    tell(meter, before, len(kept))


@MEMORY.on("pyos", variant="wait task")
def pyos_task(meter, tasks, sleeping):
    from pyos import NewTask, WaitTask

    def waits():
        yield WaitTask(1)

    if sleeping:
        raise Skip("sleeping is the other program's")
    before = resident()
    for _ in range(tasks):
        yield NewTask(waits())
    yield
    tell(meter, before, tasks)


@MEMORY.on("asyncio", variant="await task")
async def asyncio_task(meter, tasks, sleeping):
    import asyncio

    async def waits():
        await main

    if sleeping:
        raise Skip("sleeping is the other program's")
    main = asyncio.current_task()
    before = resident()
    kept = [asyncio.create_task(waits()) for _ in range(tasks)]
    await asyncio.sleep(0)
    tell(meter, before, len(kept))


@MEMORY.on("trio")
async def trio(meter, tasks, sleeping):
    import trio

    few_only(tasks)

    async def waits():
        await never.wait()

    async def sleeps():
        await trio.sleep(3600)

    never = trio.Event()
    before = resident()
    task = sleeps if sleeping else waits
    async with trio.open_nursery() as nursery:
        for _ in range(tasks):
            nursery.start_soon(task)
        await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()
        tell(meter, before, tasks)


@MEMORY.on("curio")
async def curio(meter, tasks, sleeping):
    import curio

    few_only(tasks)

    async def waits():
        await never.wait()

    async def sleeps():
        await curio.sleep(3600)

    never = curio.Event()
    before = resident()
    task = sleeps if sleeping else waits
    kept = [await curio.spawn(task) for _ in range(tasks)]
    await curio.sleep(0)
    tell(meter, before, len(kept))


@MEMORY.on("gevent")
def gevent(meter, tasks, sleeping):
    import gevent
    import gevent.event

    few_only(tasks)

    def waits():
        never.wait()

    def sleeps():
        gevent.sleep(3600)

    never = gevent.event.Event()
    before = resident()
    task = sleeps if sleeping else waits
    kept = [gevent.spawn(task) for _ in range(tasks)]
    gevent.sleep(0)
    tell(meter, before, len(kept))
