"""The pytest plugin, run by pytest on small test files: what a project that tests its programs with it sees."""

import os
import sys
import textwrap

import pytest

pytest_plugins = "pytester"

OPTIONS = ["-Werror", "-pno:randomly", "-pno:cacheprovider", "-pno:hypothesispytest"]  # the last is slow to load

HEAD = """\
import pytest
from pyos import *

def sleeper():
    yield Sleep(1000)

"""


@pytest.fixture
def outcome(pytester):
    """Run pytest on a test file, warnings as errors; answers its result."""

    def run(body, *options, **expected):
        pytester.makepyfile(HEAD + textwrap.dedent(body))
        result = pytester.runpytest_inprocess(*OPTIONS, *options)
        result.assert_outcomes(**expected)
        return result

    return run


def test_generator_and_async_tests_run_as_init(outcome):
    outcome(
        """
        @pytest.mark.pyos
        def test_generator():
            assert (yield GetTid()) == 1

        @pytest.mark.pyos
        async def test_async():
            assert await GetTid() == 1

        @pytest.mark.pyos
        def test_wrong_generator():
            assert (yield GetTid()) == 7

        @pytest.mark.pyos
        async def test_wrong_async():
            assert await GetTid() == 7

        class TestOfAClass:
            @pytest.mark.pyos
            def test_wrong_method(self):
                assert (yield GetTid()) == 7

            @pytest.mark.pyos
            async def test_wrong_async_method(self):
                assert await GetTid() == 7
        """,
        passed=2,
        failed=4,
    )


def test_fixtures_and_parametrize_work_as_in_any_test(outcome):
    result = outcome(
        """
        @pytest.fixture()
        def ten():
            yield 10

        @pytest.mark.pyos
        @pytest.mark.parametrize("seconds", [1, 2], ids=["one", "two"])
        def test_sleep(seconds, ten):
            yield Sleep(seconds * ten)
            assert (yield GetTime()) == seconds * ten

        @pytest.mark.pyos
        @pytest.mark.parametrize(("a", "b"), [(1, pytest.param(2, id="x")), pytest.param(3, 4, id="wrong")])
        async def test_async(a, b, tmp_path):
            await Sleep(a)
            assert tmp_path.exists() and a == 1
        """,
        "-v",
        passed=3,
        failed=1,
    )
    result.stdout.fnmatch_lines(["*::test_sleep[[]one[]] PASSED*", "*::test_sleep[[]two[]] PASSED*"])
    result.stdout.fnmatch_lines(["*::test_async[[]wrong[]] FAILED*"])


def test_the_mark_may_stand_on_a_class_or_a_module(outcome):
    outcome(
        """
        pytestmark = pytest.mark.pyos(seed=1)

        def test_plain_functions_stay_plain():
            pass

        def test_of_the_module():
            assert (yield Choose([3])) == 3

        @pytest.mark.pyos(seed=2)
        class TestSeed:
            def setup_method(self):
                self.wanted = 0.9560342718892494

            def test_the_nearest_mark_counts(self):
                assert (yield Random()) == self.wanted

            @pytest.mark.pyos(seed=1)
            def test_that_of_the_test_first(self):
                assert (yield Random()) != self.wanted

            @staticmethod
            def test_static():
                assert (yield GetTid()) == 1
        """,
        passed=5,
    )


def test_a_marked_class_passes_its_mark_on_to_subclasses(outcome):
    outcome(
        """
        @pytest.mark.pyos
        class Base:
            def test_inherited(self):
                assert (yield GetTid()) == 1

        class TestChild(Base):
            pass
        """,
        passed=1,
    )


def test_hypothesis_runs_each_example_in_a_kernel(outcome):
    outcome(
        """
        from hypothesis import given, settings, strategies as st
        seen = []

        @pytest.mark.pyos
        @settings(max_examples=5, database=None)
        @given(seconds=st.integers(1, 100))
        def test_sleep(seconds):
            yield Sleep(seconds)
            seen.append((yield GetTime()))
            assert seen[-1] == seconds

        def test_that_they_ran():
            assert len(seen) == 5
        """,
        passed=2,
    )


