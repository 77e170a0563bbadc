"""The guide in docs/course: every command and program in it prints what it says there, timings aside."""

import re

import pytest

from pyos.lessons.catalogue import LESSONS
from tests.documents import Document, prepare, run_in, settled
from tests.system import ROOT

CHAPTERS = {number: Document(f"docs/course/{lesson.chapter}") for number, lesson in LESSONS.items()}
INDEX = Document("docs/course/README.md")
GUIDE = [INDEX, *CHAPTERS.values()]
EVERY_DOCUMENT = pytest.mark.parametrize("document", GUIDE, ids=lambda document: document.path)


@EVERY_DOCUMENT
def test_every_command_prints_what_the_guide_says(document, tmp_path):
    prepare(tmp_path)
    document.save_programs(tmp_path)
    assert document.commands()
    for block, command, output in document.commands():
        assert settled(command, run_in(tmp_path, command)) == settled(command, output), f"{block.name} {command}"


@EVERY_DOCUMENT
def test_every_block_of_the_guide_is_run(document):
    document.check_blocks()


@EVERY_DOCUMENT
def test_the_links_of_the_guide_lead_somewhere(document):
    assert document.dead_links() == []


@EVERY_DOCUMENT
def test_a_page_is_not_too_long(document):
    assert len(document.text.splitlines()) < 150
    prose = re.sub(r"```.*?```", "", document.text, flags=re.S)
    assert [line for line in prose.splitlines() if len(line) > 130] == []


@pytest.mark.parametrize("number", LESSONS)
def test_a_chapter_has_its_parts(number):
    text = CHAPTERS[number].text
    assert text.startswith(f"# {number} ")
    for part in ("## The idea", "## A program", "## What happens inside", "## Exercise"):
        assert part in text
    commands = [command for _, command, _ in CHAPTERS[number].commands()]
    assert any(f"lesson {number} --start" in command for command in commands)
    assert any(f"lesson {number} --check" in command for command in commands)


def test_there_is_no_other_page():
    assert {f"docs/course/{path.name}" for path in (ROOT / "docs/course").iterdir()} == {d.path for d in GUIDE}
    assert all(f"]({lesson.chapter})" in INDEX.text for lesson in LESSONS.values())
