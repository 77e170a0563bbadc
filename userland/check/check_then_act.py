"""check_then_act: two buyers, one seat. BUG: between the look at the seats and the sale there is a yield.

The state is an ordinary Python object, so no step may be left out: nothing is isolated here.
"""

from pyos import Program, always


class Theatre:
    def __init__(self) -> None:
        self.seats = 1


def buyer(theatre: Theatre) -> Program:
    if theatre.seats > 0:
        yield  # the payment; others run meanwhile
        theatre.seats -= 1


def main() -> list[Program]:
    theatre = Theatre()

    def no_seat_is_sold_twice() -> bool:
        return theatre.seats >= 0

    always(no_seat_is_sold_twice)
    return [buyer(theatre), buyer(theatre)]
