"""XML as a flow: both parsers send the same events however the bytes come, and say where a document is broken."""

import pickle
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyos.lib.dataflow import XMLError, chunks, expat_events, push, records, sax_events, sink, take

PARSERS = [expat_events, sax_events]
both = pytest.mark.parametrize("parser", PARSERS, ids=["expat", "sax"])


def events(parser, document, size=None):
    """What a parser sends for a document that comes in pieces of `size` bytes."""
    data = document.encode() if isinstance(document, str) else document
    got = []
    size = size or len(data) or 1
    push((data[i : i + size] for i in range(0, len(data), size)), parser(sink(got.append), "doc.xml"))
    return got


@both
def test_events_of_a_small_document(parser):
    assert events(parser, '<a x="1"><b>text</b> <c/></a>') == [
        ("start", ("a", {"x": "1"})),
        ("start", ("b", {})),
        ("text", "text"),
        ("end", "b"),
        ("text", " "),
        ("start", ("c", {})),
        ("end", "c"),
        ("end", "a"),
    ]


@both
@pytest.mark.parametrize(
    "inside",
    ["one\ntwo", "one<!-- remark -->\ntwo", "<![CDATA[one\n]]>two", "one&#10;two", "one\n<?pi?>two", "&o;ne\ntwo"],
)
@pytest.mark.parametrize("size", [1, 7, None])
def test_text_between_two_tags_is_one_event(parser, inside, size):
    document = f'<!DOCTYPE a [<!ENTITY o "o">]><a>{inside}</a>'
    assert events(parser, document, size)[1] == ("text", "one\ntwo")


@both
def test_a_text_larger_than_any_buffer_is_one_event(parser):
    text = "line of text\n" * 100_000
    assert events(parser, f"<a>{text}</a>", 65536)[1] == ("text", text)


@both
def test_an_entity_that_is_declared_elsewhere_is_not_lost(parser):
    document = '<!DOCTYPE a SYSTEM "elsewhere.dtd"><a>1 &and; 2</a>'
    assert events(parser, document)[1] == ("text", "1 &and; 2")


names = st.sampled_from(["a", "bus", "route", "x-1"])
texts = st.text(st.characters(blacklist_categories=["Cs", "Cc"]) | st.just("\n"), min_size=1, max_size=20)
trees = st.recursive(
    texts,
    lambda inner: st.tuples(names, st.dictionaries(names, texts, max_size=2), st.lists(inner, max_size=4)),
    max_leaves=12,
)


def written(tree):
    if isinstance(tree, str):
        return escape(tree)
    name, attributes, children = tree
    inside = "".join(map(written, children))
    return f"<{name}{''.join(f' {key}={quoteattr(value)}' for key, value in attributes.items())}>{inside}</{name}>"


def expected(tree):
    """The events of a tree, neighbouring texts not yet joined."""
    if isinstance(tree, str):
        yield "text", tree
        return
    name, attributes, children = tree
    yield "start", (name, attributes)
    for child in children:
        yield from expected(child)
    yield "end", name


def joined(events):
    result = []
    for kind, value in events:
        if kind == "text" and result and result[-1][0] == "text":
            value = result.pop()[1] + value
        result.append((kind, value))
    return result


@given(st.tuples(names, st.dictionaries(names, texts, max_size=2), st.lists(trees, max_size=4)), st.integers(1, 50))
def test_both_parsers_give_back_any_document(tree, size):
    for parser in PARSERS:
        assert events(parser, written(tree), size) == joined(expected(tree))


# --- what is broken


BROKEN = {
    "mismatched tag": ("<a>\n  <b>one</b>\n  <b>two</c>\n</a>", 3, 11, ["\n  ", "one", "\n  ", "two"]),
    "no element found": ("<a>\n<b>one</b>\ntail", 3, 5, ["\n", "one", "\ntail"]),
    "undefined entity": ("<a>one&two;</a>", 1, 7, ["one"]),
    "not well-formed (invalid token)": ("<a>\n<b>one</b>two < three</a>", 2, 16, ["\n", "one", "two "]),
    "junk after document element": ("<a><b>one</b></a>\n<b/>", 2, 1, ["one"]),
}


@both
@pytest.mark.parametrize("size", [1, None])
@pytest.mark.parametrize("problem", BROKEN)
def test_a_broken_document_ends_with_its_place_after_what_came_before(parser, size, problem):
    document, line, column, texts = BROKEN[problem]
    got = []
    data = document.encode()
    size = size or len(data)
    with pytest.raises(XMLError) as caught:
        push((data[i : i + size] for i in range(0, len(data), size)), parser(sink(got.append), "doc.xml"))
    assert str(caught.value) == f"doc.xml:{line}:{column}: {problem}"
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert [value for kind, value in got if kind == "text"] == texts


@both
def test_an_empty_document_is_broken(parser):
    with pytest.raises(XMLError, match=r"doc.xml:1:1: no element found"):
        events(parser, b"")


@both
def test_an_unknown_encoding_is_an_error_of_the_document(parser):
    with pytest.raises(XMLError, match=r"doc.xml:1:\d+: .*encoding"):
        events(parser, b'<?xml version="1.0" encoding="no-such"?><a/>')


@both
@pytest.mark.parametrize("kind", [ValueError, LookupError, OSError])
def test_an_error_of_the_target_is_not_taken_for_the_documents(parser, kind):
    def fail(event):
        raise kind("mine")

    with pytest.raises(kind, match="mine"):
        push([b"<a/>"], parser(sink(fail)))


@both
def test_a_flow_that_breaks_above_is_no_broken_document(parser):
    def pieces():
        yield b"<a>"
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone") as caught:
        push(pieces(), parser(sink(str)))
    assert caught.value.__context__ is None


@both
def test_a_target_that_has_had_enough_ends_the_parsing(parser):
    got = []
    pieces = iter([b"<a><b/><b/>"] + [b"<b/>"] * 1000)
    push(pieces, parser(take(3, sink(got.append))))
    assert len(got) == 3
    assert next(pieces) == b"<b/>"


# --- records


def recorded(document):
    got = []
    push([document.encode()], expat_events(records("bus", sink(got.append))))
    return got


def test_elements_become_dicts():
    document = """
      <buses noise="1"> <depot><id>outside</id></depot>
        <bus id="7"> <route>
          22 </route><direction> North
           Bound</direction><next><![CDATA[5th & <Main>]]></next><empty/> </bus> stray
        <bus><route>9</route></bus>
      </buses>"""
    assert recorded(document) == [
        {"id": "7", "route": "22", "direction": "North Bound", "next": "5th & <Main>", "empty": ""},
        {"route": "9"},
    ]


def test_text_below_a_child_is_the_childs_and_the_last_of_two_counts():
    assert recorded("<x><bus><a>1<b>2</b>3</a><c>old</c><c>new</c></bus></x>") == [{"a": "123", "c": "new"}]


def test_a_record_inside_a_record_is_a_child_like_any_other():
    assert recorded("<x><bus><bus>inner</bus></bus></x>") == [{"bus": "inner"}]


def test_chunks_are_the_file(tmp_path):
    path = tmp_path / "feed.xml"
    path.write_bytes(bytes(range(256)) * 1000)
    pieces = list(chunks(str(path), 10_000))
    assert b"".join(pieces) == path.read_bytes()
    assert {len(piece) for piece in pieces[:-1]} == {10_000}
