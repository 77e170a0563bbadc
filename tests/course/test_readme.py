"""The commands in userland/course/README.md print what it says, timings aside."""

import re
import subprocess
import sys

import pytest

from tests.course.programs import PROGRAMS, ROOT

README = f"{ROOT}/userland/course/README.md"
VARIES = [  # what differs from run to run, and what stands for it
    (re.compile(r"\[\d\d/\w{3}/\d{4}:[\d:]{8} \+0000\]"), "[time]"),
    (re.compile(r"\(\d+\) died"), "(pid) died"),
]
TIMED = ("cobench", "xmlbench")


def sessions():
    """The commands of each block, with what is shown below each."""
    with open(README) as file:
        for block in re.findall(r"```console\n(.*?)```", file.read(), re.DOTALL):
            commands = [part.partition("\n") for part in re.split(r"^\$ ", block, flags=re.MULTILINE) if part]
            yield [(command, shown) for command, _, shown in commands]


SESSIONS = list(sessions())


def settled(command, text):
    for pattern, stand_in in VARIES:
        text = pattern.sub(stand_in, text)
    if any(name in command for name in TIMED):
        text = re.sub(r" +[\d.]+", " #", text)
    return text


def test_every_command_of_the_readme_prints_what_it_says(tmp_path):
    commands = [part for session in SESSIONS for part in session]
    assert len(commands) > 20
    for command, shown in commands:
        real = command.replace("/tmp/", f"{tmp_path}/").replace("python3 ", f"{sys.executable} ")
        result = subprocess.run(
            real, shell=True, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        printed = result.stdout.replace(f"{tmp_path}/", "/tmp/")
        assert settled(command, printed) == settled(command, shown), command


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_readme_runs_every_program(name):
    assert any(f"/{name}.py" in command for session in SESSIONS for command, _ in session)
