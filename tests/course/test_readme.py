"""The commands in userland/course/README.md print what it says, timings aside; it shows every program."""

import pytest

from tests.course.running import COURSE
from tests.documents import Document, prepare, run_in, settled

README = Document("userland/course/README.md")
PROGRAMS = sorted(path.relative_to(COURSE).as_posix() for path in COURSE.glob("[pl]*/*.py"))


def test_every_command_of_the_readme_prints_what_it_says(tmp_path):
    prepare(tmp_path)
    assert len(README.commands()) > 40
    for block, command, output in README.commands():
        assert settled(command, run_in(tmp_path, command)) == settled(command, output), f"{block.name} {command}"


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_readme_runs_every_program(program):
    assert any(f"userland/course/{program}" in command for _, command, _ in README.commands())


def test_every_block_of_the_readme_is_run():
    README.check_blocks()


def test_the_links_of_the_readme_lead_somewhere():
    assert README.dead_links() == []
