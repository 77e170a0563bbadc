"""The loader: finding programs, what it refuses, what it warns of, and the namespace in which a program runs."""

import builtins
import contextlib
import importlib
import inspect
import os
import signal
import sys
import threading
import types

import pytest

from pyos import ProgramError
from pyos.cli import main as command_line
from pyos.kernel.loader import PACKAGE, Loader

MAIN = "\ndef main(*argv):\n    yield\n"


@pytest.fixture
def write(tmp_path):
    """Write a program; its path as a string."""

    def write_it(source, name="program.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source if isinstance(source, bytes) else source.encode())
        return str(path)

    return write_it


@pytest.fixture
def load(write, log):
    """Load a program given as source; what its main answers."""

    def load_it(source, *argv, name="program.py"):
        return Loader(log.append).load(write(source, name), argv)

    return load_it


def returned(target):
    """Run a generator or coroutine that never waits to its end: what it returns."""
    try:
        while True:
            target.send(None)
    except StopIteration as stop:
        return stop.value


# --- finding


def test_a_program_is_looked_for_here_then_beside_the_booted_one(write, tmp_path, monkeypatch, log):
    for folder in ("here", "home"):
        write(MAIN, f"{folder}/both.py")
        write(MAIN, f"{folder}/bin/{folder}.py")
    monkeypatch.chdir(tmp_path / "here")
    loader = Loader(log.append, str(tmp_path / "home"))
    assert loader.find("both.py") == "both.py"
    assert loader.find("bin/here.py") == "bin/here.py"
    assert loader.find("bin/home.py") == str(tmp_path / "home/bin/home.py")
    with pytest.raises(FileNotFoundError):
        Loader(log.append).find("bin/home.py")


def test_a_path_below_the_current_directory_is_shown_as_from_here(write, tmp_path, monkeypatch, log):
    write(MAIN, "home/program.py")
    monkeypatch.chdir(tmp_path)
    assert Loader(log.append, str(tmp_path / "home")).find("program.py") == "home/program.py"


def test_an_absolute_path_is_looked_for_nowhere_else(write, tmp_path, log):
    path = write(MAIN)
    loader = Loader(log.append, "/")
    assert loader.find(path) == path
    with pytest.raises(FileNotFoundError):
        loader.find("/program.py")


def test_what_pyos_ships_is_found_from_everywhere(tmp_path, monkeypatch, log):
    monkeypatch.chdir(tmp_path)
    assert os.path.samefile(Loader(log.append).find("lib/ps.py"), os.path.join(PACKAGE, "lib", "ps.py"))


@pytest.mark.parametrize("path", ["nowhere.py", "no/where", "a\0b", "\udcff", "~"])
def test_a_program_that_does_not_exist_is_a_file_not_found_error_that_names_it(path, log):
    with pytest.raises(FileNotFoundError, match="no such program") as caught:
        Loader(log.append, "/tmp").find(path)
    assert caught.value.filename == path


@pytest.mark.parametrize("path", [".", "/", "kernel"])
def test_a_directory_is_no_program(path, log):
    with pytest.raises(IsADirectoryError, match="a program is a file"):
        Loader(log.append).find(path)


# --- the kernel is not for userland

WRITTEN = [
    "import pyos.kernel",
    "import pyos.kernel.kernel",
    "import pyos.kernel as k",
    "import pyos.kernel.tasks as t",
    "import os, pyos.kernel.clock",
    "from pyos import kernel",
    "from pyos import kernel as k",
    "from pyos import Sleep, kernel",
    "from pyos.kernel import kernel",
    "from pyos.kernel import loader as other",
    "from pyos.kernel.kernel import Kernel",
    "from pyos.kernel.syscalls.task import get_tid as g",
    "import pyos; pyos.kernel",
    "import pyos; Kernel = pyos.kernel.kernel.Kernel",
    "import pyos as p; p.kernel",
    "import pyos.lib.sockets; pyos.kernel",
    "import importlib; importlib.import_module('pyos.kernel')",
    "import importlib as i; i.import_module(name='pyos.kernel.kernel')",
    "from importlib import import_module; import_module('pyos.kernel')",
    "import importlib; importlib.import_module('.kernel', 'pyos')",
    "import importlib; importlib.import_module('.kernel', package='pyos')",
    "__import__('pyos.kernel')",
    "__import__('pyos.kernel.kernel', fromlist=['Kernel'])",
    "import builtins; builtins.__import__('pyos.kernel')",
    "from . import kernel",
    "from . import kernel as k",
    "from .kernel import kernel",
    "from .kernel.kernel import Kernel",
]
PLACES = {
    "top": "{}",
    "function": "def f():\n    {}",
    "async function": "async def f():\n    {}",
    "method": "class C:\n    def f(self):\n        {}",
    "class": "class C:\n    {}",
    "branch": "if 0:\n    {}",
    "try": "try:\n    {}\nexcept ImportError:\n    pass",
    "main": "def main():\n    {}\n    yield",
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("spelling", WRITTEN)
def test_an_import_of_the_kernel_is_refused_before_anything_runs(load, tmp_path, spelling, place):
    spelled = PLACES[place].format(spelling)
    before = "raise AssertionError('it ran')\n"
    with pytest.raises(ProgramError, match=r"userland may not import pyos\.kernel") as caught:
        load(before + spelled + MAIN)
    line = before.count("\n") + spelled[: spelled.index(spelling)].count("\n") + 1
    assert str(caught.value).startswith(f"{tmp_path}/program.py:{line}: ")


COMPUTED = [
    "__import__('pyos', fromlist=['kernel'])",
    "__import__('pyos' + '.kernel')",
    "name = 'pyos.kernel.kernel'; __import__(name)",
    "import importlib; importlib.import_module('pyos' + '.kernel')",
    "from importlib import import_module as load; load('pyos.kernel.kernel')",
    "import importlib; importlib.import_module('.ker' + 'nel', 'pyos')",
    "import importlib; importlib.import_module('..ker' + 'nel', 'pyos.lib')",
    "exec('import pyos.ker' + 'nel')",
    'eval(\'__import__("pyos.ker" + "nel")\')',
    "exec('from pyos.ker' + 'nel import kernel')",
    "__package__ = 'pyos'; exec('from . import ker' + 'nel')",
    "__package__ = 'pyos.lib'; exec('from .. import ker' + 'nel')",
    "__name__ = 'pyos.program'; exec('from .ker' + 'nel import kernel')",
    "__name__ = 'pyos.errors'; exec('import pyos.ker' + 'nel')",
    "def f():\n    return __import__('pyos' + '.kernel')\nf()",
    "class C:\n    kernel = __import__('pyos' + '.kernel')",
]


@pytest.mark.parametrize("name", ["program.py", "pyos.py", "pyos.kernel.py"])
@pytest.mark.parametrize("spelling", COMPUTED)
def test_a_computed_import_of_the_kernel_is_refused_while_the_program_loads(load, spelling, name):
    with pytest.raises(ProgramError, match=r"userland may not import pyos\.kernel"):
        load(spelling + MAIN, name=name)


def test_a_helper_may_not_import_the_kernel_for_a_program(load, write, tmp_path, monkeypatch):
    write("from pyos.kernel.kernel import Kernel\n", "a_helper_of_a_program.py")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ProgramError, match=r"userland may not import pyos\.kernel"):
        load("import a_helper_of_a_program" + MAIN)


def test_a_refused_import_can_be_lived_without(load):
    source = "try:\n    __import__('pyos' + '.kernel')\nexcept ImportError:\n    kernel = 'none'\n"
    assert returned(load(source + "def main():\n    return kernel\n    yield\n")) == "none"


@pytest.mark.parametrize(
    "spelling",
    [
        "'''About pyos.kernel.'''",
        "from pyos import run, Sleep",
        "from pyos import *",
        "import pyos.lib.sockets",
        "from pyos.lib import sockets as kernel",
        "import types; o = types.SimpleNamespace(kernel=1); o.kernel",
        "class pyos:\n    kernel = 1\npyos.kernel",
        "from types import SimpleNamespace as kernel",
        "import importlib; importlib.import_module('json')",
        "__import__('json', fromlist=['kernel'])",
        "import pyos; pyos.run",
    ],
)
def test_everything_else_may_be_imported(load, log, spelling):
    assert inspect.isgenerator(load(spelling + MAIN))
    assert log == []


def test_pyos_itself_may_import_its_kernel_for_a_program(load):
    """`pyos.run` does, in a thread of the program's own or in a test."""
    source = "import pyos\ndef noop():\n    return 'ran'\n    yield\nvalue = pyos.run(noop())\n"
    assert returned(load(source + "def main():\n    return value\n    yield\n")) == "ran"


@pytest.mark.parametrize(
    "source", [MAIN, "1/0", "import pyos.kernel", "__import__('pyos' + '.kernel')", "__name__ = 'pyos.errors'"]
)
def test_the_import_functions_are_put_back(load, source):
    before = builtins.__import__, importlib.import_module
    with contextlib.suppress(ZeroDivisionError, ProgramError):
        load(source)
    assert (builtins.__import__, importlib.import_module) == before
    assert not [name for name in sys.modules if name.startswith("userland")]


@pytest.mark.parametrize("first_to_end", ["first", "second"])
def test_programs_that_load_at_the_same_time_in_two_threads_do_not_disturb_the_host(
    write, log, monkeypatch, first_to_end
):
    for module, name in ((builtins, "__import__"), (importlib, "import_module")):
        monkeypatch.setattr(module, name, getattr(module, name))
    loads = {}
    for name in ("first", "second"):
        gate = types.SimpleNamespace(reached=threading.Event(), opened=threading.Event())
        monkeypatch.setitem(sys.modules, f"gate_{name}", gate)
        source = f"import gate_{name} as gate\ngate.reached.set()\ngate.opened.wait()\n{MAIN}"
        thread = threading.Thread(target=Loader(log.append).load, args=(write(source, f"{name}.py"), ()))
        thread.start()
        gate.reached.wait()
        loads[name] = gate, thread
    others_may_import_the_kernel()
    for name in sorted(loads, key=lambda name: name != first_to_end):
        gate, thread = loads[name]
        gate.opened.set()
        thread.join()
        others_may_import_the_kernel()
    for spelling in COMPUTED[:4]:
        with pytest.raises(ProgramError):
            Loader(log.append).load(write(spelling + MAIN), ())
    others_may_import_the_kernel()


def others_may_import_the_kernel():
    assert importlib.import_module("pyos.kernel.kernel") is __import__("pyos.kernel.kernel").kernel.kernel


# --- sources


@pytest.mark.parametrize(
    "source",
    [
        "text = 'é€'\n".encode(),
        b"\xef\xbb\xbf" + "text = 'é€'\n".encode(),
        b"\xef\xbb\xbf# coding: utf-8\n" + "text = 'é€'\n".encode(),
        "# coding: iso-8859-15\ntext = 'é€'\n".encode("iso-8859-15"),
        "#!/usr/bin/env python3\n# -*- coding: cp1252 -*-\ntext = 'é€'\n".encode("cp1252"),
        "text = 'é€'\r\n".encode(),
        "\f\ntext = 'é€'\n".encode(),
    ],
)
def test_a_source_is_decoded_as_python_decodes_it(load, source):
    assert returned(load(source + b"def main():\n    return text\n    yield")) == "é€"


@pytest.mark.parametrize(
    ("source", "line", "message"),
    [
        (b"x = (\n", 1, "'(' was never closed"),
        (b"x = 1\n\n  y = 2\n", 3, "unexpected indent"),
        (b"x = 1\nreturn\n", 2, "'return' outside function"),
        (b"def main():\n    yield\n    break\n", 3, "'break' outside loop"),
        (b"# coding: nonsense\n", 1, "unknown encoding: nonsense"),
        (b"\xef\xbb\xbf# coding: latin-1\n", 1, "encoding problem"),
        (b"x = '\xff'\n", 1, "codec can't decode byte 0xff"),
        (b"x = 1\n\n\n\ny = '\xff'\n", 5, "codec can't decode byte 0xff"),
        (b"x = 1\ny = '\0'\n", 2, "null bytes"),
        ("def main():\n    yield\n".encode("utf-16"), 1, "null bytes"),
        (b"x = " + b"(" * 1000 + b")" * 1000, 1, "too many nested parentheses"),
    ],
)
def test_a_source_that_is_no_python_is_a_syntax_error_with_file_and_line(load, tmp_path, source, line, message):
    with pytest.raises(SyntaxError) as caught:
        load(source)
    assert message in caught.value.msg
    assert (caught.value.filename, caught.value.lineno) == (f"{tmp_path}/program.py", line)


# --- forgotten yields


SUBROUTINE = "def sub():\n    yield\n"
METHOD = "class C:\n    def m(self):\n        yield\n"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (SUBROUTINE + "def main():\n    sub()\n    yield\n", "sub"),
        ("def main():\n    def sub():\n        yield from ()\n    yield\n    sub()\n", "sub"),
        (METHOD + "    def n(self):\n        self.m()\n" + MAIN, "self.m"),
    ],
)
def test_a_subroutine_called_as_a_bare_statement_is_warned_of(load, log, source, name):
    load(source).close()
    (line,) = log
    assert line.endswith(f"{name}(...) does nothing without yield: `yield {name}(...)`")


