"""Who may import whom, and where state may be: read from the sources, and tried in fresh interpreters."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pyos.kernel.loader import check_imports

ROOT = Path(__file__).parent.parent

# The order of the design: a module imports only modules above it. Modules that the design does not name stand where
# they belong: what userland is told before what it asks with, the choices before the queue that is one, lives and
# deaths on the scheduler that blocks and wakes, the audit before the kernel that offers it, hosts last.
ORDER = """
    pyos.signals
    pyos.status
    pyos.errors
    pyos.limits
    pyos.traps
    pyos.handles
    pyos.manual
    pyos.lib.group
    pyos.lib
    pyos.lib.ps
    pyos.lib.exits
    pyos.lib.options
    pyos.lib.console
    pyos.lib.sockets
    pyos.lib.dataflow.core
    pyos.lib.dataflow.stages
    pyos.lib.dataflow.follow
    pyos.lib.dataflow.xmlevents
    pyos.lib.dataflow.worker
    pyos.lib.dataflow.threads
    pyos.lib.dataflow.processes
    pyos.lib.dataflow
    pyos.kernel
    pyos.kernel.limits
    pyos.kernel.collector
    pyos.kernel.tasks
    pyos.kernel.awaitables
    pyos.kernel.tracebacks
    pyos.kernel.trampoline
    pyos.kernel.closing
    pyos.kernel.asyncgens
    pyos.kernel.clock
    pyos.kernel.poller
    pyos.kernel.readiness
    pyos.kernel.waitgraph
    pyos.kernel.waitqueue
    pyos.kernel.channels
    pyos.kernel.sync
    pyos.kernel.choice
    pyos.kernel.scheduler
    pyos.kernel.signalling
    pyos.kernel.timeouts
    pyos.kernel.lifecycle
    pyos.kernel.syscalls.binding
    pyos.kernel.syscalls.task
    pyos.kernel.syscalls.time
    pyos.kernel.syscalls.io
    pyos.kernel.syscalls.ipc
    pyos.kernel.syscalls.introspection
    pyos.kernel.syscalls
    pyos.kernel.mistakes
    pyos.kernel.loader
    pyos.usage
    pyos.kernel.running
    pyos.kernel.audit
    pyos.kernel.kernel
    pyos.kernel.watchdog
    pyos.observe
    pyos.observe.strace
    pyos.observe.debug
    pyos.check
    pyos.check.accesses
    pyos.check.command
    pyos.check.debugger
    pyos.check.dpor
    pyos.check.explorer
    pyos.check.footprint
    pyos.check.guards
    pyos.check.harness
    pyos.check.isolation
    pyos.check.jobs
    pyos.check.page
    pyos.check.program
    pyos.check.pytest
    pyos.check.queue
    pyos.check.race
    pyos.check.recorder
    pyos.check.replay
    pyos.check.report
    pyos.check.settings
    pyos.check.shrink
    pyos.check.source
    pyos.check.story
    pyos.check.strategies
    pyos.check.tracing
    pyos.check.watcher
    pyos.check.witness
    pyos.host
    pyos
    pyos.lessons.catalogue
    pyos.lessons.checks_flow
    pyos.lessons.checks_tasks
    pyos.lessons.checks_system
    pyos.lessons.checker
    pyos.lessons.show
    pyos.lessons.commands
    pyos.lessons
    pyos.cli
    pyos.__main__
    pyos.pytest_plugin
""".split()  # noqa: SIM905


FOR_PYTEST = ("pyos.pytest_plugin", "pyos.check.pytest")
CHECKS_WITH_TIME = ("command", "guards", "jobs", "settings", "tracing")


def name_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    name_of(path): path
    for path in sorted((ROOT / "pyos").rglob("*.py"))
    if "userland" not in path.relative_to(ROOT).parts
}
TREES = {name: ast.parse(path.read_text(), str(path)) for name, path in MODULES.items()}
USERLAND = sorted((ROOT / "userland").rglob("*.py"))


def parts_that_run(node):
    """Every node under this one, except what only type checkers see."""
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from parts_that_run(child)


def imports(tree, everything=False):
    """The full names of what a module imports, with the line: modules, not the names in them."""
    for node in ast.walk(tree) if everything else parts_that_run(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports are not used here"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield (full if full in MODULES else node.module), node.lineno


# --- the order


def test_the_order_names_every_module_once():
    assert sorted(ORDER) == sorted(MODULES)


@pytest.mark.parametrize("module", ORDER)
def test_a_module_imports_only_modules_above_it(module):
    above = ORDER[: ORDER.index(module)]
    if module.startswith("pyos.check"):  # the checker is one layer, and asks pyos for its version
        above += [name for name in ORDER if name.startswith("pyos.check")] + ["pyos"]
    wrong = [
        f"{MODULES[module]}:{line}: imports {name}, which is not above {module}"
        for name, line in imports(TREES[module])
        if name.partition(".")[0] == "pyos" and name not in above
    ]
    assert not wrong


@pytest.mark.parametrize("module", ORDER)
def test_nothing_but_the_standard_library_is_imported(module):
    allowed = {*sys.stdlib_module_names, "pyos"}
    if module in FOR_PYTEST:
        allowed |= {"pytest", "pytest_timeout"}
    assert {name.partition(".")[0] for name, _ in imports(TREES[module], everything=True)} <= allowed


@pytest.mark.parametrize(
    ("names", "only"),
    [
        (
            {"time", "datetime", "sched"},
            # a check has a budget of real time, and watches over who else asks for it
            {"pyos.kernel.clock", *(f"pyos.check.{name}" for name in CHECKS_WITH_TIME)},
        ),
        # a target in a process also works where there is no kernel to wait for it
        ({"select", "selectors"}, {"pyos.kernel.poller", "pyos.lib.dataflow.processes"}),
    ],
)
def test_time_is_asked_in_the_clock_alone_and_the_system_for_readiness_in_the_poller_alone(names, only):
    users = {module for module, tree in TREES.items() if names & {name for name, _ in imports(tree, everything=True)}}
    assert users == only


@pytest.mark.parametrize("path", USERLAND + [MODULES[name] for name in ORDER if name.startswith("pyos.lib")], ids=str)
def test_userland_does_not_import_the_kernel(path):
    tree = ast.parse(path.read_text(), str(path))
    check_imports(tree, str(path))
    assert not [name for name, _ in imports(tree, everything=True) if name.startswith("pyos.kernel")]


def test_there_is_userland_to_be_checked():
    assert {"init.py", "sh.py", "echo.py"} <= {path.name for path in USERLAND}


# --- state

KERNEL = [name for name in ORDER if name.startswith("pyos.kernel")]
MUTATORS = set("append appendleft add update setdefault pop popitem popleft remove discard clear extend insert".split())  # noqa: SIM905
FILLED_AT_IMPORT = {("pyos.kernel.syscalls.binding", "handles", "HANDLERS")}  # by the @handles of each handler
THREAD_LOCAL = ("pyos.kernel.kernel", "_this_thread")


def assigned(tree):
    """Name and value of what a module assigns at its top level."""
    for node in tree.body:
        if isinstance(node, ast.Assign):
            yield from ((target.id, node.value) for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            yield node.target.id, node.value


def base_name(node):
    """The name at the bottom of `name.attribute[key].attribute`."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def mutated(function):
    """The names of what a function changes in place."""
    for node in ast.walk(function):
        if isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
            yield base_name(node)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
            yield base_name(node.func)


