"""channel, lock, messages: two tasks that pass an item to and fro, and four that want one lock."""

from bench.workload import WHOLE, Case, Promise, Workload

CASES = {WHOLE: Case({"times": 100_000}, quick={"times": 10_000}, tiny={"times": 10})}

CHANNEL = Workload(
    name="channel",
    about="two tasks and two channels of one place: an item goes there and back 100,000 times",
    unit="ns/round trip",
    order=9,
    cases=CASES,
    operations=lambda times: times,
    promises=[Promise("channel ping-pong, against asyncio.Queue", against="asyncio", at_least=3.5)],
)

MESSAGES = Workload(
    name="messages",
    about="two tasks that send each other a message 100,000 times",
    unit="ns/round trip",
    order=10,
    cases=CASES,
    operations=lambda times: times,
    promises=[Promise("Send and Receive, against asyncio.Queue", against="asyncio", at_least=3.5)],
)

LOCK = Workload(
    name="lock",
    about="four tasks that take one lock, let the others run, and release it, 100,000 times in all",
    unit="ns/acquire and release",
    order=11,
    cases=CASES,
    operations=lambda times: times,
    promises=[Promise("a lock wanted by four, against asyncio.Lock", against="asyncio", at_least=3)],
)


@CHANNEL.on("pyos")
def channel(meter, times):
    from pyos import Channel, NewTask, WaitTask

    there, back = Channel(1), Channel(1)

    def answers():
        for _ in range(times):
            yield back.put((yield there.get()))

    tid = yield NewTask(answers())
    for number in range(times):
        yield there.put(number)
        yield back.get()
    yield WaitTask(tid)


@MESSAGES.on("pyos")
def messages(meter, times):
    from pyos import NewTask, Receive, Send, WaitTask

    def answers():
        for _ in range(times):
            sender, message = yield Receive()
            yield Send(sender, message)

    tid = yield NewTask(answers())
    for number in range(times):
        yield Send(tid, number)
        yield Receive()
    yield WaitTask(tid)


@CHANNEL.on("asyncio", "uvloop")
@MESSAGES.on("asyncio", "uvloop")
async def queue(meter, times):
    import asyncio

    there, back = asyncio.Queue(1), asyncio.Queue(1)

    async def answers():
        for _ in range(times):
            await back.put(await there.get())

    task = asyncio.create_task(answers())
    for number in range(times):
        await there.put(number)
        await back.get()
    await task


@LOCK.on("pyos")
def lock(meter, times):
    from pyos import Lock, NewTask, WaitTask

    shared = Lock()

    def wants():
        for _ in range(times // 4):
            yield shared.acquire()
            yield
            yield shared.release()

    for _ in range(4):
        yield NewTask(wants())
    while (yield WaitTask()) is not None:
        pass


@LOCK.on("asyncio", "uvloop")
async def asyncio_lock(meter, times):
    import asyncio

    shared = asyncio.Lock()

    async def wants():
        for _ in range(times // 4):
            async with shared:
                await asyncio.sleep(0)

    await asyncio.gather(*(wants() for _ in range(4)))
