"""kill: tasks that sleep are killed one by one, so that they can clean up, and waited for. Only that is measured."""

from bench.workload import Case, Promise, Workload

KILL = Workload(
    name="kill",
    about="kill sleeping tasks and wait until they have ended",
    unit="µs/task",
    scale=1e6,
    order=7,
    cases={
        "10,000 sleepers": Case({"tasks": 10_000}, quick={"tasks": 2_000}, tiny={"tasks": 5}),
        "100,000 sleepers": Case({"tasks": 100_000}, tiny={"tasks": 5}),
    },
    operations=lambda tasks: tasks,
    promises=[
        Promise(
            "a sleeper killed of 100,000, against one of 10,000",
            "100,000 sleepers",
            against_case="10,000 sleepers",
            at_most=1.5,
        )
    ],
)


@KILL.on("pyos")
def pyos(meter, tasks):
    from pyos import KillTask, NewTask, Sleep, WaitTask

    def sleeper():
        yield Sleep(3600)

    tids = []
    for _ in range(tasks):
        tids.append((yield NewTask(sleeper())))
    yield
    meter.start()
    for tid in tids:
        yield KillTask(tid)
    for tid in tids:
        yield WaitTask(tid)
    meter.stop()


@KILL.on("asyncio", "uvloop")
async def asyncio(meter, tasks):
    import asyncio

    async def sleeper():
        await asyncio.sleep(3600)

    children = [asyncio.create_task(sleeper()) for _ in range(tasks)]
    await asyncio.sleep(0)
    meter.start()
    for child in children:
        child.cancel()
    await asyncio.wait(children)
    meter.stop()


@KILL.on("trio")
async def trio(meter, tasks):
    """trio kills scopes rather than tasks: each sleeper has one."""
    import trio

    async def sleeper(scope):
        with scope:
            await trio.sleep(3600)

    scopes = [trio.CancelScope() for _ in range(tasks)]
    async with trio.open_nursery() as nursery:
        for scope in scopes:
            nursery.start_soon(sleeper, scope)
        await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()
        meter.start()
        for scope in scopes:
            scope.cancel()
    meter.stop()


@KILL.on("curio")
async def curio(meter, tasks):
    import curio

    async def sleeper():
        await curio.sleep(3600)

    children = [await curio.spawn(sleeper) for _ in range(tasks)]
    await curio.sleep(0)
    meter.start()
    for child in children:
        await child.cancel(blocking=False)
    for child in children:
        await child.wait()
    meter.stop()


@KILL.on("gevent")
def gevent(meter, tasks):
    import gevent

    children = [gevent.spawn(gevent.sleep, 3600) for _ in range(tasks)]
    gevent.sleep(0)
    meter.start()
    gevent.killall(children)
    meter.stop()
