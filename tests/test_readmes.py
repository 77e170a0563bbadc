"""Every program and command in the READMEs, run as it stands there (tests/documents.py says how)."""

import re
import tomllib

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
    assert matches(comparable(run_in(tmp_path, command), timed=True), comparable(output, timed=True))


def matches(printed: list[str], said: list[str]) -> bool:
    """Line by line; a line that is `…` stands for any number of them."""
    pattern = "".join("(.*\n)*" if line == "…" else re.escape(line) + "\n" for line in said)
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in printed)) is not None


def test_every_block_is_run():
    """Ways to write a block that would go unnoticed."""
    for document in DOCUMENTS:
        document.check_blocks()
    assert len(COMMANDS) >= 8


def test_no_placeholder_is_left():
    assert "@@" not in (ROOT / "README.md").read_text()


def test_links_lead_somewhere():
    assert [document.dead_links() for document in DOCUMENTS] == [[], []]


def test_the_order_of_reading_has_every_file_of_the_kernel():
    order = DOCUMENTS[0].text.partition("## Read the code in this order")[2].partition("\n## ")[0]
    files = [path.name for path in (ROOT / "pyos/kernel").iterdir() if path.name not in ("__init__.py", "__pycache__")]
    assert [name for name in files if order.count(f"(pyos/kernel/{name})") != 1] == []


def test_every_page_of_the_documentation_is_linked():
    pages = [f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")]
    pages += [f"{path.parent.relative_to(ROOT)}/README.md" for path in (ROOT / "docs").glob("*/README.md")]
    assert [page for page in pages if f"]({page})" not in DOCUMENTS[0].text] == []


def test_the_table_of_extras_is_that_of_the_project():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", DOCUMENTS[0].text.partition("## Dependencies")[2], re.M)
    assert {extra: set(re.findall(r"`([\w-]+)`", row)) for extra, row in rows} == {
        extra: {re.split(r"[\[>]", package)[0].replace("pyos-generators", "test") for package in packages}
        for extra, packages in extras.items()
    }


def test_comparing_is_not_blind():
    assert matches(["a", "b", "c"], ["a", "…", "c"])
    assert matches(["a", "c"], ["a", "…", "c", "…"])
    assert not matches(["a", "b"], ["a", "…", "c"])
    assert not matches(["a", "b"], ["a"])
    assert comparable("[  0.0001] init", True) == comparable("[ 12.3456] init", True)
    assert comparable("TID  1\n", True) != comparable("TID  2\n", True)
    assert comparable("22,1003,41.938262") != comparable("22,1003,41.938263")
    assert comparable("  indented") != comparable("indented")
