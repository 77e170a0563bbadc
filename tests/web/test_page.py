"""The page of `check --html` in a real browser: `make test-web`, which leaves its pictures in build/web."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pyos.cli import main
from tests.web.browser import Browser, installed

pytestmark = [
    pytest.mark.web,
    pytest.mark.skipif(not installed(), reason="needs Debian's chromium and chromium-driver"),
]
PICTURES = Path(__file__).parents[2] / "build" / "web"

BANK = '''\
"""Transfers between two accounts, each guarded by a lock of its own."""

from pyos import Lock, NewTask, Program, WaitTask


class Account:
    def __init__(self, name: str, balance: int) -> None:
        self.name = name
        self.balance = balance
        self.lock = Lock(name)


def transfer(source: Account, target: Account, amount: int) -> Program:
    yield source.lock.acquire()
    left = source.balance - amount
    yield from deposit(target, amount)
    source.balance = left
    yield source.lock.release()


def deposit(account: Account, amount: int) -> Program:
    yield account.lock.acquire()
    account.balance += amount
    yield account.lock.release()


def main() -> Program:
    ann, bob = Account("ann", 100), Account("bob", 250)
    first = yield NewTask(transfer(ann, bob, 30), name="ann to bob")
    second = yield NewTask(transfer(bob, ann, 50), name="bob to ann")
    yield WaitTask(first)
    yield WaitTask(second)
'''

CROWD = """\
from pyos import Cell, Program


def main():
    total = Cell(0, "total")

    def count(rounds: int) -> Program:
        for _ in range(rounds):
            value = yield total.load()
            yield total.store(value + 1)
        assert (yield total.load()) < 300, "</script><script>alert(1)</script> & <b>bold</b>"

    return [count(30) for _ in range(12)]
"""


@pytest.fixture(scope="module")
def browser():
    found = Browser()
    yield found
    found.close()


@pytest.fixture
def show(browser, tmp_path, monkeypatch, capsys):
    """Check a program and open its page; answers the browser."""

    def show(text, *options):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "program.py").write_text(text)
        assert main(["check", "--html=page.html", *options, "program.py"]) == 1
        assert "step by step: page.html" in capsys.readouterr().out
        browser.open(tmp_path / "page.html")
        PICTURES.mkdir(parents=True, exist_ok=True)
        return browser

    return show


def test_the_page_tells_the_failure_and_can_be_gone_through_by_keys(show):
    browser = show(BANK)
    assert browser.text("#kind") == "deadlock"
    assert browser.text("#message") == "a cycle of waits: 2 (ann to bob) -> 3 (bob to ann) -> 2 (ann to bob)"
    assert re.match(r"found by delay 1 in schedule \d+; 7 steps, 1 out of production's order", browser.text("#found"))
    assert browser.text("#race").startswith('race on lock "bob": step 5 (task 3, program.py:14)')
    assert browser.text("#command").startswith("python -m pyos check --replay=pyos1:")
    assert browser.texts(".head") == ["1 main", "2 ann to bob", "3 bob to ann"]
    assert len(browser.texts(".row")) == 7
    assert browser.text("#position") == "7 / 7"

    browser.press("Home")
    assert browser.text("#position") == "1 / 7"
    assert browser.text("#state h2") == "Step 1: task 1 (main)"
    browser.press("Right", "Right", "Right")
    assert browser.text("#state h2") == "Step 4: task 2 (ann to bob)"
    browser.press("Left")
    assert browser.text("#position") == "3 / 7"
    browser.press("Left", "Left", "Left", "Left")
    assert browser.text("#position") == "1 / 7"
    browser.press("d")
    assert browser.text("#position") == "5 / 7"
    assert browser.text(".row.now").split()[:2] == ["5", "*"]
    assert "ready were: 2 (production's), 3 (taken)" in browser.text("#state")
    browser.press("End", "r")
    assert browser.text("#position") == "5 / 7"
    browser.screenshot(PICTURES / "deadlock.png")


def test_each_tasks_stack_and_variables_are_shown_at_each_step(show):
    browser = show(BANK)
    assert [" ".join(head.split()) for head in browser.texts(".card h3")] == [
        "2 ann to bob blocked: Acquire(bob)",
        "1 main blocked: WaitTask(2)",
        "3 bob to ann blocked: Acquire(ann)",
    ]
    first = browser.text(".card")
    assert "\ndeposit program.py:22\n" in first
    assert "\ntransfer program.py:16\n" in first
    assert browser.texts(".card:first-of-type pre .here")[0].split(None, 1)[1] == "yield account.lock.acquire()"
    variables = dict(re.findall(r"^(\w+)\t(.*)$", first, re.MULTILINE))
    assert variables["amount"] == "30"
    assert variables["left"] == "70"
    assert variables["source"].startswith("Account(name='ann', balance=100, lock=<Lock 'ann'>")
    browser.press("Home")
    assert [" ".join(head.split()) for head in browser.texts(".card h3")] == [
        "1 main ready",
        "2 ann to bob not started",
    ]
    browser.screenshot(PICTURES / "first-step.png")


def test_steps_can_be_clicked_and_dragged(show):
    browser = show(BANK)
    browser.click(".row[data-step='3']")
    assert browser.text("#position") == "3 / 7"
    browser.click("#back")
    assert browser.text("#position") == "2 / 7"
    browser.click("#last")
    assert browser.text("#position") == "7 / 7"
    browser.run("(slider.value = 4, slider.dispatchEvent(new Event('input')))")
    assert browser.text("#state h2").startswith("Step 4: ")


def test_a_long_run_of_many_tasks_is_scrolled_to_the_step(show):
    browser = show(CROWD, "--strategy=production")
    steps = int(browser.text("#position").split(" / ")[1])
    assert steps > 500
    assert len(browser.texts(".row")) < 120  # those in sight
    assert browser.text(".row.now").startswith(str(steps))
    browser.press("Home")
    assert browser.text(".row.now").startswith("1")
    browser.run(f"go({steps // 2})")
    box = browser.run("document.querySelector('.row.now').getBoundingClientRect().top")
    assert 100 < box < 850
    browser.screenshot(PICTURES / "many-tasks.png")
    browser.press("End")
    assert "AssertionError: </script><script>alert(1)</script> & <b>bold</b>" in browser.text("#state pre")
    assert browser.run("document.querySelectorAll('b').length") == 0
    browser.screenshot(PICTURES / "assertion.png")


def test_the_page_loads_nothing_and_logs_no_error(show):
    browser = show(BANK)
    browser.press("Home", "End", "d", "r")
    assert browser.log() == []
    assert browser.run("performance.getEntriesByType('resource').length") == 0


def test_it_is_readable_in_dark_colours_and_in_a_narrow_window(show):
    browser = show(BANK)
    browser.dark()
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(20, 22, 27)"
    browser.screenshot(PICTURES / "dark.png")
    browser.ask("POST", "/window/rect", {"width": 500, "height": 900})
    assert browser.run("document.documentElement.scrollWidth <= window.innerWidth")
    browser.screenshot(PICTURES / "narrow.png")
    browser.ask("POST", "/window/rect", {"width": 1400, "height": 900})
