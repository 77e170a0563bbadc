"""Part 1, generators: a countdown, followers of growing logs, pull pipelines, a primed coroutine, a report."""

import gc
import gzip
import os
import random
import re
import runpy
import time
from collections import Counter
from itertools import pairwise

import pytest

from pyos import GetTime, KillTask, NewTask, Sleep, Tasks, WaitTask
from tests.course.programs import PROGRAMS, boot, done, lines, program, ticks

LINE = re.compile(r'(\S+) - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000\] "GET (\S+) HTTP/1\.1" (\d{3}) (\d+|-)')


@pytest.fixture
def log(tmp_path):
    """A log with one old line."""
    file = tmp_path / "access.log"
    file.write_text("old\n")
    return str(file)


def append(path, *texts):
    with open(path, "a") as file:
        for text in texts:
            file.write(f"{text}\n")


# --- countdown


@pytest.mark.pyos
def test_a_generator_runs_when_it_is_asked(capsys):
    assert (yield done("countdown", "2")).ok
    assert lines(capsys.readouterr().out) == [
        "main: the generator exists, and nothing of it has run",
        "countdown: somebody asks, so I begin at 2",
        "2",
        "1",
        "countdown: there is nothing left to yield",
    ]


@pytest.mark.pyos
def test_a_countdown_takes_its_time():
    yield done("countdown", "3", "--every", "2.5")
    assert (yield GetTime()) == 7.5


# --- follow


@pytest.mark.pyos
def test_follow_prints_what_is_added_through_truncation_and_rotation(log, capsys):
    tid = yield program("follow", log, "--lines", 4)
    yield Sleep(5)
    append(log, "one")
    yield Sleep(5)
    with open(log, "w") as file:
        file.write("cut\n")
    yield Sleep(5)
    os.rename(log, log + ".1")
    append(log + ".1", "last of the old")
    yield Sleep(5)
    append(log, "first of the new", "one too many")
    assert (yield WaitTask(tid)).ok
    assert lines(capsys.readouterr().out) == ["one", "cut", "last of the old", "first of the new"]


@pytest.mark.pyos
def test_follow_sleeps_in_the_kernel(log):
    tid = yield program("follow", log)
    yield Sleep(100)
    (task,) = [task for task in (yield Tasks()) if task.tid == tid]
    assert task.waiting_on.startswith("sleep")
    yield KillTask(tid)
    assert (yield WaitTask(tid)).signal is not None


@pytest.mark.pyos
def test_a_thousand_followers_of_a_quiet_log_take_less_than_a_twentieth_of_a_cpu(log, capsys):
    for _ in range(1000):
        yield program("follow", log, "--lines", "1")
    yield Sleep(10)  # quiet for a while
    capsys.readouterr()
    before = time.process_time()
    yield Sleep(60)
    assert time.process_time() - before < 0.05 * 60
    append(log, "news")
    yield Sleep(1.01)
    assert lines(capsys.readouterr().out) == ["news"] * 1000


@pytest.mark.pyos
def test_a_log_is_followed_while_a_simulator_writes_it(tmp_path, capsys):
    log = str(tmp_path / "new.log")
    simulator = yield program("logsim", log, "--lines", 30)
    yield
    follower = yield program("follow", log, "--from-start", "--lines", 30)
    yield WaitTask(simulator)
    assert (yield WaitTask(follower)).ok
    with open(log) as file:
        assert capsys.readouterr().out == file.read()


# --- logsim


@pytest.mark.pyos
def test_logsim_appends_lines_of_apaches_format(log):
    assert (yield done("logsim", log, "--lines", 200)).ok
    with open(log) as file:
        old, *new = file.read().splitlines()
    assert old == "old"
    found = [LINE.fullmatch(line) for line in new]
    assert len(found) == 200
    assert {match[3] for match in found} == {"200", "304", "404"}