@pytest.mark.parametrize(
    "source",
    [
        "def sub():\n    pass\ndef main():\n    sub()\n    yield\n",
        "def sub():\n    def inner():\n        yield\n    return inner()\ndef main():\n    sub()\n    yield\n",
        SUBROUTINE + "def main():\n    yield sub()\n",
        SUBROUTINE + "sub = print\ndef main():\n    sub()\n    yield\n",
        "import functools\n@functools.cache\n" + SUBROUTINE + "def main():\n    sub()\n    yield\n",
        SUBROUTINE + "def main(sub=print):\n    sub()\n    yield\n",
        METHOD + "class D:\n    def m(self):\n        pass\n    def n(self):\n        self.m()\n" + MAIN,
    ],
)
def test_a_call_that_may_do_something_is_not_warned_of(load, log, source):
    load(source).close()
    assert log == []


@pytest.mark.parametrize(
    ("source", "line", "name"),
    [
        ("from pyos import Sleep\ndef main():\n    Sleep(1)\n    yield\n", 3, "Sleep"),
        ("from pyos import Sleep as Nap\ndef main():\n    yield\n    Nap(1)\n", 4, "Nap"),
        ("from pyos.traps import Exit\ndef main():\n    yield\n    if 1:\n        Exit()\n", 5, "Exit"),
        ("from pyos import *\ndef main():\n    KillTask(3)\n    yield\n", 3, "KillTask"),
        ("import pyos\ndef main():\n    pyos.Sleep(1)\n    yield\n", 3, "pyos.Sleep"),
        ("import pyos as p\ndef main():\n    p.WaitTask()\n    yield\n", 3, "p.WaitTask"),
        ("import pyos.lib.sockets\ndef main():\n    pyos.Exec('x')\n    yield\n", 3, "pyos.Exec"),
        ("def main():\n    from pyos import Sleep\n    yield\n    Sleep(\n1)\n", 4, "Sleep"),
        ("from pyos import Sleep\nasync def main():\n    Sleep(1)\n", 3, "Sleep"),
        ("from pyos import Sleep\nSleep(1)\n" + MAIN, 2, "Sleep"),
        ("from pyos import Sleep\nclass C:\n    def f(self):\n        Sleep(1)\n" + MAIN, 4, "Sleep"),
    ],
)
def test_a_trap_built_as_a_bare_statement_is_warned_of_with_file_and_line(load, log, tmp_path, source, line, name):
    load(source).close()
    assert log == [
        f"warning: {tmp_path}/program.py:{line}: {name}(...) does nothing without yield: `yield {name}(...)`"
    ]


