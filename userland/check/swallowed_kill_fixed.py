"""swallowed_kill_fixed: a group that is killed kills all of its members, and lets the kill pass."""

import math

from pyos import Event, KillTask, NewTask, Program, TaskKilled, WaitTask


def member(never: Event) -> Program:
    yield never.wait()


def group(never: Event) -> Program:
    """Start two members and wait for both."""
    members = []
    try:
        for _ in range(2):
            members.append((yield NewTask(member(never))))
        for tid in members:
            yield WaitTask(tid)
    except TaskKilled:
        for tid in members:
            yield KillTask(tid)
        raise


def main() -> Program:
    team = yield NewTask(group(Event("never")))
    yield KillTask(team, grace=math.inf)
    status = yield WaitTask(team)
    assert status.signal is not None, "the group was killed, and says that it ended well"
