"""What is off costs nothing: a production kernel has no part of the checker in it, not even after a check.

How fast it is beside one that has never heard of checks is measured by `python -m bench.check_costs`.
"""

from __future__ import annotations

import subprocess
import sys
import types

import pyos
from pyos import Cell, GetTime, handles
from pyos.check import guards
from pyos.kernel import choice
from pyos.kernel.clock import RealClock
from pyos.kernel.kernel import Kernel, current_kernel
from pyos.kernel.syscalls import CALLS, bind
from tests.check.cases import crossed, ordered


def parts_of(kernel):
    """The parts that a check puts itself around, or replaces by its own."""
    return {
        part: getattr(kernel, part)
        for part in ("scheduler", "lifecycle", "signals", "timers", "table", "sync", "waits")
    } | {"kernel": kernel}


def names_replaced(thing):
    """Methods that are the object's own instead of its class's."""
    return {name for name, value in vars(thing).items() if name in dir(type(thing)) and callable(value)}


def assert_plain(kernel):
    assert type(kernel.scheduler.runq) is choice.Fifo
    assert type(kernel.clock) is RealClock
    assert kernel.choose is choice.first
    assert kernel.handlers == {**bind(), **CALLS}
    assert kernel.check is None
    assert {part for part, thing in parts_of(kernel).items() if names_replaced(thing)} == set()


def test_a_production_kernel_has_the_plain_parts_also_after_a_check():
    found = []

    def program():
        yield GetTime()
        found.append(current_kernel())
        assert_plain(current_kernel())

    pyos.run(program())
    pyos.check(crossed)
    pyos.check(ordered, strategy="dpor", isolated=True, budget=None)
    pyos.run(program())
    assert len(found) == 2


def test_a_kernel_under_check_is_seen_by_the_same_test():
    def program():
        kernel = current_kernel()
        assert type(kernel.scheduler.runq) is not choice.Fifo
        assert kernel.check is not None
        assert names_replaced(kernel.lifecycle)
        yield

    assert pyos.check(program).ok


def test_a_check_leaves_no_class_and_no_function_changed():
    kinds = [kind for kind in vars(handles).values() if isinstance(kind, type)] + [Kernel, *map(type, parts())]
    watched = [(owner, name) for owner, name, _ in guards.WATCHED]
    before = [dict(vars(kind)) for kind in kinds], [getattr(owner, name) for owner, name in watched]
    pyos.check(crossed)
    pyos.check(ordered, strategy="dpor", isolated=True, budget=None)
    assert ([dict(vars(kind)) for kind in kinds], [getattr(owner, name) for owner, name in watched]) == before
    assert sys.gettrace() is None
    assert sys.getprofile() is None


def parts():
    kernel = Kernel()
    try:
        return list(parts_of(kernel).values())
    finally:
        kernel.close()


def test_the_loop_is_the_same_function_for_both():
    plain = Kernel()
    plain.close()
    assert isinstance(plain.scheduler.turn, types.MethodType)
    assert "turn" not in vars(plain.scheduler)


def test_a_run_loads_nothing_of_the_checker():
    code = (
        "import sys, pyos\n"
        "def main():\n"
        "    yield pyos.NewTask(x for x in ())\n"
        "    pyos.always(bool)\n"
        "pyos.run(main())\n"
        "print([name for name in sys.modules if name.startswith('pyos.check.')])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100)
    assert done.stdout == "[]\n"


def test_a_handle_made_outside_a_check_names_nothing():
    pyos.check(ordered, strategy="dpor", isolated=True, budget=None)
    assert Cell(0).kernel_object is None
