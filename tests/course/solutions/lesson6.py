"""The solution of exercise 6: one CPU, many programs."""

from collections import deque


def share(cpu, programs, quantum):
    printed = []
    ready = deque((name, program, (0, {})) for name, program in programs.items())
    while ready:
        name, program, state = ready.popleft()
        cpu.restore(state)
        trap = cpu.run(program, quantum)
        match trap:
            case "print", word:
                printed.append((name, cpu.value(word)))
            case ("exit",) | ("fault", _):
                continue
        ready.append((name, program, cpu.save()))
    return printed