def test_decorated_tests_are_run_and_a_decorator_that_swallows_the_generator_is_an_error(outcome):
    result = outcome(
        """
        from functools import wraps

        def plain(function):
            @wraps(function)
            def call(*args):
                return function(*args)
            return call

        def swallowing(function):
            @wraps(function)
            def call(*args):
                function(*args)
            return call

        @pytest.mark.pyos
        @plain
        def test_decorated():
            assert (yield GetTid()) == 2

        @pytest.mark.pyos
        @swallowing
        def test_swallowed():
            assert (yield GetTid()) == 2
        """,
        failed=2,
    )
    result.stdout.fnmatch_lines(["*test_swallowed returned NoneType, not a generator or coroutine*"])


def test_skip_xfail_and_fail_work_inside_a_task(outcome):
    result = outcome(
        """
        @pytest.mark.pyos
        def test_skip():
            yield
            pytest.skip("not here")

        @pytest.mark.pyos
        @pytest.mark.xfail(raises=ValueError)
        def test_xfail():
            yield
            raise ValueError

        @pytest.mark.pyos
        def test_fail():
            yield
            pytest.fail("on purpose")
        """,
        skipped=1,
        xfailed=1,
        failed=1,
    )
    result.stdout.fnmatch_lines(["*Failed: on purpose*"])


def test_a_failing_test_shows_its_tasks_and_no_kernel_frames(outcome):
    result = outcome(
        """
        @pytest.mark.pyos
        def test_wrong():
            yield NewTask(sleeper(), name="the sleeper")
            yield Sleep(1)
            assert 1 == 2
        """,
        failed=1,
    )
    result.stdout.fnmatch_lines(
        ["*assert 1 == 2*", "*pyos tasks*", "TID*", "2*blocked*sleep 999s*the sleeper*", "task 2 is at *.py:5 sleeper"]
    )
    assert "pyos/kernel" not in result.stdout.str()
    assert "pytest_plugin.py" not in result.stdout.str()


def test_a_test_that_passes_shows_nothing(outcome):
    result = outcome(
        """
        @pytest.mark.pyos
        def test_right():
            yield NewTask(sleeper())

        def test_wrong():
            assert False
        """,
        "-rA",
        passed=1,
        failed=1,
    )
    assert "pyos tasks" not in result.stdout.str()


def test_a_deadlocked_test_shows_who_waits_for_what(outcome):
    result = outcome(
        """
        def waits_for_init():
            yield WaitTask(1)

        @pytest.mark.pyos
        def test_deadlock():
            yield WaitTask((yield NewTask(waits_for_init())))
        """,
        failed=1,
    )
    result.stdout.fnmatch_lines(
        ["*Deadlock: nothing can ever run again*", "*pyos tasks*", "1 *wait task 2*", "2 *wait task 1*"]
    )
    assert "pyos/kernel" not in result.stdout.str()


def test_a_test_that_hangs_shows_its_tasks_and_the_next_one_runs(outcome):
    result = outcome(
        """
        @pytest.mark.timeout(0.1, method="thread")
        @pytest.mark.pyos(clock="real")
        def test_asleep():
            yield NewTask(sleeper(), name="the sleeper")
            yield Sleep(1e9)

        @pytest.mark.timeout(0.1, method="signal")
        @pytest.mark.pyos
        def test_waits_for_ever():
            yield Sleep(float("inf"))

        @pytest.mark.timeout(0.1, func_only=True)
        @pytest.mark.pyos
        def test_spins():
            while True:
                yield

        @pytest.mark.timeout(0.1)
        @pytest.mark.pyos
        async def test_spins_on_traps():
            while True:
                await GetTid()

        def test_next():
            pass
        """,
        passed=1,
        failed=4,
    )
    result.stdout.fnmatch_lines(["Timeout: *0.1 s", "*pyos tasks*", "1 *test_asleep*", "2 *blocked*sleep*the sleeper*"])
    result.stdout.fnmatch_lines(["Timeout: *0.1 s", "*pyos tasks*", "1 *sleep for ever*test_waits_for_ever*"])
    result.stdout.fnmatch_lines(["Timeout: *0.1 s", "*pyos tasks*", "1 *ready*test_spins*"])


