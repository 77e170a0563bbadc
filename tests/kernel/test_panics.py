"""What happens when the kernel itself is wrong: a panic with the cause, and no bare exception."""

import pytest

from pyos import GetTid, KernelPanic, Sleep
from tests.conftest import drive
from tests.kernel.programs import forever

# --- bugs


def broken(*args):
    raise TypeError("not the task's fault")


BREAKS = {
    "the end of a task": lambda kernel: setattr(kernel, "end", broken),
    "the run queue": lambda kernel: setattr(kernel.scheduler.runq, "append", broken),
    "the poller": lambda kernel: setattr(kernel.readiness, "fetch", broken),
    "the timers": lambda kernel: setattr(kernel.timers, "pop_due", broken),
    "what was posted": lambda kernel: kernel.post(broken),
    "an alarm": lambda kernel: kernel.timers.set_alarm(0, broken),
}


@pytest.mark.breaks_kernels
@pytest.mark.parametrize("way", ["run", "step"])
@pytest.mark.parametrize("damage", BREAKS.values(), ids=list(BREAKS))
def test_an_exception_of_the_kernels_own_is_a_panic_with_its_cause(make_kernel, way, damage):
    class Runq(list):
        def popleft(self):
            return self.pop(0)

    def main():
        yield Sleep(0.5)
        yield

    kernel = make_kernel(runq=Runq())
    kernel.spawn(main())
    damage(kernel)
    with pytest.raises(KernelPanic, match="a bug in the kernel: TypeError: not the task's fault") as caught:
        kernel.run() if way == "run" else drive(kernel)
    assert type(caught.value.__cause__) is TypeError


@pytest.mark.breaks_kernels
@pytest.mark.parametrize("way", ["run", "step"])
def test_a_panic_is_not_wrapped_in_another(make_kernel, way):
    panic = KernelPanic("audit failed")

    def fails():
        raise panic

    kernel = make_kernel()
    kernel.spawn(forever())
    kernel.post(fails)
    with pytest.raises(KernelPanic) as caught:
        kernel.run() if way == "run" else drive(kernel)
    assert caught.value is panic
    assert panic.__cause__ is None


@pytest.mark.parametrize("way", ["run", "step"])
@pytest.mark.parametrize("outcome", [KeyboardInterrupt, pytest.fail.Exception, pytest.skip.Exception])
def test_what_is_no_exception_passes_through_the_kernel(make_kernel, way, outcome):
    def action():
        raise outcome("from outside")

    kernel = make_kernel()
    kernel.spawn(forever())
    kernel.post(action)
    with pytest.raises(outcome):
        kernel.run() if way == "run" else drive(kernel)


def test_the_same_error_in_a_handler_is_the_tasks(run):
    """A handler works for its task, and bad arguments look like this too."""

    def main():
        with pytest.raises(TypeError):
            yield Sleep("long")
        return (yield GetTid())

    assert run(main()).value == 1
