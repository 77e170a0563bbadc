"""Exercise 6: an operating system for the toy CPU.

share(cpu, programs, quantum) runs several programs on one CPU, by turns, until all have ended; it returns what they
print, as a list of (name, number) in order. `programs` is a dict: name -> program. The CPU (that of
machine.py) has two methods that keep programs apart, and one that runs them:

    cpu.save()                  the state of the computation that is in the CPU now, to go on with later
    cpu.restore(state)          puts one in; (0, {}) is the state of a program that has not begun
    cpu.run(program, quantum)   runs until something traps, and answers the trap:
        ("print", word)         the program wants to print; cpu.value(word) is the number
        ("yield",)              it lets others run
        ("timer",)              it has executed `quantum` instructions, and would go on
        ("exit",)               it has ended
        ("fault", reason)       it cannot go on: it is ended, and the others are not

A turn ends with a trap, whichever it is.

Check it: python3 -m pyos lesson 6 --check THIS_FILE
"""


def share(cpu, programs, quantum):
    printed = []
    for name, program in programs.items():  # TODO: one after the other, up to the first trap: that is no sharing
        cpu.restore((0, {}))
        match cpu.run(program, quantum):
            case "print", word:
                printed.append((name, cpu.value(word)))
    return printed
