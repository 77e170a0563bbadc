"""Every program and command in the READMEs, run as it stands there (tests/documents.py says how)."""

import pytest

from tests.documents import Document, comparable, prepare, run_in
from tests.system import ROOT

DOCUMENTS = [Document(path) for path in ("README.md", "userland/README.md")]
COMMANDS = [
    pytest.param(document, command, output, id=f"{block.name} {command}")
    for document in DOCUMENTS
    for block, command, output in document.commands()
]


@pytest.mark.parametrize(("document", "command", "output"), COMMANDS)
def test_a_command_prints_what_the_readme_says(tmp_path, document, command, output):
    prepare(tmp_path)
    document.save_programs(tmp_path)
    assert comparable(run_in(tmp_path, command), timed=True) == comparable(output, timed=True)


def test_every_block_is_run():
    """Ways to write a block that would go unnoticed."""
    for document in DOCUMENTS:
        document.check_blocks()
    assert len(COMMANDS) >= 8


def test_no_placeholder_is_left():
    assert "@@" not in (ROOT / "README.md").read_text()


def test_links_lead_somewhere():
    assert [document.dead_links() for document in DOCUMENTS] == [[], []]


def test_comparing_is_not_blind():
    assert comparable("[  0.0001] init", True) == comparable("[ 12.3456] init", True)
    assert comparable("TID  1\n", True) != comparable("TID  2\n", True)
    assert comparable("22,1003,41.938262") != comparable("22,1003,41.938263")
    assert comparable("  indented") != comparable("indented")
