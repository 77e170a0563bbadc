"""Checked tests, run by pytest on small test files."""

from __future__ import annotations

import re
import textwrap

import pytest

from tests.test_plugin import outcome as outcome_of_file  # noqa: F401

pytest_plugins = "pytester"

CHILD = """\
def child():
    return
    yield

"""
RACY = """
@pytest.mark.pyos(check=True)
def test_two_tasks_count_to_two():
    total = [0]

    def count():
        seen = total[0]
        yield
        total[0] = seen + 1

    def outcome():
        assert total[0] == 2

    return [count(), count()], outcome
"""


@pytest.fixture
def outcome(outcome_of_file):  # noqa: F811
    """Run pytest on a test file with a child in it, warnings as errors; answers its result."""

    def run(body, *options, **expected):
        return outcome_of_file(CHILD + textwrap.dedent(body), *options, **expected)

    return run


def test_a_generator_test_runs_under_every_schedule(outcome):
    result = outcome(
        """
        @pytest.mark.pyos(check=True, strategy="dfs", budget=None)
        def test_family():
            first = yield NewTask(child())
            second = yield NewTask(child())
            yield WaitTask(first)
            yield WaitTask(second)

        @pytest.mark.pyos(check=True, strategy="dpor", budget=None, isolated=True)
        async def test_async():
            await WaitTask(await NewTask(child()))
        """,
        passed=2,
    )
    result.stdout.fnmatch_lines(
        ["*::test_family: 11 schedules by dfs, complete: every schedule that matters; nothing found; seed 0"]
    )
    result.stdout.fnmatch_lines(["*::test_async: 2 schedules by dpor, complete: *; nothing found; seed 0"])


def test_a_bug_that_one_run_does_not_show_fails_the_checked_test(outcome):
    body = """
        @pytest.mark.pyos{mark}
        def test_order():
            order = []

            def work(name):
                order.append(name)
                yield

            first = yield NewTask(work("first"))
            second = yield NewTask(work("second"))
            yield WaitTask(first)
            yield WaitTask(second)
            assert order == ["first", "second"]
    """
    outcome(body.format(mark=""), passed=1)
    result = outcome(body.format(mark="(check=True)"), failed=1)
    result.stdout.fnmatch_lines(["assertion: task 1 (test_order) raised AssertionError: *", "found by delay 1 in *"])


def test_a_failure_shows_the_story_and_the_command_to_see_it_again(outcome):
    result = outcome(RACY, failed=1)
    result.stdout.fnmatch_lines(
        [
            "assertion: the outcome function raised AssertionError: assert 1 == 2",
            "found by production in schedule 1; 4 steps, in production's order",
            "step  where * 1 count * 2 count",
            "race on total: step 2 *",
            "to see it again:",
            "  python -m pytest '*::test_two_tasks_count_to_two' --pyos-replay='pyos1:*:'",
            "*= pyos check =*",
            "*::test_two_tasks_count_to_two: 1 schedule by portfolio, not complete: stopped at the first failure; "
            "1 failure found; seed 0",
        ]
    )
    assert "explorer.py" not in result.stdout.str()
    assert "traceback" not in result.stdout.str().lower().replace("traceback (most recent call last)", "")


def test_the_replay_command_runs_that_schedule_alone(outcome):
    result = outcome(RACY, failed=1)
    command = re.search(r"--pyos-replay='(\S+)'", result.stdout.str())[1]
    again = outcome(RACY, f"--pyos-replay={command}", failed=1)
    again.stdout.fnmatch_lines(["found by replay in schedule 1; 4 steps, *", "*: 1 schedule by replay, *"])
    other = outcome(RACY.replace("seen + 1", "seen + 2"), f"--pyos-replay={command}", failed=1)
    other.stdout.fnmatch_lines(["*this replay string is of another program, or of another version: *"])
    longer = outcome(RACY, f"--pyos-replay={command}00001", failed=1)
    longer.stdout.fnmatch_lines(["*the schedule has 5 choices, and the run came to its end after *"])


def test_each_parameter_set_is_a_program_of_its_own(outcome):
    body = """
        @pytest.mark.pyos(check=True)
        @pytest.mark.parametrize("n", [1, 2])
        def test_n(n):
            yield
            assert n == 1
        """
    result = outcome(body, passed=1, failed=1)
    command = re.search(r"--pyos-replay='(\S+)'", result.stdout.str())[1]
    outcome(body, "-k", "2", f"--pyos-replay={command}", failed=1)
    result = outcome(body, "-k", "1", f"--pyos-replay={command}", failed=1)
    result.stdout.fnmatch_lines(["*of another program*"])


