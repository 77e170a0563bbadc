"""--debug: every trap that was collected without having been yielded is reported, and none that was yielded."""

import contextlib
import sys

import pytest

from pyos import GetTid, KillTask, NewTask, Sleep, WaitTask
from pyos.kernel.syscalls import HANDLERS
from pyos.lib.sockets import connect, listen
from pyos.observe.debug import Unyielded
from pyos.observe.strace import Strace
from pyos.traps import Trap
from tests.kernel.programs import outcome, yields


@pytest.fixture
def reports(run):
    """Run a program under --debug; answers the reports."""

    def debugged(function, **options):
        lines = []
        unyielded = Unyielded(lines.append)
        with unyielded.watching():
            run(function(), wrappers=[unyielded.wrap], **options)
        assert unyielded.born == {}
        return lines

    return debugged


def line_below():
    """The line after that which the caller is at."""
    return f"{__file__}:{sys._getframe(1).f_lineno + 1}"


def test_a_trap_that_is_built_and_dropped_is_reported_with_its_line(reports):
    where = []

    def main():
        where.append(line_below())
        Sleep(1)
        yield

    assert reports(main) == [f"warning: {where[0]}: Sleep(...) was never yielded"]


def test_where_it_was_built_counts_and_not_where_it_was_dropped(reports):
    where = []

    def build():
        where.append(line_below())
        return KillTask(3)

    def main():
        trap = build()
        yield
        del trap

    assert reports(main) == [f"warning: {where[0]}: KillTask(...) was never yielded"]


def test_each_one_is_reported(reports):
    def main():
        for _ in range(3):
            GetTid()
        WaitTask(3)
        yield

    kinds = [line.split()[2] for line in reports(main)]
    assert kinds == ["GetTid(...)"] * 3 + ["WaitTask(...)"]


def test_traps_that_are_yielded_are_not(reports):
    async def aio():
        await Sleep(0)
        return await GetTid()

    def main():
        again = Sleep(1)
        for _ in range(3):
            yield again
        yield from sub()
        yield sub()
        yield aio()
        yield outcome(Sleep(-1))  # answered with an error
        yield WaitTask((yield NewTask(sub())))

    def sub():
        return (yield GetTid())

    assert reports(main) == []


def test_those_of_clean_up_under_kill_are_not(reports):
    def child():
        try:
            yield Sleep(9)
        finally:
            yield GetTid()

    def main():
        tid = yield NewTask(child())
        yield
        yield KillTask(tid, 9)

    assert reports(main) == []


def test_a_trap_in_the_place_of_another_is_told_apart(reports):
    """The same address comes back at once."""

    def main():
        yield GetTid()
        GetTid()
        yield GetTid()
        yield

    assert len(reports(main)) == 1


def test_the_spare_traps_of_the_librarys_sockets_are_not(reports):
    """A socket keeps a trap for each direction, and may never wait to write."""

    def main():
        with listen() as server:
            conn = yield connect(*server.address)
            with conn, (yield server.accept())[0] as peer:
                yield conn.sendall(b"x")
                assert (yield peer.recv()) == b"x"

    assert reports(main) == []


def test_a_trap_yielded_in_a_sequence_is_reported(reports):
    """BadTrap says so as well."""

    def main():
        yield outcome([Sleep(1)])

    assert [line.split()[2] for line in reports(main)] == ["Sleep(...)"]


def test_traps_still_work_as_values(reports):
    def main():
        trap = Sleep(seconds=2)
        assert (repr(trap), trap.seconds) == ("Sleep(seconds=2)", 2)
        yield trap

    assert reports(main) == []


def test_off_it_costs_nothing(make_kernel):
    plain = make_kernel()
    assert all(plain.handlers[kind] is HANDLERS[kind] for kind in HANDLERS)
    assert not hasattr(Trap, "__del__")


def test_afterwards_it_is_gone():
    lines = []
    unyielded = Unyielded(lines.append)
    with contextlib.suppress(ValueError), unyielded.watching():
        survivor = Sleep(2)
        assert len(unyielded.born) == 1
        raise ValueError
    assert not hasattr(Trap, "__del__")
    dropped = Sleep(seconds=3)
    assert (survivor.seconds, dropped.seconds, unyielded.born) == (2, 3, {})
    with pytest.raises(TypeError):
        Sleep(1, 2)
    del survivor, dropped
    assert lines == []


def test_a_trap_built_before_is_nobodys_business(make_kernel):
    lines = []
    old = Sleep(1)
    with Unyielded(lines.append).watching():
        del old
    assert lines == []


def test_it_goes_together_with_strace(run):
    lines, reported = [], []
    unyielded = Unyielded(reported.append)

    def main():
        yield GetTid()
        Sleep(1)
        yield yields(1)

    with unyielded.watching():
        run(main(), wrappers=[Strace(lines.append).wrap, unyielded.wrap])
    assert [line.partition("] ")[2] for line in lines] == ["GetTid() = 1"]
    assert len(reported) == 1
