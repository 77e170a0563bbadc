"""What a program is measured with. CPU time is this process's own: user and system."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import NoReturn

PAGE = os.sysconf("SC_PAGE_SIZE")


class Meter:
    """Two clocks and a notebook. The whole run is measured unless the program starts and stops the clocks itself."""

    def __init__(self) -> None:
        self.figures: dict[str, float] = {}
        self.wall = self.cpu = 0.0

    def start(self) -> None:
        """What is measured begins (again: the last start counts)."""
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def stop(self) -> None:
        """What is measured ends."""
        cpu, wall = time.process_time(), time.perf_counter()
        self.note(wall=wall - self.wall, cpu=cpu - self.cpu)

    def note(self, **figures: float) -> None:
        """Record other figures. `cost` is the workload's own, already in its unit."""
        self.figures |= figures

    def report_and_exit(self) -> NoReturn:
        """For a program whose end is not measured and would take long: the process ends here."""
        self.report()
        os._exit(0)

    def report(self) -> None:
        """Hand the figures to the runner."""
        print(json.dumps({"figures": self.figures}), flush=True)
        sys.stdout.flush()


def resident() -> int:
    """Bytes of memory this process has in use now, as the system counts them."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * PAGE
