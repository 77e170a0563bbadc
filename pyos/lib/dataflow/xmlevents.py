"""XML as a flow: stages that take bytes and send events, one over expat and one over SAX, and what is built on events.

    ("start", (name, attributes))    ("text", string)    ("end", name)

Both send exactly the same events: text that lies between two tags comes as one event, however the parser cut it and
whatever comments or CDATA marks are in it. `close()` ends the document. What is not well-formed raises XMLError, after
the events (and the text) of what came before it have been sent.

Expat is the faster one: its handlers are built-in methods and one small function an event, where SAX goes through two
Python methods and an attributes object.
"""

from __future__ import annotations

import os
import stat
import xml.sax
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat
from xml.sax.handler import ContentHandler

from pyos.lib.dataflow.core import Coroutine, Target, coroutine, outlet
from pyos.lib.options import BadInput
from pyos.traps import ReadWait, Sleep, Trap

CHUNK = 65536  # bytes
Event = tuple[str, Any]


class XMLError(BadInput):
    """A document is not well-formed: `name:line:column: what is wrong`; line and column count from 1."""

    def __init__(self, name: str, line: int, column: int, problem: str) -> None:
        super().__init__(name, line, column, problem)
        self.name, self.line, self.column, self.problem = name, line, column, problem

    def __str__(self) -> str:
        return f"{self.name}:{self.line}:{self.column}: {self.problem}"


# --- bytes to events


@coroutine
def expat_events(target: Target, name: str = "<xml>") -> Coroutine:
    """Parse what is sent with expat; `name` is the document's, for errors."""
    with outlet(target) as send:
        parser = expat.ParserCreate()
        parser.buffer_text = True  # one call for most texts, instead of one a line
        texts: list[str] = []
        join, clear = "".join, texts.clear

        def start(tag: str, attributes: dict[str, str]) -> None:
            if texts:
                text = join(texts)
                clear()
                send(("text", text))
            send(("start", (tag, attributes)))

        def end(tag: str) -> None:
            if texts:
                text = join(texts)
                clear()
                send(("text", text))
            send(("end", tag))

        parser.StartElementHandler = start
        parser.EndElementHandler = end
        parser.CharacterDataHandler = texts.append
        parser.SkippedEntityHandler = lambda entity, parameter: texts.append(f"&{entity};")
        problem = None
        try:
            with suppress(GeneratorExit):
                while True:
                    parser.Parse((yield))
            parser.Parse(b"", True)
        except expat.ExpatError as error:
            problem = XMLError(name, error.lineno, error.offset + 1, expat.errors.messages[error.code])
        except (LookupError, ValueError) as error:
            if not is_parsers_own(error):
                raise
            problem = XMLError(name, parser.CurrentLineNumber, parser.CurrentColumnNumber + 1, str(error))
        parser.buffer_text = False  # hands over what it holds
        if texts:
            send(("text", join(texts)))
        if problem is not None:
            raise problem


@coroutine
def sax_events(target: Target, name: str = "<xml>") -> Coroutine:
    """Parse what is sent with the standard library's SAX."""
    with outlet(target) as send:
        handler = SaxHandler(send)
        parser = xml.sax.make_parser()
        parser.setContentHandler(handler)
        parser.feed(b"")  # type: ignore[attr-defined]  # else an empty document would be a good one
        problem = None
        try:
            with suppress(GeneratorExit):
                while True:
                    parser.feed((yield))  # type: ignore[attr-defined]
            parser.close()  # type: ignore[attr-defined]
        except xml.sax.SAXParseException as error:
            column = (error.getColumnNumber() or 0) + 1
            problem = XMLError(name, error.getLineNumber() or 1, column, error.getMessage())
        except (LookupError, ValueError) as error:
            if not is_parsers_own(error):
                raise
            problem = XMLError(name, parser.getLineNumber(), parser.getColumnNumber() + 1, str(error))  # type: ignore
        if handler.texts:
            send(("text", "".join(handler.texts)))
        if problem is not None:
            raise problem


