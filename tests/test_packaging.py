"""The wheel: what is in it, and that it works in a fresh virtual environment, from an empty directory."""

import importlib.util
import os
import subprocess
import sys
import venv
import zipfile
from email.parser import HeaderParser

import pytest

import pyos
from tests.system import ROOT

if importlib.util.find_spec("hatchling") is None:
    pytest.skip("hatchling is not installed", allow_module_level=True)


def clean_environment():
    """Nothing that would lead back to this checkout."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}


def run(*command, **options):
    """Run a command that must succeed, with no input; answers what it wrote to standard output."""
    given = {"env": clean_environment(), "stdin": subprocess.DEVNULL, "capture_output": True, "text": True, **options}
    done = subprocess.run([str(word) for word in command], check=False, **given)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    [path] = folder.iterdir()
    return path


@pytest.fixture(scope="module")
def contents(wheel):
    """The names of the files in the wheel, and the text of its METADATA and entry points."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        texts = [archive.read(name).decode() for name in names if name.endswith(("/METADATA", "/entry_points.txt"))]
    return set(names), *texts


def test_the_wheel_ships_every_module_and_all_of_userland(contents):
    names = contents[0]
    wanted = {f"pyos/{path.relative_to(ROOT / 'pyos')}" for path in (ROOT / "pyos").rglob("*.py")}
    wanted |= {f"pyos/{path.relative_to(ROOT)}" for path in (ROOT / "userland").rglob("*.py")}
    assert wanted | {"pyos/py.typed"} <= names
    assert "pyos/userland/init.py" in names


def test_the_wheel_ships_nothing_else(contents):
    strangers = {name for name in contents[0] if not name.startswith("pyos/") and ".dist-info/" not in name}
    assert strangers == set()
    assert not any("__pycache__" in name or name.startswith("pyos/tests") for name in contents[0])


def test_the_metadata(contents):
    metadata = HeaderParser().parsestr(contents[1])
    assert (metadata["Name"], metadata["Version"]) == ("pyos-generators", pyos.__version__)
    assert metadata["Requires-Python"] == ">=3.11"
    required = metadata.get_all("Requires-Dist")
    assert all("extra ==" in line for line in required)  # dependencies = []
    assert set(metadata.get_all("Provides-Extra")) >= {"test", "dev", "bench"}


def test_the_entry_points(contents):
    assert "[console_scripts]\npyos = pyos.__main__:main\n" in contents[2]
    assert "[pytest11]\npyos = pyos.pytest_plugin" in contents[2]


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The folder of the commands of a fresh virtual environment with nothing but the wheel in it."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin/python"
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-index"]
    run(sys.executable, "-m", "pip", "--python", python, "install", *options, wheel, env={**clean_environment()})
    return folder / "bin"


@pytest.mark.slow
def test_an_installed_pyos_boots_what_it_ships_from_an_empty_directory(installed, tmp_path):
    for command in (["pyos"], ["python", "-m", "pyos"]):
        words = [installed / command[0], *command[1:]]
        assert run(*words, "--version", cwd=tmp_path) == f"pyos {pyos.__version__}\n"
        env = {**clean_environment(), "ECHO_PORT": "0"}
        log = run(*words, "boot", "userland/init.py", cwd=tmp_path, env=env)
        assert "task 3 is the shell (try help)\necho: listening on 127.0.0.1:" in log
        done = run(*words, "boot", "userland/init.py", cwd=tmp_path, env=env, stdin=None, input="hello\nps\n")
        assert "Hello, world, from task 4!\n" in done
        assert done.count("site-packages/pyos/userland/") == 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_ones_own_programs_come_first(installed, tmp_path):
    (tmp_path / "userland/bin").mkdir(parents=True)
    (tmp_path / "userland/bin/hello.py").write_text("def main():\n    yield\n    print('mine')\n")
    assert run(installed / "pyos", "boot", "userland/bin/hello.py", cwd=tmp_path) == "mine\n"
