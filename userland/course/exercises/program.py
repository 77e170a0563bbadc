"""A small program for pyos: python3 -m pyos boot THIS_FILE"""

from pyos import NewTask, Program, Sleep, WaitTask


def helper(name: str) -> Program:
    # A generator becomes a task by NewTask. It runs beside its parent, and each `yield` lets others run.
    for number in (1, 2, 3):
        print(f"{name}: {number}")
        yield Sleep(0.1)  # a trap: the kernel wakes this task when the time has passed
    return number  # the value in the ExitStatus that WaitTask answers


def main(name: str = "world") -> Program:
    # The arguments after the file's name come here, as strings. This is task 1; the system ends when it does.
    print(f"Hello, {name}, from task 1")
    tid = yield NewTask(helper("helper"))
    status = yield WaitTask(tid)  # without the `yield`, nothing would happen
    print(f"task {tid} has ended with {status.value}")
    # More traps: python3 -m pyos man. What each task asks for: python3 -m pyos boot --strace THIS_FILE
