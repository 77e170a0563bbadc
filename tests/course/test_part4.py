"""Part 4, from data processing to concurrency: targets in threads and processes, and two classic faults."""

import os
import re
import signal
import subprocess
import sys
from collections import Counter

import pytest

from pyos import NewTask
from tests.course.programs import PROGRAMS, ROOT, boot, done, lines, ticks

ROUTE = re.compile(r"<route>\s*(\S+)\s*</route>")


@pytest.fixture(scope="module")
def feed(tmp_path_factory):
    """A feed of 2,000 buses: more than fit into one chunk."""
    path = tmp_path_factory.mktemp("feeds") / "feed.xml"
    assert boot("makefeed", path, "--buses", 2000).returncode == 0
    return str(path)


def routes(feed):
    with open(feed) as file:
        return Counter(ROUTE.findall(file.read()))


def passengers(feed):
    with open(feed) as file:
        return [int(number) for number in re.findall(r"<passengers>(\d+)</passengers>", file.read())]


# --- in a thread


@pytest.mark.pyos(clock="real")
def test_a_thread_counts_what_a_task_sends(feed, capsys):
    assert (yield done("cothread", feed)).ok
    expected = [f"route {route}: {number}" for route, number in sorted(routes(feed).items())]
    assert lines(capsys.readouterr().out) == [*expected, "the counter ends, in another thread"]


@pytest.mark.pyos(clock="real")
def test_an_error_in_the_thread_comes_up_to_the_task(feed, capsys):
    assert (yield done("cothread", feed, "--fail", "up")).value == 1
    out, err = capsys.readouterr()
    assert out == "the counter ends, in another thread\n"
    assert err == "cothread: came up from the thread: Refused: bus 1002\n"


@pytest.mark.pyos(clock="real")
def test_an_error_of_the_source_goes_down_into_the_thread_and_comes_back(feed, capsys):
    assert (yield done("cothread", feed, "--fail", "down")).value == 1
    out, err = capsys.readouterr()
    assert lines(out) == [
        "the counter is told after 2 buses: the feed has broken off",
        "the counter ends, in another thread",
    ]
    assert err == "cothread: came back from the thread: ConnectionError: the feed has broken off\n"


# --- in a process


@pytest.mark.pyos(clock="real")
def test_a_process_finds_the_fullest_bus(feed, capfd):
    assert (yield done("coprocess", feed)).ok
    fullest = max(passengers(feed))
    number = 1000 + passengers(feed).index(fullest)
    assert lines(capfd.readouterr().out) == [
        f"the fullest of 2000 buses: {number} with {fullest} passengers",
        "found by another process",
    ]


@pytest.mark.pyos(clock="real")
def test_a_killed_process_is_one_line_and_no_hang(feed, capfd):
    assert (yield done("coprocess", feed, "--kill")).value == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert re.fullmatch(r"coprocess: the process of fullest \(\d+\) died: killed by SIGKILL\n", err)


@pytest.mark.pyos(clock="real")
@pytest.mark.parametrize("name", ["cothread", "coprocess"])
def test_a_malformed_feed_is_told_to_the_worker_and_is_one_line(tmp_path, name, capfd):
    path = tmp_path / "cut.xml"
    yield done("makefeed", path, "--buses", 2, "--cut")
    capfd.readouterr()
    assert (yield done(name, path)).value == 1
    out, err = capfd.readouterr()
    assert "route 2" not in out  # an incomplete feed is no result
    assert "fullest" not in out
    line = path.read_text().count("\n") + 1
    assert err == f"{name}: {path}:{line}:5: no element found\n"


@pytest.mark.pyos(clock="real")
@pytest.mark.parametrize("name", ["cothread", "coprocess"])
def test_others_run_while_a_worker_works(feed, name, capfd):
    turns = []
    yield NewTask(ticks(turns))
    assert (yield done(name, feed)).ok
    assert len(turns) > 10


def test_an_interrupted_system_takes_its_process_along(tmp_path):
    """An interrupt from the terminal reaches the whole process group: the system ends its process, and says nothing."""
    pipe = tmp_path / "pipe"
    subprocess.run(["mkfifo", str(pipe)], check=True)
    command = [sys.executable, "-m", "pyos", "boot", PROGRAMS["coprocess"], str(pipe)]
    outputs = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, text=True, start_new_session=True, **outputs) as system:
        with open(pipe, "w") as feed:  # comes back when the system reads
            feed.write("<buses>")
            feed.flush()
            os.killpg(system.pid, signal.SIGINT)
            assert system.wait() == 130
        assert "fullest" not in system.stdout.read()  # comes back when the process is gone too
        assert system.stderr.read() == ""


# --- the faults


@pytest.mark.pyos(clock="real")
def test_a_coroutine_is_not_entered_by_two_threads(capsys):
    assert (yield done("reentered")).ok
    assert lines(capsys.readouterr().out) == [
        "the first thread is inside the coroutine, and the second sends to it:",
        "  ValueError: generator already executing",
        "with a queue in front of it: 2000 of 2000 items arrived, one at a time",
    ]


@pytest.mark.pyos
def test_a_circle_of_sends_finds_its_first_coroutine_busy(capsys):
    assert (yield done("cycle")).ok
    assert lines(capsys.readouterr().out) == [
        "ping sends to pong, and pong to ping:",
        "  ping has the ball: 3",
        "  pong has the ball: 2",
        "  ValueError: generator already executing (ping is still busy sending to pong)",
        "with a letterbox between pong and ping:",
        "  ping has the ball: 3",
        "  pong has the ball: 2",
        "  ping has the ball: 1",
        "  pong has the ball: 0",
    ]