@pytest.mark.parametrize(
    ("source", "line", "name"),
    [
        ("from pyos import Lock\nlock = Lock()\ndef main():\n    yield\n    lock.release()\n", 5, "lock.release"),
        ("from pyos import Lock as L\ndef main():\n    a = b = L('x')\n    yield\n    b.acquire()\n", 5, "b.acquire"),
        ("import pyos\ndef main():\n    e: pyos.Event = pyos.Event()\n    yield\n    e.set()\n", 5, "e.set"),
        ("from pyos import *\nc = Channel(3)\ndef main():\n    c.put(1)\n    yield\n", 4, "c.put"),
        ("from pyos.handles import Cell\nc = Cell(3)\ndef main():\n    c.store(1)\n    yield\n", 4, "c.store"),
        ("from pyos import Semaphore\ns = Semaphore(1)\ndef main():\n    s.release()\n    yield\n", 4, "s.release"),
        ("from pyos import Lock\nk = Lock()\ndef main():\n    yield f(k=k)\n    k.release()\n", 5, "k.release"),
        (
            "import pyos\ndef main():\n    a, c = 1, pyos.Condition(l)\n    yield\n    c.notify_all()\n",
            5,
            "c.notify_all",
        ),
    ],
)
def test_a_handles_method_as_a_bare_statement_is_warned_of(load, log, tmp_path, source, line, name):
    load(source).close()
    assert log == [
        f"warning: {tmp_path}/program.py:{line}: {name}(...) does nothing without yield: `yield {name}(...)`"
    ]


