"""The manual and the README's table of traps: both are derived from the traps' own docstrings."""

import ast
import inspect
import re

import pytest

import pyos
from pyos import Exit, GetTime, Sleep, traps
from pyos.kernel.syscalls import HANDLERS
from pyos.manual import all_handles, all_traps, page, signature, summary, trap_table
from tests.system import ROOT

KINDS = pytest.mark.parametrize("kind", all_traps(), ids=lambda kind: kind.__name__)


def test_the_manual_knows_every_trap_that_is_handled_and_exported():
    kinds = all_traps()
    assert set(kinds) == set(HANDLERS)
    assert {kind.__name__ for kind in kinds} <= set(pyos.__all__)
    assert [kind.__name__ for kind in kinds[:3]] == ["GetTid", "NewTask", "Exec"]  # in the order of the vocabulary


def test_the_readmes_table_is_the_manuals():
    assert trap_table() in (ROOT / "README.md").read_text(), "paste trap_table() into the README"


@KINDS
def test_the_first_line_of_a_docstring_says_what_it_does(kind):
    line = summary(kind)
    assert line.endswith(".")
    assert len(line) <= 120
    assert "|" not in line  # it is a cell of a Markdown table
    assert kind.__name__ not in line


@KINDS
def test_a_page_is_the_call_and_the_docstring(kind):
    lines = page(kind.__name__).split("\n")
    assert lines[:2] == [signature(kind), ""]
    assert "\n".join(lines[2:]) == inspect.getdoc(kind)
    assert lines[2] == summary(kind)


@KINDS
def test_a_call_is_python_and_names_every_argument_in_order(kind):
    arguments = ast.parse(f"def {signature(kind)}: pass").body[0].args
    starred = [arguments.vararg] if arguments.vararg else []
    names = [argument.arg for argument in [*arguments.args, *starred, *arguments.kwonlyargs]]
    assert names == traps.arguments_of(kind)


@KINDS
def test_a_page_names_the_errors_of_what_can_be_given_wrongly(kind):
    if traps.arguments_of(kind) and kind not in (Exit, GetTime):  # these take anything
        assert "rrors" in page(kind.__name__)


def test_how_calls_are_written():
    assert signature(Sleep) == "Sleep(seconds)"
    assert signature(pyos.GetTid) == "GetTid()"
    assert signature(GetTime) == "GetTime(*, wall=False)"
    assert signature(pyos.KillTask) == "KillTask(tid, signal=TERM, *, reason=None, grace=1.0)"
    assert not any(re.search("[<:]|->", signature(kind)) for kind in all_traps())  # no annotations, no reprs


def test_the_list_has_a_line_for_each_trap_and_each_handle():
    lines = page(None).splitlines()
    kinds = [*all_traps(), *all_handles()]
    assert [line.split()[0] for line in lines] == [kind.__name__ for kind in kinds]
    assert len({line.index(summary(kind)) for line, kind in zip(lines, kinds)}) == 1  # in a column


def test_the_manual_knows_every_handle():
    names = {kind.__name__ for kind in all_handles()}
    assert names == {"Lock", "Semaphore", "Event", "Condition", "Channel", "Cell"} <= set(pyos.__all__)


def test_a_page_of_a_handle_says_what_each_method_does():
    assert page("lock") == page("Lock")
    assert page("Lock").splitlines() == [
        "Lock(name=None)",
        "",
        "A lock that one task holds at a time. Not reentrant; released with a log line if its holder dies.",
        "",
        "yield lock.acquire()",
        "    take the lock, in order of asking. ValueError if the caller holds it already.",
        "yield lock.release()",
        "    give the lock to the next. PermissionError if the caller does not hold it.",
    ]
    assert "yield condition.notify(n=1)\n    let up to `n` waiters go on" in page("Condition")


@pytest.mark.parametrize("kind", all_handles(), ids=lambda kind: kind.__name__)
def test_every_method_of_a_handle_is_explained(kind):
    made = [name for name, value in vars(kind).items() if not name.startswith("_") and inspect.isfunction(value)]
    assert made
    for name in made:
        assert re.search(rf"^yield {kind.__name__.lower()}\.{name}\(.*\)\n    \w.*\.$", page(kind.__name__), re.M)


def test_a_page_is_found_in_any_case():
    assert page("sleep") == page("SLEEP") == page("Sleep")


def test_what_is_no_trap_has_no_page():
    assert [page(name) for name in ("Nope", "", "Trap", "Program")] == [None] * 4
