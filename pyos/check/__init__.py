"""Checking: a program under every schedule, or as many as the budget allows; the one that fails is shown and replayed.

The kernel and the program are the ones that run in production, with another run queue, clock and chooser (law 4).

    report = pyos.check(program, strategy="dfs", budget=None)

    harness     runs the program again and again in one kernel that is reset
    strategies  which schedules: dfs, delay, random, pct; dpor, with the footprints of steps
    explorer    the whole check: budget, failures confirmed, shrunk and told
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyos.check.report import Report
    from pyos.limits import Limits


def check(
    program: Callable[..., Any],
    *,
    args: Sequence[Any] = (),
    strategy: str = "portfolio",
    budget: float | None = 60.0,
    isolated: bool = False,
    seed: int | str | None = None,
    depth: int = 3,
    delays: int = 2,
    max_steps: int = 10_000,
    leaks: bool = True,
    keep_going: bool = False,
    limits: Limits | None = None,
    replay: str | None = None,
    progress: Callable[[Report, float], None] | None = None,
) -> Report:
    """Run `program(*args)` under many schedules; the report says what was found, and whether that was all there is.

    `program` is a generator or async function, which becomes init; or a function that returns a list of generators,
    all of which exist before the first choice; or one that returns `(list, outcome)`, where `outcome()` labels the
    run. `strategy`: portfolio, dfs, dpor, random, pct (of `depth`), delay (at most `delays` deviations) or
    production. `budget`: seconds (float), schedules (int), or None for no limit. `isolated`: the tasks share nothing
    but kernel objects, so that dpor may leave out what cannot matter; NotIsolated if they are seen to share more.
    `leaks=False` allows tasks and locks to be left at the end. The check stops at the first failure unless
    `keep_going`. `replay` runs one schedule again. Errors: TypeError, ValueError, ReplayError.
    """
    import dataclasses
    import functools

    from pyos.check.explorer import Explorer
    from pyos.check.replay import identity_of
    from pyos.check.settings import Settings

    if not callable(program):
        raise TypeError(f"a program to check is a function, not {type(program).__name__}: pass it without calling it")
    name = getattr(program, "__name__", "program")
    settings = Settings(
        strategy=strategy,
        budget=budget,
        isolated=isolated,
        seed=seed,
        depth=depth,
        delays=delays,
        max_steps=max_steps,
        leaks=leaks,
        keep_going=keep_going,
        limits=limits,
        progress=progress,
    )
    given = [f"args={tuple(args)!r}"] if args else []
    given += [
        f"{field.name}={getattr(settings, field.name)!r}"
        for field in dataclasses.fields(settings)
        if field.name in ("seed", "max_steps", "leaks", "limits") and getattr(settings, field.name) != field.default
    ]
    settings.command = lambda text: f"pyos.check({', '.join([name, *given, f'replay={text!r}'])})"
    identity = identity_of(program, argv=[repr(arg) for arg in args], seed=seed)
    with Explorer(functools.partial(program, *args) if args else program, identity, settings) as explorer:
        return explorer.check() if replay is None else explorer.replay(replay)


def always(condition: Callable[[], Any]) -> None:
    """Under a check: `condition()` must hold after every step of this run (not be False, nor raise AssertionError).

    Outside a check it does nothing.
    """
    if (harness := current_check()) is not None:
        harness.invariants.append(condition)


def eventually(condition: Callable[[], Any]) -> None:
    """Under a check: `condition()` must hold when this run is over. Outside a check it does nothing."""
    if (harness := current_check()) is not None:
        harness.at_end.append(condition)


def current_check() -> Any:
    """The harness that runs in this thread, or None."""
    kernels = sys.modules.get("pyos.kernel.kernel")
    kernel = kernels.current_kernel() if kernels is not None else None
    return None if kernel is None else kernel.check