@pytest.mark.parametrize(
    "body",
    [
        "lock = Lock()\n    yield lock.release()",
        "lock = Lock()\n    print(lock.release())",
        "lock = Lock()\n    lock.ring()",
        "event = object()\n    event.set()",
        "event = Lock()\n    event = object()\n    event.set()",
        "event = Event()\n    for event in []:\n        event.set()",
        "event = Event()\n    def f(event):\n        event.set()",
        "event = Event()\n    with x as event:\n        event.set()",
        "event = Event()\n    (lambda event: 0)\n    event.set()",
        "event = Event()\n    from odd import event\n    event.set()",
        "event = Event()\n    def event():\n        pass\n    event.set()",
        "event = Event()\n    try:\n        pass\n    except OSError as event:\n        event.set()",
        "event = Event()\n    match 1:\n        case event:\n            event.set()",
        "lock.release()",
    ],
)
def test_a_method_of_what_may_be_no_handle_is_not_warned_of(load, log, body):
    load(f"from pyos import Lock, Event\ndef main():\n    {body}\n    yield\n").close()
    assert log == []


@pytest.mark.parametrize(
    "statement", ["with (yield lock.acquire()):", "with lock.acquire():", "with x, (yield lock.acquire()) as held:"]
)
def test_a_with_that_does_not_release_a_lock_is_warned_of(load, log, tmp_path, statement):
    load(f"from pyos import Lock\nlock = Lock()\ndef main():\n    {statement}\n        yield\n").close()
    assert log == [
        f"warning: {tmp_path}/program.py:4: `with` does not release what lock.acquire() has taken (it answers None): "
        "`yield lock.acquire()`, then `try: ... finally: yield lock.release()`"
    ]