@pytest.mark.pyos(seed=7)
def test_logsim_writes_at_random_short_intervals(tmp_path):
    log = str(tmp_path / "new.log")
    seen = []

    def watch():
        sizes = 0
        while len(seen) < 50:
            if os.path.exists(log) and (size := os.path.getsize(log)) > sizes:
                sizes = size
                seen.append((yield GetTime()))
            yield Sleep(0.001)

    watcher = yield NewTask(watch())
    simulator = yield program("logsim", log, "--lines", 0, "--every", 0.1)
    yield WaitTask(watcher)
    gaps = [later - earlier for earlier, later in pairwise(seen)]
    assert 0.07 < sum(gaps) / len(gaps) < 0.13
    assert min(gaps) < 0.05 < 0.15 < max(gaps) <= 0.202
    yield KillTask(simulator)  # without --lines it would go on for ever
    assert (yield WaitTask(simulator)).signal is not None


def test_the_same_seed_makes_the_same_visitors(tmp_path):
    logs = []
    for number, seed in enumerate((1, 1, 2)):
        log = tmp_path / f"{number}.log"
        assert boot("logsim", log, "--every", 0, seed=seed).returncode == 0
        logs.append([LINE.fullmatch(line).groups() for line in log.read_text().splitlines()])
    assert logs[0] == logs[1] != logs[2]


# --- pipeline and grep


@pytest.mark.pyos
def test_a_pull_pipeline_prints_the_lines_that_match_as_they_come(log, capsys):
    tid = yield program("pipeline", "^o.*e$", log, "--lines", 3)
    yield Sleep(10)
    append(log, "one", "two")
    yield Sleep(1)
    assert lines(capsys.readouterr().out) == ["one"]
    append(log, "once")
    assert (yield WaitTask(tid)).ok
    assert lines(capsys.readouterr().out) == ["once"]


@pytest.mark.pyos
def test_grep_is_a_coroutine_that_notices_its_close(log, tmp_path, capsys):
    append(log, "a python", "no")
    other = tmp_path / "other"
    other.write_text("pythons\n")
    assert (yield done("grep", "python", log, other)).ok
    assert lines(capsys.readouterr().out) == [
        "grep: looking for python",
        "a python",
        "pythons",
        "grep: closed after 4 lines",
    ]


@pytest.mark.pyos
def test_grep_is_closed_also_when_a_file_cannot_be_read(log, tmp_path, capsys):
    gc.disable()
    try:
        assert (yield done("grep", "python", log, tmp_path / "missing")).value == 1
    finally:
        gc.enable()
    out, err = capsys.readouterr()
    assert lines(out) == ["grep: looking for python", "grep: closed after 1 lines"]
    assert err == f"grep: {tmp_path / 'missing'}: No such file or directory\n"


def test_grep_reads_standard_input():
    result = boot("grep", "python", input="a python\nno\npython without a newline")
    assert (result.returncode, result.stderr) == (0, "")
    assert lines(result.stdout)[1:] == ["a python", "python without a newline", "grep: closed after 3 lines"]


@pytest.mark.pyos
def test_a_coroutine_that_was_not_primed_says_so(log, capsys):
    assert (yield done("grep", "old", log, "--unprimed")).value == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "grep: TypeError: can't send non-None value to a just-started generator (prime it with next)\n"


# --- logreport


@pytest.fixture
def access_log(tmp_path):
    """A log of 5,000 lines, some of them strange, and the same gzipped."""
    chance = random.Random(4)
    made = []
    for number in range(5000):
        status = chance.choice([200, 200, 200, 304, 404, 500])
        size = "-" if status == 304 else chance.randrange(10_000)
        host, path = f"192.0.2.{chance.randrange(9)}", f"/{chance.randrange(12)}.html"
        made.append(f'{host} - - [01/Jan/2030:00:00:00 +0000] "GET {path} HTTP/1.1" {status} {size}')
        if number % 500 == 0:
            made.append("this is no line of a log")
    made[7] += ' "https://example.org/" "A combined format/1.0"'
    path = tmp_path / "access.log"
    path.write_text("\n".join(made) + "\n")
    (tmp_path / "packed.gz").write_bytes(gzip.compress(path.read_bytes()))
    return path


