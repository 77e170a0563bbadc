"""watchdog: what it costs, as a ratio: the same switches with it and without it by turns, many times in one process."""

from contextlib import nullcontext
from statistics import median
from time import process_time

from bench.workload import WHOLE, Case, Promise, Workload

WATCHDOG = Workload(
    name="watchdog",
    about="1,000 tasks that switch, with the watchdog on, against the same with it off",
    unit="× without",
    order=12,
    cases={
        WHOLE: Case(
            {"tasks": 1000, "times": 2000, "pairs": 15},
            quick={"times": 500, "pairs": 3},
            tiny={"tasks": 5, "times": 3, "pairs": 1},
            headline=False,
        )
    },
    promises=[Promise("CPU of a switch with the watchdog, against without", at_most=1.01)],
)


@WATCHDOG.on("pyos")
def pyos(meter, tasks, times, pairs):
    from pyos import NewTask, WaitTask
    from pyos.kernel.kernel import current_kernel
    from pyos.kernel.watchdog import watching

    def worker():
        for _ in range(times):
            yield

    def crowd():
        tids = []
        for _ in range(tasks):
            tids.append((yield NewTask(worker())))
        for tid in tids:
            yield WaitTask(tid)

    ratios = []
    for number in range(pairs):
        spent = [0.0, 0.0]
        for watched in (number % 2, 1 - number % 2):
            with watching(current_kernel()) if watched else nullcontext():
                start = process_time()
                yield crowd()
                spent[watched] = process_time() - start
        ratios.append(spent[True] / spent[False])
    meter.note(cost=median(ratios))