def test_a_with_of_something_else_is_not_warned_of(load, log):
    load("def main():\n    with (yield sub()), open('x') as file:\n        yield\n").close()
    assert log == []


def test_a_tuple_of_traps_is_warned_of_trap_by_trap(load, log):
    load("from pyos import Sleep, GetTid\ndef main():\n    (Sleep(3), 4)\n    Sleep(1), GetTid()\n    yield\n").close()
    assert [(line.split(":")[2], line.split()[2]) for line in log] == [
        ("3", "Sleep(...)"),
        ("4", "Sleep(...)"),
        ("4", "GetTid(...)"),
    ]


def test_every_forgotten_yield_is_warned_of_in_the_order_of_the_lines(load, log):
    body = "    for x in 'ab':\n        if x:\n            Sleep(1)\n    GetTid()\n    yield Sleep(2)\n    Sleep(3)\n"
    load(f"from pyos import Sleep, GetTid\ndef main():\n{body}")
    assert [line.split(":")[2] for line in log] == ["5", "6", "8"]


@pytest.mark.parametrize(
    "statement",
    [
        "yield Sleep(1)",
        "yield (yield Sleep(1))",
        "nap = Sleep(1)",
        "print(Sleep(1))",
        "[Sleep(1)]",
        "Sleep",
        "sleep(1)",
    ],
)
def test_a_trap_that_is_used_is_not_warned_of(load, log, statement):
    load(f"from pyos import Sleep\nfrom time import sleep\ndef main():\n    yield\n    {statement}\n")
    assert log == []


