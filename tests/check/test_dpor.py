"""The reduction is sound: what all schedules show, dpor shows with one run for each trace."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, assume, given, settings

from tests.check.explore import TooMany, by_brute_force, by_dpor
from tests.check.random_programs import program_of, programs

EXAMPLES = int(os.environ.get("PYOS_DPOR_EXAMPLES", "150"))
MOST = 150  # schedules of one program
CUT_SHORT = {"error", "assertion", "leak"}  # failures that end a run before its trace is complete


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs)
def test_dpor_sees_the_outcomes_and_the_failures_of_every_schedule_of_a_random_program(described):
    program = program_of(described)
    try:
        outcomes, traces, _ = by_brute_force(program, MOST)
    except TooMany:
        assume(False)
    reduced, runs = by_dpor(program)
    assert reduced == outcomes
    if not outcomes & CUT_SHORT:
        assert runs == len(traces)
