"""check_then_act_fixed: the seat is taken in the step that sees it, and paid for after."""

from pyos import Program, always


class Theatre:
    def __init__(self) -> None:
        self.seats = 1


def buyer(theatre: Theatre) -> Program:
    if theatre.seats > 0:
        theatre.seats -= 1
        yield  # the payment; others run meanwhile


def main() -> list[Program]:
    theatre = Theatre()

    def no_seat_is_sold_twice() -> bool:
        return theatre.seats >= 0

    always(no_seat_is_sold_twice)
    return [buyer(theatre), buyer(theatre)]