@pytest.mark.parametrize("module", KERNEL)
def test_the_kernel_uses_neither_nonlocal_nor_global(module):
    assert not [node.lineno for node in ast.walk(TREES[module]) if isinstance(node, ast.Nonlocal | ast.Global)]


@pytest.mark.parametrize("module", KERNEL)
def test_what_a_kernel_module_assigns_is_a_constant_or_a_type(module):
    variables = [name for name, _ in assigned(TREES[module]) if not re.match(r"_?[A-Z]|__all__$", name)]
    assert variables == ([THREAD_LOCAL[1]] if module == THREAD_LOCAL[0] else [])


def test_one_thread_local_is_all_the_state_of_the_kernels_modules():
    found = [
        (module, name, ast.unparse(value))
        for module in KERNEL
        for name, value in assigned(TREES[module])
        if "threading." in ast.unparse(value)
    ]
    assert found == [(*THREAD_LOCAL, "threading.local()")]


@pytest.mark.parametrize("module", KERNEL)
def test_no_function_of_the_kernel_changes_what_its_module_has_assigned(module):
    constants = {name for name, _ in assigned(TREES[module])}
    functions = [node for node in ast.walk(TREES[module]) if isinstance(node, ast.FunctionDef)]
    changed = {(module, f.name, name) for f in functions for name in mutated(f) if name in constants}
    inner = {(module, "declare", "HANDLERS")}  # the decorator inside `handles`
    assert changed - FILLED_AT_IMPORT - inner <= {
        (THREAD_LOCAL[0], name, THREAD_LOCAL[1]) for name in ("__enter__", "__exit__")
    }


@pytest.mark.parametrize("module", KERNEL)
def test_no_class_of_the_kernel_shares_a_container_between_its_instances(module):
    classes = [node for node in ast.walk(TREES[module]) if isinstance(node, ast.ClassDef)]
    values = [statement.value for c in classes for statement in c.body if isinstance(statement, ast.Assign)]
    assert not [value.lineno for value in values if isinstance(value, ast.List | ast.Dict | ast.Set)]


# --- in a fresh interpreter


def fresh(code, *arguments, stdin=""):
    """Run code in an interpreter that has the standard library and this folder; what it prints last, as a set."""
    command = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}\nprint(*sorted(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", command, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return set(result.stdout.splitlines()[-1].split())


def foreign(modules):
    known = {*sys.stdlib_module_names, "pyos", "__main__", "__mp_main__"}
    return {name for name in modules if name.partition(".")[0] not in known}


def test_importing_pyos_does_not_import_its_kernel():
    modules = fresh("import pyos, pyos.manual, pyos.lib.sockets, pyos.lib.console, pyos.lib.ps")
    assert "pyos.traps" in modules
    assert not [name for name in modules if name.startswith("pyos.kernel")]


@pytest.mark.parametrize("module", [name for name in ORDER if name not in ("pyos.__main__", *FOR_PYTEST)])
def test_every_module_can_be_imported_first_and_needs_the_standard_library_only(module):
    modules = fresh(f"import {module}")
    assert module in modules
    assert foreign(modules) == set()


@pytest.mark.parametrize("options", [[], ["--strace"], ["--debug"]])
@pytest.mark.parametrize("program", ["userland/bin/hello.py", "userland/bin/sh.py"])
def test_boot_needs_the_standard_library_only(program, options):
    boot = "from pyos.cli import main\ncode = main(['boot', *sys.argv[1:]])\nassert code == 0, code\nprint()"
    modules = fresh(boot, *options, str(ROOT / program), stdin="ps\nhelp\nrun userland/bin/hello.py\n")
    assert "pyos.kernel.kernel" in modules
    assert foreign(modules) == set()