def test_only_the_traps_of_pyos_are_warned_of(load, log):
    load("class Sleep: pass\nclass pyos:\n    Sleep = Sleep\nSleep()\npyos.Sleep()\n" + MAIN)
    load("from pyos import Sleep\nasync def main():\n    await Sleep(1)\n").close()
    assert log == []


# --- the namespace


def test_every_load_is_a_fresh_namespace(load):
    source = "seen = []\ndef main(word):\n    seen.append(word)\n    return seen\n    yield\n"
    assert (returned(load(source, "a")), returned(load(source, "b"))) == (["a"], ["b"])


def test_a_program_sees_its_file_and_is_not_the_main_program(load, tmp_path):
    source = "def main():\n    return __name__, __file__, [n for n in globals() if n[0] != '_']\n    yield\n"
    assert returned(load(source)) == ("userland.program", f"{tmp_path}/program.py", ["main"])


def test_a_program_is_among_the_modules_only_while_it_loads(load):
    load("import sys\nassert sys.modules[__name__].__dict__ is globals()\n" + MAIN)
    assert "userland.program" not in sys.modules


@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"])
def test_a_program_may_have_dataclasses(load, future):
    source = "from dataclasses import dataclass\n@dataclass\nclass Point:\n    x: int = 3\n"
    assert returned(load(future + source + "def main():\n    return Point().x\n    yield\n")) == 3


def test_the_loaders_own_future_imports_are_not_the_programs(load):
    assert returned(load("def main(n: int = 1):\n    return main.__annotations__\n    yield\n")) == {"n": int}


def test_tracebacks_of_a_program_show_its_lines(load, tmp_path):
    with pytest.raises(ZeroDivisionError) as caught:
        load("def f():\n    1 / 0\nf()\n")
    frames = [(frame.path, frame.lineno + 1) for frame in caught.traceback[-2:]]
    assert [(str(path), line) for path, line in frames] == [(f"{tmp_path}/program.py", line) for line in (3, 2)]


# --- main


def test_main_gets_its_arguments(load):
    source = "def main(first, *rest, last='z'):\n    return first, rest, last\n    yield\n"
    assert returned(load(source, "a", "b", "c")) == ("a", ("b", "c"), "z")


@pytest.mark.parametrize(
    "source",
    [
        "async def main():\n    return 'it ran'\n",
        "def main():\n    return 'it ran'\n    yield\n",
        "def m(word):\n    return word\n    yield\nfrom functools import partial\nmain = partial(m, 'it ran')\n",
        "class C:\n    def m(self):\n        return 'it ran'\n        yield\nmain = C().m\n",
        "import types\n@types.coroutine\ndef main():\n    return 'it ran'\n    yield\n",
        "main = lambda: (yield) or 'it ran'\n",
    ],
)
def test_main_is_a_generator_or_async_function_of_any_make(load, source):
    assert returned(load(source)) == "it ran"


@pytest.mark.parametrize(
    "source", ["", "x = 1\n", "def Main():\n    yield\n", "if 0:\n    def main(): yield\n", "main = None"]
)
def test_a_program_without_main_says_what_to_define(load, tmp_path, source):
    with pytest.raises(
        ProgramError, match=r"program\.py has no main: a program defines `def main\(\*argv\)`"
    ) as caught:
        load(source)
    assert caught.value.path == f"{tmp_path}/program.py"