def test_fixtures_are_set_up_once_for_all_schedules(outcome):
    outcome(
        """
        made = []

        @pytest.fixture()
        def runs():
            made.append(1)
            return []

        @pytest.mark.pyos(check=True, strategy="dfs", budget=None)
        def test_family(runs):
            yield WaitTask((yield NewTask(child())))

        def test_made():
            assert made == [1]
        """,
        passed=2,
    )


def test_the_budget_is_1000_schedules_unless_the_mark_says_more(outcome):
    body = """
        @pytest.mark.pyos(check=True, strategy="dfs"{budget})
        def test_yields():
            def work():
                for _ in range(5):
                    yield
            return [work() for _ in range(3)]
        """
    outcome(body.format(budget=""), passed=1).stdout.fnmatch_lines(["*: 1000 schedules by dfs, not complete: 1000 *"])
    outcome(body.format(budget=", budget=20"), passed=1).stdout.fnmatch_lines(["*: 20 schedules by dfs, not complete*"])


def test_the_seed_of_the_mark_is_in_the_summary(outcome):
    body = """
        @pytest.mark.pyos(check=True, strategy="random", budget=3, seed="morning")
        def test_random():
            yield WaitTask((yield NewTask(child())))
    """
    outcome(body, passed=1).stdout.fnmatch_lines(["*: 3 schedules by random, *; seed morning"])


@pytest.mark.parametrize("keyword", ["budgets=3", "program=3", "replay=''", "clock='real'"])
def test_an_unknown_keyword_is_an_error(outcome, keyword):
    result = outcome(
        f"""
        @pytest.mark.pyos(check=True, {keyword})
        def test_it():
            yield
        """,
        failed=1,
    )
    result.stdout.fnmatch_lines(
        [f"the pyos mark of a checked test has no {keyword.partition('=')[0]}: there are budget, *"]
    )
    assert "Traceback" not in result.stdout.str()
    assert "Error" not in result.stdout.str()


def test_a_value_that_makes_no_sense_is_an_error(outcome):
    body = "@pytest.mark.pyos(check=True, strategy='guess')\ndef test_it():\n    yield\n"
    outcome(body, failed=1).stdout.fnmatch_lines(["*ValueError: no strategy 'guess': there are portfolio, *"])


def test_tasks_that_are_not_isolated_are_named(outcome):
    result = outcome(RACY.replace("check=True", "check=True, isolated=True"), failed=1)
    result.stdout.fnmatch_lines(["*'total' (a list) is shared by tasks 1 and 2: *"])
    assert "explorer.py" not in result.stdout.str()


def test_without_check_nothing_is_checked(outcome):
    result = outcome("@pytest.mark.pyos(check=False)\ndef test_it():\n    yield\n", passed=1)
    assert "pyos check" not in result.stdout.str()


def test_skip_and_xfail_inside_a_checked_test_are_what_they_are(outcome):
    outcome(
        """
        @pytest.mark.pyos(check=True)
        def test_skipped():
            yield
            pytest.skip("not today")

        @pytest.mark.pyos(check=True)
        def test_expected():
            yield
            pytest.xfail("known")

        @pytest.mark.xfail(strict=True)
        @pytest.mark.pyos(check=True)
        def test_marked():
            yield
            assert False

        @pytest.mark.pyos(check=True)
        def test_failed_by_hand():
            yield
            pytest.fail("by hand")
        """,
        skipped=1,
        xfailed=2,
        failed=1,
    )


def test_hypothesis_checks_each_example(outcome):
    outcome(
        """
        from hypothesis import given, settings, strategies as st
        seen = []

        @pytest.mark.pyos(check=True, strategy="dfs", budget=20)
        @settings(max_examples=5, database=None)
        @given(n=st.integers(1, 100))
        def test_it(n):
            seen.append(n)
            yield WaitTask((yield NewTask(child())))

        def test_seen():
            assert len(set(seen)) > 1
        """,
        passed=2,
    )


def test_a_checked_test_in_a_class_has_its_instance(outcome):
    outcome(
        """
        @pytest.mark.pyos(check=True)
        class TestFamily:
            def setup_method(self):
                self.expected = 2

            def test_tid(self):
                assert (yield NewTask(child(), detached=True)) == self.expected
                yield

            def test_list(self):
                return [child(), child()]
        """,
        passed=2,
    )


def test_a_time_limit_ends_the_check_after_the_schedule_that_runs(outcome):
    result = outcome(
        """
        @pytest.mark.timeout(1)
        @pytest.mark.pyos(check=True, strategy="dfs", budget=None)
        def test_long():
            def work():
                for _ in range(20):
                    yield
            return [work() for _ in range(4)]
        """,
        failed=1,
    )
    result.stdout.fnmatch_lines(["*Timeout: the test ran for more than 1 s"])
    result.stdout.fnmatch_lines(["*::test_long: * schedules by dfs, not complete: interrupted; nothing found; seed 0"])
