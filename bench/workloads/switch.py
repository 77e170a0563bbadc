"""switch: many tasks, each of which lets the others run again and again and does nothing else."""

from collections import deque

from bench.workload import WHOLE, Case, Promise, Workload

SWITCH = Workload(
    name="switch",
    about="1,000 tasks that let the others run 1,000 times each",
    unit="ns/switch",
    order=1,
    cases={WHOLE: Case({"tasks": 1000, "times": 1000}, quick={"times": 100}, tiny={"tasks": 5, "times": 3})},
    operations=lambda tasks, times: tasks * times,
    promises=[
        Promise("switch, against asyncio", against="asyncio", at_least=10),
        Promise("switch, against asyncio on uvloop", against="uvloop", at_least=4.5),
        Promise("switch, against the bare loop", against="bare", at_least=0.75),
    ],
)


@SWITCH.on("pyos")
def pyos(meter, tasks, times):
    from pyos import NewTask, WaitTask

    def worker():
        for _ in range(times):
            yield

    tids = []
    for _ in range(tasks):
        tids.append((yield NewTask(worker())))
    for tid in tids:
        yield WaitTask(tid)


@SWITCH.on("asyncio", "uvloop")
async def asyncio(meter, tasks, times):
    import asyncio

    async def worker():
        for _ in range(times):
            await asyncio.sleep(0)

    await asyncio.gather(*[worker() for _ in range(tasks)])


@SWITCH.on("trio")
async def trio(meter, tasks, times):
    import trio

    async def worker():
        for _ in range(times):
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        for _ in range(tasks):
            nursery.start_soon(worker)


@SWITCH.on("curio")
async def curio(meter, tasks, times):
    import curio

    async def worker():
        for _ in range(times):
            await curio.sleep(0)

    async with curio.TaskGroup() as group:
        for _ in range(tasks):
            await group.spawn(worker)


@SWITCH.on("gevent")
def gevent(meter, tasks, times):
    import gevent

    def worker():
        for _ in range(times):
            gevent.sleep(0)

    gevent.joinall([gevent.spawn(worker) for _ in range(tasks)])


@SWITCH.on("ancestor")
def ancestor(meter, tasks, times):
    from bench.peers.ancestor import NewTask, WaitTask

    def worker():
        for _ in range(times):
            yield

    tids = []
    for _ in range(tasks):
        tids.append((yield NewTask(worker())))
    for tid in tids:
        yield WaitTask(tid)


@SWITCH.on("bare")
def bare(meter, tasks, times):
    def worker():
        for _ in range(times):
            yield

    ready = deque(worker() for _ in range(tasks))
    popleft, append = ready.popleft, ready.append
    while ready:
        task = popleft()
        try:
            task.send(None)
        except StopIteration:
            continue
        append(task)