def test_a_test_that_spins_without_yielding_shows_its_tasks_too(pytester):
    pytester.makepyfile(
        HEAD
        + textwrap.dedent(
            """
            @pytest.mark.pyos
            def test_spin():
                yield NewTask(sleeper(), name="the sleeper")
                yield
                while True:
                    pass
            """
        )
    )
    result = pytester.runpytest_subprocess("--timeout=0.2", "-p", "no:cacheprovider")
    result.stdout.fnmatch_lines(["pyos tasks", "1 *test_spin*", "2 *the sleeper*", "*Timeout*"])
    assert result.ret == 1


def test_an_interrupted_test_shows_its_tasks(pytester):
    pytester.makepyfile(
        HEAD
        + textwrap.dedent(
            """
            import os, signal

            @pytest.mark.pyos(clock="real")
            def test_interrupted():
                yield NewTask(sleeper(), name="the sleeper")
                os.kill(os.getpid(), signal.SIGINT)
                yield Sleep(1e9)
            """
        )
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.stdout.fnmatch_lines(["*pyos tasks*", "SIGINT; the tasks at that moment:", "2 *the sleeper*"])
    assert result.ret == pytest.ExitCode.INTERRUPTED


def test_a_killed_test_and_a_wrong_mark_fail(outcome):
    result = outcome(
        """
        @pytest.mark.pyos
        def test_killed():
            yield KillTask(1, KILL)

        @pytest.mark.pyos(clock="sand")
        async def test_clock():
            pass

        @pytest.mark.pyos(7)
        async def test_positional():
            pass

        @pytest.mark.pyos(sede=7)
        async def test_unknown():
            pass
        """,
        failed=4,
    )
    for line in (
        "*the test was killed by KILL*",
        "the pyos mark's clock is 'virtual' or 'real', not 'sand'",
        "the pyos mark takes keywords only, not 7",
        "the pyos mark has no sede: there are seed and clock; with check=True also those of pyos.check",
    ):
        result.stdout.fnmatch_lines([line])
    assert "inspect.py" not in result.stdout.str()


def test_unmarked_tests_are_left_to_pytest_and_other_plugins(outcome, pytester):
    pytester.makeconftest(
        """
        import inspect
        import pytest

        ran = []

        def pytest_configure(config):
            config.addinivalue_line("markers", "other: run by this plugin")

        @pytest.hookimpl(tryfirst=True)
        def pytest_pyfunc_call(pyfuncitem):
            if pyfuncitem.get_closest_marker("other") and inspect.iscoroutinefunction(pyfuncitem.obj):
                try:
                    pyfuncitem.obj().send(None)
                except StopIteration:
                    return True

        class Taken(pytest.Function):
            def runtest(self):
                raise AssertionError("taken by a plugin that takes every async test")

        @pytest.hookimpl(hookwrapper=True)
        def pytest_pycollect_makeitem(collector, name, obj):
            outcome = yield
            if name == "test_async":
                outcome.force_result([Taken.from_parent(collector, name=name)])

        @pytest.hookimpl(tryfirst=True)
        def pytest_timeout_set_timer(item, settings):
            assert item.name != "test_marked"
        """
    )
    outcome(
        """
        @pytest.mark.other
        async def test_of_another_plugin():
            pass

        def test_plain():
            pass

        @pytest.mark.pyos
        def test_marked_and_plain():
            pass

        @pytest.mark.pyos
        async def test_async():
            assert await GetTid() == 1

        def helper():
            yield

        not_a_test = helper
        """,
        passed=4,
    )


def test_a_generator_test_without_the_mark_is_refused_by_pytest(outcome):
    outcome(
        """
        def test_unmarked():
            yield
        """,
        errors=1,
    )


def test_importing_the_plugin_does_not_import_the_kernel(pytester):
    result = pytester.run(
        sys.executable,
        "-c",
        "import sys, pyos.pytest_plugin; sys.exit('pyos.kernel' in sys.modules)",
    )
    assert result.ret == 0
    assert os.environ.get("PYTEST_CURRENT_TEST")
