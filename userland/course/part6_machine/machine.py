"""Part 6: a toy CPU, and an operating system that runs three programs on it.

The CPU executes the instructions of one program until something traps: an instruction that asks for the system, a
mistake, or the timer. Only then does the operating system run. It carries out the trap, keeps the registers of this
program, puts those of another into the CPU, and lets it go on. A generator's yield is such a trap, without the timer.
"""

import argparse
import sys
from collections import deque
from pathlib import Path

PROGRAMS = {
    "countdown": """
               set    n 3
        again: trap   print n
               sub    n 1
               jumpif n again
               trap   exit
    """,
    "powers": """
               set    n 1
        again: add    n n
               trap   print n
               trap   yield
               set    more 8
               sub    more n
               jumpif more again
               trap   exit
    """,
    "hog": """
               set    n 20
        again: sub    n 1
               jumpif n again
               trap   print n
               trap   exit
    """,
}


class CPU:
    """A processor. Its whole state is a counter and some registers; whose computation that is, it does not know."""

    def __init__(self):
        self.restore((0, {}))

    def save(self):
        """The state of a computation, to go on with later."""
        return self.counter, self.registers

    def restore(self, state):
        self.counter, self.registers = state  # the number of the next instruction; numbers by name

    def value(self, word):
        """A number, or what a register holds: 0 before anything else."""
        return word if isinstance(word, int) else self.registers.get(word, 0)

    def run(self, program, quantum):
        """Execute instructions until one of them traps, or `quantum` are done and the timer does; the trap."""
        for _ in range(quantum):
            if self.counter >= len(program):
                return ("fault", "ran past its end")
            instruction = program[self.counter]
            self.counter += 1
            match instruction:
                case "set", register, word:
                    self.registers[register] = self.value(word)
                case "add", register, word:
                    self.registers[register] = self.value(register) + self.value(word)
                case "sub", register, word:
                    self.registers[register] = self.value(register) - self.value(word)
                case "jumpif", word, target:
                    if self.value(word):
                        self.counter = target
                case "trap", *request:
                    return tuple(request)
        return ("timer",)


class Process:
    """A program with the state of its computation, kept while another has the CPU."""

    def __init__(self, name, program):
        self.name, self.program = name, program
        self.state = (0, {})


class OS:
    """Shares one CPU among processes. It runs when a trap enters it, and never while a process does."""

    def __init__(self, cpu, quantum=16):
        self.cpu = cpu
        self.quantum = quantum  # instructions until the timer traps
        self.ready = deque()

    def start(self, name, program):
        self.ready.append(Process(name, program))

    def step(self):
        """Let the process whose turn it is have the CPU until it traps, and carry out the trap."""
        process = self.ready.popleft()
        self.cpu.restore(process.state)
        trap = self.cpu.run(process.program, self.quantum)
        process.state = self.cpu.save()
        match trap:
            case "print", word:
                print(f"{process.name}: {self.cpu.value(word)}")
            case ("yield",):
                print(f"{process.name} lets others run")
            case ("timer",):
                print(f"{process.name} is interrupted by the timer")
            case ("exit",):
                print(f"{process.name} has ended")
                return
            case _:
                print(f"{process.name} is ended for a bad trap: {' '.join(map(str, trap))}")
                return
        self.ready.append(process)


def assemble(text):
    """Lines of `label: operation operand operand` as a list of tuples, with labels as numbers. Errors: ValueError."""
    operands = {"set": {2}, "add": {2}, "sub": {2}, "jumpif": {2}, "trap": {1, 2}}
    labels, lines = {}, []
    for number, line in enumerate(text.splitlines(), 1):
        label, colon, rest = line.partition(":")
        if colon:
            labels[label.strip()] = len(lines)
        if words := (rest if colon else line).split():
            lines.append((number, words))
    for number, (operation, *words) in lines:
        if len(words) not in operands.get(operation, ()):
            raise ValueError(f"line {number}: no instruction {operation} with {len(words)} operands")
        if operation == "jumpif" and words[1] not in labels:
            raise ValueError(f"line {number}: no label {words[1]}")
    return [(words[0], *(labels.get(word, an_int(word)) for word in words[1:])) for _, words in lines]


def an_int(word):
    """A word as a number, if it is one."""
    try:
        return int(word)
    except ValueError:
        return word


def main(*argv):
    parser = argparse.ArgumentParser("machine", argparse.SUPPRESS, __doc__)
    parser.add_argument("file", nargs="*", help="programs to run instead of the three built in")
    files = parser.parse_args(argv).file
    computer = OS(CPU())
    for name in files or PROGRAMS:
        try:
            computer.start(name, assemble(Path(name).read_text() if files else PROGRAMS[name]))
        except OSError as error:
            parser.error(f"cannot read {name}: {error.strerror}")
        except ValueError as error:  # also of bytes that are no text
            parser.error(f"{name}: {error}")
    while computer.ready:
        computer.step()
        yield  # pyos, if it is our host, has a turn


if __name__ == "__main__":
    for _ in main(*sys.argv[1:]):
        pass
