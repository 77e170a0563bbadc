"""Part 3, events: feeds of buses through SAX, expat and iterparse, of any size in the same memory."""

import csv
import gc
import inspect
import io
import os
import re
import subprocess
import sys
import threading
from xml.etree import ElementTree

import pytest

from pyos import NewTask, WaitTask
from pyos.lib.dataflow import chunks, coroutine, expat_events, iterparse_records, push, records, sax_events, sink
from pyos.lib.dataflow.xmlevents import XMLError
from tests.course.programs import ROOT, boot, done, lines, program, ticks

PARSERS = ["expat", "sax", "iterparse"]
every_parser = pytest.mark.parametrize("parser", PARSERS)


@pytest.fixture(scope="module")
def feed(tmp_path_factory):
    """A feed of 300 buses, made by the program."""
    path = tmp_path_factory.mktemp("feeds") / "feed.xml"
    result = boot("makefeed", path, "--buses", 300, seed=5)
    assert (result.returncode, result.stdout, result.stderr) == (0, f"{path}: 300 buses\n", "")
    return str(path)


def buses(path):
    """The buses of a feed, as another reader finds them: fields with regular white space."""
    for bus in ElementTree.parse(path).getroot():
        yield {field.tag: " ".join((field.text or "").split()) for field in bus}


# --- feeds


def test_a_feed_is_as_large_as_asked_for_and_the_same_for_the_same_seed(tmp_path):
    first, second, other = (tmp_path / name for name in "abc")
    for path, seed in ((first, 1), (second, 1), (other, 2)):
        assert boot("makefeed", path, "--megabytes", 1, seed=seed).returncode == 0
        assert 1_000_000 <= os.path.getsize(path) < 1_010_000
    assert first.read_bytes() == second.read_bytes() != other.read_bytes()


def test_a_feed_has_what_feeds_have(feed):
    with open(feed) as file:
        text = file.read()
    assert "<![CDATA[" in text
    assert re.search(r"<direction>[^<]*\n[^<]*</direction>", text)
    assert re.search(r"<route>\s+22\s+</route>", text)
    assert {"id", "route", "direction", "latitude", "longitude"} <= set(next(buses(feed)))


# --- events


@pytest.mark.pyos
@pytest.mark.parametrize("parser", ["expat", "sax"])
def test_events_are_printed_as_they_are_sent(tmp_path, parser, capsys):
    path = tmp_path / "small.xml"
    path.write_text("<bus a='1'><id>7<!-- no text -->7</id></bus>")
    assert (yield done("events", path, "--parser", parser)).ok
    assert lines(capsys.readouterr().out) == [
        "('start', ('bus', {'a': '1'}))",
        "('start', ('id', {}))",
        "('text', '77')",
        "('end', 'id')",
        "('end', 'bus')",
    ]


@pytest.mark.pyos
def test_the_first_events_of_a_large_feed_are_enough(feed, capsys):
    assert (yield done("events", feed, "--first", 4)).ok
    assert len(lines(capsys.readouterr().out)) == 4


# --- buses


@pytest.mark.pyos
@every_parser
@pytest.mark.parametrize(
    "wanted", [{}, {"route": "22"}, {"direction": "North Bound"}, {"route": "9", "direction": "X"}]
)
def test_the_buses_one_waits_for_are_printed(feed, parser, wanted, capsys):
    argv = [word for field, value in wanted.items() for word in (f"--{field}", value)]
    assert (yield done("buses", feed, "--parser", parser, *argv)).ok
    expected = [bus for bus in buses(feed) if all(bus[field] == value for field, value in wanted.items())]
    fields = ("route", "id", "direction", "latitude", "longitude")
    assert list(csv.reader(io.StringIO(capsys.readouterr().out))) == [
        [bus[field] for field in fields] for bus in expected
    ]
    assert bool(expected) == ("X" not in wanted.values())


@pytest.mark.pyos
@every_parser
def test_a_line_has_the_direction_in_quotes_and_nothing_for_a_missing_field(tmp_path, parser, capsys):
    path = tmp_path / "odd.xml"
    path.write_text(
        """<buses><line><bus id="1485"><route>
        22 </route><direction>  North
        Bound</direction><latitude>41.88</latitude><longitude>-87.62</longitude></bus></line>
        <bus><id>7</id><direction><![CDATA[<"East">]]></direction></bus></buses>"""
    )
    assert (yield done("buses", path, "--parser", parser)).ok
    assert lines(capsys.readouterr().out) == ['22,1485,"North Bound",41.88,-87.62', ',7,"<""East"">",,']


@pytest.mark.pyos
@every_parser
def test_a_malformed_feed_ends_with_its_place_after_the_buses_before(tmp_path, parser, capsys):
    path = tmp_path / "cut.xml"
    assert (yield done("makefeed", path, "--buses", 3, "--cut")).ok
    capsys.readouterr()
    assert (yield done("buses", path, "--parser", parser)).value == 1
    out, err = capsys.readouterr()
    assert len(lines(out)) == 3
    text = path.read_text()
    assert err == f"buses: {path}:{text.count(chr(10)) + 1}:{len(text.splitlines()[-1]) + 1}: no element found\n"


