"""What is no trap: everything else that may be yielded, and the hint it gets."""

import functools
import re
import types

import pytest

from pyos import BadTrap, GetTid, NewTask, Sleep, WaitTask
from tests.kernel.programs import Nameless, awaits, outcome, sleeps, yields


class Lies:
    """Says it is something else."""

    @property
    def __class__(self):
        return GetTid


class Misbehaves:
    """Everything one asks of it raises."""

    def __repr__(self):
        raise ValueError("no repr")

    def __getattribute__(self, name):
        raise ValueError("no attributes")


class OddText(str):
    def __len__(self):
        raise ValueError("no length")

    def __format__(self, spec):
        raise ValueError("no format")


class OddRepr:
    def __repr__(self):
        return OddText("odd")


class Callable:
    def __call__(self):
        pass


class MySleep(Sleep):
    """Traps are dispatched by exact type."""

    __slots__ = ()


def function():
    yield


async def async_generator():
    yield 1


NAMELESS = (Nameless("NamelessClass", (), {}),)
RETURN = "to return a value from a subroutine use return"
ONE = "one is yielded at a time; for several at once, start a task for each (NewTask)"

WRONG = {
    "number": (42, "yielded 42, which is not a trap: " + RETURN),
    "string": ("text", "yielded 'text', which is not a trap: " + RETURN),
    "bytes": (b"data", RETURN),
    "false": (False, RETURN),
    "list": ([1, 2], "yielded [1, 2], which is not a trap: " + RETURN),
    "list of traps": ([GetTid()], "yielded [GetTid()], which is not a trap: " + ONE),
    "tuple of traps": (
        (Sleep(1), Sleep(2)),
        "yielded (Sleep(seconds=1), Sleep(seconds=2)), which is not a trap: " + ONE,
    ),
    "tuple with a generator": ((1, function()), ONE),
    "tuple": ((1, 2), RETURN),
    "dict": ({}, RETURN),
    "long list": (list(range(1000)), re.compile(r"yielded \[0, 1.{,60}\.\.\., which is not a trap: " + RETURN)),
    "function": (function, "did you mean `yield function()`?"),
    "lambda": (lambda: None, "did you mean"),
    "built-in function": (len, "did you mean `yield len()`?"),
    "bound method": ([].append, "did you mean `yield append()`?"),
    "own bound method": (Callable().__call__, "did you mean `yield __call__()`?"),
    "nameless bound method": (types.MethodType(functools.partial(print), 1), "which is not a trap"),
    "trap class": (GetTid, "did you mean `yield GetTid()`?"),
    "class": (Callable, "did you mean `yield Callable()`?"),
    "callable object": (Callable(), "did you mean to call it?"),
    "partial": (functools.partial(function), "did you mean to call it?"),
    "subclass of a trap": (MySleep(1), "which is not a trap"),
    "iterator": (iter([]), RETURN),
    "exception": (ValueError("x"), "yielded ValueError('x'), which is not a trap"),
    "object that lies about its class": (Lies(), RETURN),
    "object that misbehaves": (Misbehaves(), "yielded a Misbehaves (its repr raised ValueError)"),
    "object with an odd repr": (OddRepr(), "yielded odd, which is not a trap"),
    "class that misbehaves": (NAMELESS[0], "its repr raised ValueError"),
    "object whose class misbehaves": (object.__new__(NAMELESS[0]), "which is not a trap"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_anything_else_is_a_bad_trap_with_a_hint_at_its_yield(run, kind):
    value, message = WRONG[kind]

    def sub():
        yield value

    def main():
        errors = []
        for target in (value, value, sub()):
            try:
                yield target
            except BadTrap as error:
                errors.append(str(error))
        return errors, (yield GetTid())

    errors, tid = run(main()).value
    assert tid == 1
    assert len(errors) == 3
    for error in errors:
        assert message.search(error) if isinstance(message, re.Pattern) else message in error


@pytest.mark.parametrize("kind", WRONG)
def test_a_bad_trap_that_is_not_caught_ends_its_task_alone(run, log, kind):
    def child():
        yield WRONG[kind][0]

    def main():
        tid = yield NewTask(child(), detached=True)
        yield Sleep(1)
        return tid

    assert run(main()).value == 2
    assert len(log) == 1
    assert "yield WRONG[kind][0]" in log[0]


def test_an_async_generator_is_a_bad_trap_with_its_hint(run):
    def main():
        return str((yield outcome(async_generator())))

    message = run(main()).value
    assert "an async generator is used with `async for`; in an async def, a trap is awaited and not yielded" in message


@pytest.mark.parametrize("use", [list, iter, lambda trap: [*trap]])
def test_a_trap_that_is_iterated_over_says_that_it_is_yielded_without_from(use):
    with pytest.raises(TypeError, match=r"Sleep is a trap: `yield Sleep\(\.\.\.\)`, without `from`"):
        use(Sleep(1))


def test_yield_from_a_trap_says_that_it_is_yielded_without_from(run):
    def main():
        try:
            yield from Sleep(1)
        except TypeError as error:
            return str(error)

    assert "Sleep is a trap: `yield Sleep(...)`, without `from`" in run(main()).value


def test_a_bad_trap_is_a_type_error(run):
    def main():
        with pytest.raises(TypeError):
            yield 42

    assert run(main()).ok


@pytest.mark.parametrize("make", [lambda: yields(3), lambda: awaits(yield_coroutine())], ids=["generator", "coroutine"])
def test_a_subroutine_that_has_started_is_a_bad_trap(run, make):
    def main():
        started = make()
        started.send(None)
        errors = [(yield outcome(started)), (yield outcome(started))]
        started.close()
        return errors

    for error in run(main()).value:
        assert type(error) is BadTrap
        assert "has started already: call the function again for a fresh" in str(error)


@types.coroutine
def yield_coroutine():
    yield


def test_a_coroutine_that_has_finished_is_not_called_again(run):
    def main():
        finished = awaits(GetTid())
        yield finished
        return type((yield outcome(finished)))

    assert run(main()).value is RuntimeError


def test_a_task_cannot_call_a_generator_of_its_own_stack(run):
    def sub():
        return (yield outcome(box[0])), (yield outcome(box[1]))

    def main():
        own = yield outcome(box[0])
        box.append(sub())
        return own, *(yield box[1])

    box = [main()]
    errors = run(box[0]).value
    box.clear()
    assert [type(error) for error in errors] == [BadTrap] * 3
    assert ["main has started" in str(errors[0]), "sub has started" in str(errors[2])] == [True, True]


def test_a_task_cannot_call_a_generator_that_is_another_task(run):
    def main():
        other = sleeps(1, "unharmed")
        tid = yield NewTask(other)
        yield
        error = yield outcome(other)
        return type(error), (yield WaitTask(tid)).value

    assert run(main()).value == (BadTrap, "unharmed")
