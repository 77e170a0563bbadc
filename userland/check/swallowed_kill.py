"""swallowed_kill: a group is killed while it waits for its members. BUG: it takes the kill for the end of one member.

It kills that one, and goes on to wait for the next, which nobody will ever end.
"""

import math

from pyos import Event, KillTask, NewTask, Program, TaskKilled, WaitTask


def member(never: Event) -> Program:
    yield never.wait()


def group(never: Event) -> Program:
    """Start two members and wait for both."""
    members = []
    for _ in range(2):
        members.append((yield NewTask(member(never))))
    for tid in members:
        try:
            yield WaitTask(tid)
        except TaskKilled:
            yield KillTask(tid)


def main() -> Program:
    team = yield NewTask(group(Event("never")))
    yield KillTask(team, grace=math.inf)
    status = yield WaitTask(team)
    assert status.signal is not None, "the group was killed, and says that it ended well"