@pytest.mark.pyos
@every_parser
def test_a_feed_that_is_no_xml_is_one_line(tmp_path, parser, capsys):
    path = tmp_path / "feed.xml"
    for content, problem in ((b"", "1:1: no element found"), (b"route 22\n", "1:1: syntax error")):
        path.write_bytes(content)
        assert (yield done("buses", path, "--parser", parser)).value == 1
        assert capsys.readouterr().err == f"buses: {path}:{problem}\n"


@pytest.mark.pyos
@every_parser
def test_others_run_while_a_feed_is_read(feed, parser, capsys):
    turns = []
    yield NewTask(ticks(turns))
    assert (yield done("buses", feed, "--parser", parser)).ok
    assert len(turns) >= 2 + os.path.getsize(feed) // 65536


@pytest.mark.pyos(clock="real")
def test_a_feed_that_comes_through_a_pipe_is_waited_for(tmp_path, capsys):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    tid = yield program("buses", path)
    yield

    def write():
        with open(path, "w") as pipe:
            pipe.write("<buses><bus><id>1</id></bus>")
            pipe.flush()
            pipe.write("<bus><id>2</id></bus></buses>")

    writer = threading.Thread(target=write)
    writer.start()
    assert (yield WaitTask(tid)).ok
    writer.join()
    assert lines(capsys.readouterr().out) == [',1,"",,', ',2,"",,']


# --- iterparse


def test_iterparse_finds_the_same_records_as_events(feed):
    found = {"events": [], "iterparse": []}
    push(chunks(feed), expat_events(records("bus", sink(found["events"].append))))
    push(only_records(iterparse_records(feed, "bus")), sink(found["iterparse"].append))
    assert found["iterparse"] == found["events"] == list(buses(feed)) != []


def only_records(items):
    return (item for item in items if isinstance(item, dict))


def test_iterparse_keeps_no_more_elements_than_one_bus_has(tmp_path):
    path = tmp_path / "deep.xml"
    bus = "<bus><id>1</id></bus><noise><more/></noise>"
    path.write_text(f"<a><b>{bus * 20_000}</b></a>")
    for number, _ in enumerate(only_records(iterparse_records(str(path), "bus"))):
        if number == 15_000:
            assert sum(isinstance(thing, ElementTree.Element) for thing in gc.get_objects()) < 5000
            return
    pytest.fail("there are fewer buses than were written")


@pytest.mark.parametrize("encoding", ["no-such", "utf-7"])
def test_iterparse_takes_an_unknown_encoding_for_a_broken_document(tmp_path, encoding):
    path = tmp_path / "odd.xml"
    path.write_text(f'<?xml version="1.0" encoding="{encoding}"?><a/>')
    with pytest.raises(XMLError, match="encoding"):
        list(iterparse_records(str(path), "bus"))


# --- time and memory


@pytest.mark.pyos
def test_the_timing_table_has_every_variant_and_all_find_the_same_buses(feed, capsys):
    assert (yield done("xmlbench", feed, "--rounds", 1)).ok
    _, *rows = map(str.split, lines(capsys.readouterr().out))
    assert [(what, parser) for what, parser, *_ in rows] == [
        ("events", "SAX"),
        ("events", "expat"),
        ("buses", "SAX"),
        ("buses", "expat"),
        ("buses", "iterparse"),
    ]
    assert all(float(number) > 0 for row in rows for number in row[2:5])
    wanted = str(sum(bus["route"] == "22" for bus in buses(feed)))
    assert [row[5] for row in rows] == ["-", "-", wanted, wanted, wanted]


def test_expat_enters_less_than_half_as_many_functions_as_sax(feed):
    """The profile that explains the table: a tag is one Python function with expat; with SAX it is several."""
    calls = {parser: functions_entered(feed, parser) for parser in (expat_events, sax_events)}
    tags = 2 * 300 * 10
    assert tags <= calls[expat_events] < 1.1 * tags
    assert calls[sax_events] > 2 * calls[expat_events]


def functions_entered(feed, parser):
    """How many Python functions are entered while a feed is parsed; resuming a generator is none."""
    entered = []

    def profile(frame, event, arg):
        if event == "call" and not frame.f_code.co_flags & inspect.CO_GENERATOR:
            entered.append(frame.f_code.co_name)

    flow = parser(drop())
    with open(feed, "rb") as file:
        data = file.read()
    sys.setprofile(profile)
    try:
        flow.send(data)
    finally:
        sys.setprofile(None)
    flow.close()
    return len(entered)


@coroutine
def drop():
    while True:
        yield


def test_peak_memory_is_the_same_for_ten_and_a_hundred_megabytes():
    command = [sys.executable, "-m", "tests.course.bigfeed", "10", "100"]
    output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=100).stdout
    (small, little), (large, much) = (map(int, found) for found in re.findall(r"(\d+) MB: peak (\d+) KiB", output))
    assert (small, large) == (10, 100)
    assert abs(much - little) < 2048
