"""The cyclic garbage collector while the number of tasks grows to a new peak.

Python's collector looks through all that is alive each time a quarter has been added, so that 100,000 tasks that are
started are looked at five times over: 1.0 of the 3.2 µs that starting one takes. So each STEP tasks the youngest
objects are collected as ever, and what is left, which is as a rule alive, is put out of the collector's sight
(`gc.freeze`), until nothing is ready or the run is over. Whoever has frozen objects of their own, or has switched the
collector off, is left alone.
"""

from __future__ import annotations

import gc

SMALLEST = 4096  # tasks: with fewer, a full collection takes less than a millisecond
STEP = 256  # tasks that come up before the youngest objects would be collected anyway


class Collector:
    """What one kernel has put out of the collector's sight."""

    def __init__(self) -> None:
        self.peak = SMALLEST  # how many tasks there may be before they are put out of sight
        self.frozen = False

    def grown(self, tasks: int) -> None:
        """There are so many tasks, more than ever before."""
        if not gc.isenabled() or (not self.frozen and gc.get_freeze_count()):
            self.peak = 2 * tasks  # to count what others have frozen is a walk through it
            return
        self.peak = tasks + STEP
        gc.collect(0)
        gc.freeze()
        self.frozen = True

    def thaw(self) -> None:
        """The collector sees everything again."""
        if self.frozen:
            self.frozen = False
            gc.unfreeze()
