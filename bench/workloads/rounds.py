"""rounds: start a million tasks, kill ten thousand sleepers, wait for all, and once more: what the second round leaves.

The time of the first round is its cost; memory that a second, identical round adds to it must not grow without end.
"""

from bench.meter import resident
from bench.workload import Case, Promise, Workload

WAITED, KILLED = "1,000,000 waited for", "10,000 killed"

ROUNDS = Workload(
    name="rounds",
    about="two identical rounds: the time of a task, and the memory that the second round adds",
    unit="µs/task",
    scale=1e6,
    order=8,
    cases={
        "100,000 waited for": Case({"tasks": 100_000, "killed": 0}, tiny={"tasks": 5}),
        WAITED: Case({"tasks": 1_000_000, "killed": 0}, quick={"tasks": 20_000}, tiny={"tasks": 5}),
        KILLED: Case({"tasks": 10_000, "killed": 1}, quick={"tasks": 2_000}, tiny={"tasks": 5}),
    },
    operations=lambda tasks, killed: 2 * tasks,
    extras={"growth": "MB"},
    promises=[
        Promise(
            "a task of 1,000,000 waited for, against one of 100,000",
            WAITED,
            against_case="100,000 waited for",
            at_most=1.5,
        ),
        Promise("MB that a second round of 1,000,000 adds", WAITED, figure="growth", at_most=10),
        Promise("MB that a second round of 10,000 killed adds", KILLED, figure="growth", at_most=10),
    ],
)


def tell(meter, memory):
    """Resident memory after each round."""
    first, second = memory
    meter.note(growth=max(second - first, 0) / 1e6)


@ROUNDS.on("pyos")
def pyos(meter, tasks, killed):
    from pyos import KillTask, NewTask, Sleep, WaitTask

    def child():
        yield

    def sleeper():
        yield Sleep(3600)

    memory = []
    for _ in range(2):
        tids = []
        for _ in range(tasks):
            tids.append((yield NewTask(sleeper() if killed else child())))
        yield
        if killed:
            for tid in tids:
                yield KillTask(tid)
        for tid in tids:
            yield WaitTask(tid)
        del tids
        memory.append(resident())
    tell(meter, memory)


@ROUNDS.on("asyncio")
async def asyncio(meter, tasks, killed):
    import asyncio

    async def child():
        await asyncio.sleep(0)

    async def sleeper():
        await asyncio.sleep(3600)

    memory = []
    for _ in range(2):
        children = [asyncio.create_task(sleeper() if killed else child()) for _ in range(tasks)]
        await asyncio.sleep(0)
        if killed:
            for task in children:
                task.cancel()
        await asyncio.wait(children)
        del children
        memory.append(resident())
    tell(meter, memory)