def table(out, title):
    """The rows of one table of a report."""
    part = out.split(f"   COUNT  {title}\n")[1].split("\n\n")[0]
    return [(key, int(number)) for number, key in (line.split(maxsplit=1) for line in part.splitlines())]


def expected(counter, top):
    return sorted(counter.items(), key=lambda entry: (-entry[1], entry[0]))[:top]


@pytest.mark.pyos
def test_a_report_counts_what_is_in_the_log(access_log, capsys):
    entries = [found.groups() for line in access_log.read_text().splitlines() if (found := LINE.match(line))]
    assert len(entries) == 5000
    assert (yield done("logreport", access_log, "--top", 4)).ok
    out = capsys.readouterr().out
    size = sum(int(entry[3]) for entry in entries if entry[3] != "-")
    assert lines(out)[0] == f"5010 lines, 10 of them not understood, {size} bytes"
    assert table(out, "STATUS") == sorted(Counter(entry[2] for entry in entries).items())
    assert table(out, "PATH") == expected(Counter(entry[1] for entry in entries), 4)
    missing = Counter(entry[0] for entry in entries if entry[2] == "404")
    assert table(out, "HOST WITH 404S") == expected(missing, 4)


@pytest.mark.pyos
def test_gzipped_logs_are_read_like_others_and_several_are_added(access_log, capsys):
    packed = access_log.parent / "packed.gz"
    yield done("logreport", access_log)
    plain = capsys.readouterr().out
    yield done("logreport", packed)
    assert capsys.readouterr().out == plain
    yield done("logreport", access_log, packed)
    both = capsys.readouterr().out
    assert table(both, "STATUS") == [(status, 2 * number) for status, number in table(plain, "STATUS")]


@pytest.mark.pyos
@pytest.mark.parametrize("damage", ["cut", "spoilt"])
def test_a_damaged_archive_is_one_line_after_what_was_read(access_log, damage, capsys):
    packed = access_log.parent / "packed.gz"
    data = packed.read_bytes()
    middle = len(data) // 2
    packed.write_bytes(data[:middle] if damage == "cut" else data[:middle] + bytes(40) + data[middle + 40 :])
    assert (yield done("logreport", packed)).value == 1
    out, err = capsys.readouterr()
    assert err.startswith(f"logreport: {packed}: damaged: ")
    assert err.count("\n") == 1
    assert 1000 < int(lines(out)[0].split()[0]) < 5010


@pytest.mark.pyos
def test_an_empty_log_makes_an_empty_report(tmp_path, capsys):
    (tmp_path / "empty").touch()
    assert (yield done("logreport", tmp_path / "empty")).ok
    assert lines(capsys.readouterr().out)[0] == "0 lines, 0 of them not understood, 0 bytes"


@pytest.mark.pyos
def test_others_run_while_a_report_is_made(access_log):
    turns = []
    yield NewTask(ticks(turns))
    yield done("logreport", access_log)
    assert len(turns) >= 5


def test_the_tables_of_a_report_are_bounded_and_say_what_they_may_have_missed():
    Top = runpy.run_path(PROGRAMS["logreport"])["Top"]
    Top.LIMIT = 100
    top = Top()
    true = Counter()
    for number in range(20_000):
        for key in (f"rare {number}", f"common {number % 5}"):
            top.add(key)
            true[key] += 1
        assert len(top.counts) < 200
    assert top.most(5) == [(f"common {number}", 4000) for number in range(5)]
    assert all(true[key] - top.lost <= count <= true[key] for key, count in top.counts.items())
    assert top.lost > 0
