"""spawn: start tasks and wait for each: one after another, or all of them alive at once until the last was started."""

from bench.workload import Case, Promise, Workload

ALL_AT_ONCE, ONE_BY_ONE = "all at once", "one by one"
SIZES = {"quick": {"tasks": 10_000}, "tiny": {"tasks": 5}}

SPAWN = Workload(
    name="spawn",
    about="start 100,000 tasks and wait for each of them",
    unit="µs/task",
    scale=1e6,
    order=4,
    cases={
        ALL_AT_ONCE: Case({"tasks": 100_000, "at_once": 1}, **SIZES),
        ONE_BY_ONE: Case({"tasks": 100_000, "at_once": 0}, **SIZES),
    },
    operations=lambda tasks, at_once: tasks,
    promises=[
        Promise("spawn and wait, all alive at once, against asyncio", ALL_AT_ONCE, against="asyncio", at_least=2),
    ],
)


@SPAWN.on("pyos")
def pyos(meter, tasks, at_once):
    from pyos import Event, NewTask, WaitTask

    def child(waits_for):
        if waits_for:
            yield waits_for.wait()
        return 1

    total = 0
    if at_once:
        opens = Event()
        tids = []
        for _ in range(tasks):
            tids.append((yield NewTask(child(opens))))
        yield opens.set()
        for tid in tids:
            total += (yield WaitTask(tid)).value
    else:
        for _ in range(tasks):
            total += (yield WaitTask((yield NewTask(child(None))))).value
    assert total == tasks


@SPAWN.on("asyncio", "uvloop")
async def asyncio(meter, tasks, at_once):
    import asyncio

    async def child(waits_for):
        if waits_for is not None:
            await waits_for
        return 1

    total = 0
    if at_once:
        opens = asyncio.get_running_loop().create_future()
        children = [asyncio.create_task(child(opens)) for _ in range(tasks)]
        await asyncio.sleep(0)
        opens.set_result(None)
        for task in children:
            total += await task
    else:
        for _ in range(tasks):
            total += await asyncio.create_task(child(None))
    assert total == tasks


@SPAWN.on("trio")
async def trio(meter, tasks, at_once):
    import trio

    async def child(waits_for):
        nonlocal total
        if waits_for is not None:
            await waits_for.wait()
        total += 1

    total = 0
    if at_once:
        opens = trio.Event()
        async with trio.open_nursery() as nursery:
            for _ in range(tasks):
                nursery.start_soon(child, opens)
            await trio.lowlevel.checkpoint()
            opens.set()
    else:
        for _ in range(tasks):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(child, None)
    assert total == tasks


@SPAWN.on("curio")
async def curio(meter, tasks, at_once):
    import curio

    async def child(waits_for):
        if waits_for is not None:
            await waits_for.wait()
        return 1

    total = 0
    if at_once:
        opens = curio.Event()
        children = [await curio.spawn(child, opens) for _ in range(tasks)]
        await curio.sleep(0)
        await opens.set()
        for task in children:
            total += await task.join()
    else:
        for _ in range(tasks):
            total += await (await curio.spawn(child, None)).join()
    assert total == tasks


@SPAWN.on("gevent")
def gevent(meter, tasks, at_once):
    import gevent
    import gevent.event

    def child(waits_for):
        if waits_for is not None:
            waits_for.wait()
        return 1

    total = 0
    if at_once:
        opens = gevent.event.Event()
        children = [gevent.spawn(child, opens) for _ in range(tasks)]
        gevent.sleep(0)
        opens.set()
        for task in children:
            total += task.get()
    else:
        for _ in range(tasks):
            total += gevent.spawn(child, None).get()
    assert total == tasks


@SPAWN.on("ancestor")
def ancestor(meter, tasks, at_once):
    """No task of that design can be killed while it waits, so the gate is one that lets others run until it is open."""
    from bench.peers.ancestor import NewTask, WaitTask

    def gate():
        while not opened:
            yield

    def child(waits_for):
        if waits_for is not None:
            yield WaitTask(waits_for)

    if at_once:
        opened = []
        opens = yield NewTask(gate())
        tids = []
        for _ in range(tasks):
            tids.append((yield NewTask(child(opens))))
        opened.append(True)
        for tid in tids:
            yield WaitTask(tid)
    else:
        for _ in range(tasks):
            yield WaitTask((yield NewTask(child(None))))
