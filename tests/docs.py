"""What documents are checked against: their programs are run, their diagrams drawn from the kernel's tables.

`python -m tests.docs` draws the diagrams anew.
"""

from __future__ import annotations

import os
import re
from typing import Any

from pyos import Deadlock
from pyos.kernel.clock import VirtualClock
from pyos.kernel.kernel import Kernel
from pyos.kernel.tasks import MOVES

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TASKS = os.path.join(ROOT, "docs", "tasks.md")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(path: str) -> list[tuple[str, str]]:
    """A document's code blocks: language and text, in order."""
    with open(path, encoding="utf-8") as file:
        return BLOCK.findall(file.read())


def programs(path: str) -> list[tuple[str, str]]:
    """Each program of a document, with what it says it prints (the block of text that follows, or nothing)."""
    found = blocks(path)
    following = [*found[1:], ("", "")]
    return [
        (code, after if kind == "text" else "")
        for (language, code), (kind, after) in zip(found, following)
        if language == "python"
    ]


def output_of(code: str, capsys: Any) -> str:
    """Run a program's main as init, on a virtual clock; what it prints and the system logs."""
    namespace: dict[str, Any] = {"__name__": "program"}
    exec(compile(code, "program.py", "exec"), namespace)
    with Kernel(clock=VirtualClock(), log=lambda line: print("pyos:", line)) as kernel:
        kernel.spawn(namespace["main"](), name="init", program="program.py")
        try:
            kernel.run()
        except Deadlock as error:
            print("pyos: deadlock:", error)
    output: str = capsys.readouterr().out
    return output


def diagram() -> str:
    """The table of legal moves, as a Mermaid diagram."""
    ends = {"new": "[*]", "gone": "[*]"}
    lines = [
        f"    {ends.get(state, state)} --> {ends.get(after, after)}: {event}" for (state, event), after in MOVES.items()
    ]
    return "\n".join(["stateDiagram-v2", *lines]) + "\n"


if __name__ == "__main__":
    with open(TASKS, encoding="utf-8") as file:
        text = file.read()
    with open(TASKS, "w", encoding="utf-8") as file:
        block = f"```mermaid\n{diagram()}```"
        file.write(re.sub(r"^```mermaid\n.*?^```$", block, text, flags=re.MULTILINE | re.DOTALL))
