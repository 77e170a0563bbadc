"""subroutine: one task calls subroutines so many levels deep; the innermost lets others run, once or 20 times.

`traps` is what the innermost yields before the whole stack returns. The trampoline's levels cost at each call, those of
`yield from` and `await` at each call less, and again at every resume.
"""

from bench.workload import Case, Promise, Workload


def case(depth, traps, quick=None):
    """Calls are fewer where each is longer."""
    return Case({"depth": depth, "traps": traps, "calls": 400_000 // (depth + traps)}, quick, {"calls": 3})


def name(depth, traps):
    return f"depth {depth}, {traps} trap{'s' * (traps > 1)}"


SUBROUTINE = Workload(
    name="subroutine",
    about="a call so many levels deep, with so many yields inside",
    unit="µs/call",
    scale=1e6,
    order=3,
    cases={
        name(depth, traps): case(depth, traps, quick={"calls": 2_000} if depth == 10 else None)
        for depth in (1, 10, 50)
        for traps in (1, 20)
    },
    operations=lambda depth, traps, calls: calls,
    promises=[
        Promise("`yield sub()`, depth 10, against a minimal trampoline", name(10, 1), against="trampoline", at_most=1.3)
    ],
)


@SUBROUTINE.on("pyos", "trampoline")
def calls_by_yield(meter, depth, traps, calls):
    def sub(level):
        if level == 1:
            for _ in range(traps):
                yield
            return 1
        return 1 + (yield sub(level - 1))

    for _ in range(calls):
        answer = yield sub(depth)
        assert answer == depth


@SUBROUTINE.on("pyos", variant="yield from")
def calls_by_yield_from(meter, depth, traps, calls):
    def sub(level):
        if level == 1:
            for _ in range(traps):
                yield
            return 1
        return 1 + (yield from sub(level - 1))

    for _ in range(calls):
        answer = yield from sub(depth)
        assert answer == depth


@SUBROUTINE.on("ancestor")
def ancestor(meter, depth, traps, calls):
    """A subroutine of that design returns by yielding a value, so what it yields besides are traps."""
    from bench.peers.ancestor import GetTid

    call = GetTid()

    def sub(level):
        if level == 1:
            for _ in range(traps):
                yield call
            yield 1
        else:
            yield 1 + (yield sub(level - 1))

    for _ in range(calls):
        answer = yield sub(depth)
        assert answer == depth


@SUBROUTINE.on("asyncio", "uvloop")
async def asyncio(meter, depth, traps, calls):
    import asyncio

    async def sub(level):
        if level == 1:
            for _ in range(traps):
                await asyncio.sleep(0)
            return 1
        return 1 + await sub(level - 1)

    for _ in range(calls):
        answer = await sub(depth)
        assert answer == depth


@SUBROUTINE.on("trio")
async def trio(meter, depth, traps, calls):
    import trio

    async def sub(level):
        if level == 1:
            for _ in range(traps):
                await trio.lowlevel.checkpoint()
            return 1
        return 1 + await sub(level - 1)

    for _ in range(calls):
        answer = await sub(depth)
        assert answer == depth


@SUBROUTINE.on("curio")
async def curio(meter, depth, traps, calls):
    import curio

    async def sub(level):
        if level == 1:
            for _ in range(traps):
                await curio.sleep(0)
            return 1
        return 1 + await sub(level - 1)

    for _ in range(calls):
        answer = await sub(depth)
        assert answer == depth