class SaxHandler(ContentHandler):
    """Turns SAX's calls into events."""

    def __init__(self, send: Callable[[Event], Any]) -> None:
        super().__init__()
        self.send = send
        self.texts: list[str] = []
        self.characters = self.texts.append  # type: ignore[assignment]

    def startElement(self, name: str, attrs: Any) -> None:
        if texts := self.texts:
            text = "".join(texts)
            texts.clear()
            self.send(("text", text))
        self.send(("start", (name, dict(attrs.items()))))

    def endElement(self, name: str) -> None:
        if texts := self.texts:
            text = "".join(texts)
            texts.clear()
            self.send(("text", text))
        self.send(("end", name))

    def skippedEntity(self, name: str) -> None:
        self.texts.append(f"&{name};")


def is_parsers_own(error: BaseException) -> bool:
    """True for an error of the parser itself (an unknown encoding): it has no frame of Python that is not XML's."""
    trace = error.__traceback__
    while trace is not None and (following := trace.tb_next) is not None:
        if not following.tb_frame.f_globals.get("__name__", "").startswith("xml.sax"):
            return False
        trace = following
    return True


# --- files to bytes, events to records


def chunks(path: str, size: int = CHUNK) -> Iterator[bytes | Trap[None]]:
    """A file's bytes, in pieces that take a few milliseconds to parse; for a pipe also traps, to wait for it.

    Raises OSError.
    """
    with open(path, "rb", buffering=0, opener=open_without_waiting) as file:
        regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        while True:
            if not regular:
                yield ReadWait(file)
            data = file.read(size)
            if data:
                yield data
            elif data is not None:
                return


def open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


@coroutine
def records(tag: str, target: Target) -> Coroutine:
    """From events, one dict for each `tag` element: its attributes, and the text of each child by its name.

    White space is made regular: none at the ends, one blank in between. Text below a child is the child's; a child that
    comes twice has its last text. Whatever is outside such elements is passed over.
    """
    with outlet(target) as send:
        while True:
            kind, value = yield
            if kind != "start" or value[0] != tag:
                continue
            record = dict(value[1])
            depth = 0
            texts: list[str] = []
            while True:  # the element's content, up to its own end
                kind, value = yield
                if kind == "text":
                    if depth:
                        texts.append(value)
                elif kind == "start":
                    depth += 1
                    if depth == 1:
                        texts.clear()
                elif depth:
                    depth -= 1
                    if not depth:
                        record[value] = " ".join("".join(texts).split())
                else:
                    break
            send(record)


def iterparse_records(path: str, tag: str, *, breath: int = 1000) -> Iterator[dict[str, str] | Trap[None]]:
    """The same dicts by ElementTree's iterparse, to be pulled; a trap in between lets others run. Reads regular files.

    Raises OSError and XMLError.
    """
    with open(path, "rb") as file:
        open_elements: list[ElementTree.Element] = []
        inside = 0  # how many of the open ones are records
        try:
            for number, (kind, element) in enumerate(ElementTree.iterparse(file, ["start", "end"]), 1):
                if number % breath == 0:
                    yield Sleep(0)
                if kind == "start":
                    open_elements.append(element)
                    inside += element.tag == tag
                    continue
                open_elements.pop()
                inside -= element.tag == tag
                if not inside:
                    if element.tag == tag:
                        yield element.attrib | {child.tag: text_of(child) for child in element}
                    if open_elements:
                        open_elements[-1].clear()  # else the whole document would be in memory in the end
        except ElementTree.ParseError as error:
            line, column = error.position
            raise XMLError(path, line, column + 1, expat.errors.messages[error.code]) from None
        except (LookupError, ValueError) as error:  # an encoding that Python does not know
            raise XMLError(path, 1, 1, str(error)) from None


def text_of(element: ElementTree.Element) -> str:
    """All text in an element, with regular white space."""
    return " ".join("".join(element.itertext()).split())