@pytest.mark.parametrize(
    "source",
    [
        "def main():\n    pass\n",
        "def main():\n    raise AssertionError('it was called')\n",
        "main = 3\n",
        "class main:\n    pass\n",
        "def m():\n    yield\nmain = m()\n",
        "class C:\n    def __call__(self):\n        yield\nmain = C()\n",
    ],
)
def test_a_main_of_another_kind_is_refused_without_being_called(load, source):
    with pytest.raises(ProgramError, match="neither a generator nor an async function"):
        load(source)


@pytest.mark.parametrize("argv", [(), ("a", "b", "c")])
def test_arguments_that_main_does_not_take_are_refused_with_its_usage(load, argv):
    with pytest.raises(ProgramError, match=r"cannot be called so: .*; usage: main\(first, second='x'\)"):
        load("def main(first, second='x'):\n    yield\n", *argv)


def test_an_async_main_that_yields_is_told_to_await(load):
    with pytest.raises(
        ProgramError, match=r"is an async generator: in an async def, a trap is awaited and not yielded"
    ):
        load("from pyos import Sleep\nasync def main():\n    yield Sleep(1)\n")


# --- at the command line

BAD = {
    "missing": (None, "cannot boot {path}: no such program"),
    "syntax": ("x = 1\nx = = 2\n", "{path}:2: syntax error: invalid syntax"),
    "encoding": (b"x = '\xff'\n", "{path}:1: syntax error: (unicode error)"),
    "no main": ("x = 1\n", "{path} has no main"),
    "plain main": ("def main(): return 1\n", "main in {path} is neither a generator nor an async function"),
    "arguments": ("def main(a):\n    yield\n", "{path} cannot be called so: missing a required argument: 'a'"),
    "kernel": ("x = 1\nimport pyos.kernel\n", "{path}:2: userland may not import pyos.kernel"),
    "computed": ("__import__('pyos' + '.kernel')\n", "{path}: userland may not import pyos.kernel"),
    "raises": ("x = 1\n1 / 0\n", "cannot boot {path}: it raised ZeroDivisionError while loading"),
    "raises OSError": ("open('/nowhere')\n", "cannot boot {path}: it raised FileNotFoundError while loading"),
    "exits": ("import sys\nsys.exit(0)\n", "cannot boot {path}: it raised SystemExit while loading"),
    "interrupts": ("raise KeyboardInterrupt\n", "cannot boot {path}: it raised KeyboardInterrupt while loading"),
    "cancels": ("import asyncio\nraise asyncio.CancelledError\n", "cannot boot {path}: it raised CancelledError"),
    "kills": ("import pyos\nraise pyos.TaskKilled(pyos.INT)\n", "cannot boot {path}: it raised TaskKilled while"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_booted_is_one_clear_line_and_exit_code_2(write, tmp_path, capfd, case):
    source, message = BAD[case]
    path = str(tmp_path / "nowhere.py") if source is None else write(source)
    assert command_line(["boot", path]) == 2
    out, err = capfd.readouterr()
    details, _, line = err.rstrip("\n").rpartition("\n")
    assert out == ""
    assert line.startswith("pyos: " + message.format(path=path))
    assert "pyos/kernel" not in err
    if "while loading" in line:
        assert details.startswith(f'Traceback (most recent call last):\n  File "{path}", line ')
    else:
        assert details == ""


def test_an_interrupt_while_a_program_is_loaded_is_no_error_of_the_program(write, capfd):
    path = write("import signal\nsignal.raise_signal(signal.SIGINT)\n")
    assert command_line(["boot", path]) == 128 + signal.SIGINT
    assert capfd.readouterr() == ("", "")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_directory_cannot_be_booted(tmp_path, capfd):
    assert command_line(["boot", str(tmp_path)]) == 2
    assert capfd.readouterr().err == f"pyos: cannot boot {tmp_path}: a program is a file, and this is a directory\n"
