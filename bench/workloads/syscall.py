"""syscall: one task that asks the system for its own number again and again; the answer is there at once."""

from bench.workload import WHOLE, Case, Promise, Workload

SYSCALL = Workload(
    name="syscall",
    about="one task that makes a call 1,000,000 times which is answered at once",
    unit="ns/call",
    order=2,
    cases={WHOLE: Case({"times": 1_000_000}, quick={"times": 100_000}, tiny={"times": 10})},
    operations=lambda times: times,
    promises=[Promise("a syscall answered at once, against a bare yield", against="pyos bare yield", at_most=1.3)],
)


@SYSCALL.on("pyos")
def pyos(meter, times):
    from pyos import GetTid

    call = GetTid()
    for _ in range(times):
        yield call


@SYSCALL.on("pyos", variant="fresh trap")
def pyos_fresh(meter, times):
    from pyos import GetTid

    for _ in range(times):
        yield GetTid()


@SYSCALL.on("pyos", variant="bare yield")
def pyos_bare(meter, times):
    for _ in range(times):
        yield


@SYSCALL.on("curio")
async def curio(meter, times):
    import curio

    for _ in range(times):
        await curio.current_task()


@SYSCALL.on("ancestor")
def ancestor(meter, times):
    from bench.peers.ancestor import GetTid

    call = GetTid()
    for _ in range(times):
        yield call
