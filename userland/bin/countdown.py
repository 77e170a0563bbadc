"""countdown: count down from N (10), one a second."""

from pyos import Program, Sleep


def main(start: str = "10", seconds: str = "1") -> Program:
    for n in range(int(start), 0, -1):
        print("T-minus", n)
        yield Sleep(float(seconds))
    print("Liftoff!")
