"""One measurement, in a process of its own: `python -m bench.child measure WORKLOAD CASE CONTENDER PARAMS`.

The last line on standard output is JSON: `figures`, or `skip` with the reason. `probe PEER` answers whether a peer can
run here, its version, and the programs it brings; `serve WORKLOAD CONTENDER FD` runs a server on a listening socket.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable
from typing import Any

from bench import workload
from bench.meter import Meter
from bench.workload import Contender, Skip, Workload


def main(command: str, *args: str) -> None:
    """Run one command, and print its answer as JSON."""
    commands: dict[str, Callable[..., None]] = {"measure": measure, "probe": probe, "serve": serve}
    commands[command](*args)


def measure(name: str, case: str, label: str, params: str) -> None:
    """Run one contender's program once, and report its figures."""
    peer, chosen, contender = find(name, label)
    meter = Meter()
    try:
        (chosen.measure or run_program)(chosen, peer, contender, meter, json.loads(params))
    except Skip as skip:
        print(json.dumps({"skip": str(skip)}))
        return
    meter.report()


def run_program(chosen: Workload, peer: Any, contender: Contender, meter: Meter, params: dict[str, int]) -> None:
    """The usual way to measure: the run, start to end, or the part of it that the program has measured itself."""
    program = chosen.programs[contender]
    meter.start()
    peer.run(program, meter, **params)
    if "cpu" not in meter.figures:
        meter.stop()
    if "cost" not in meter.figures:
        meter.note(cost=meter.figures["cpu"] / chosen.operations(**params) * chosen.scale)


def find(name: str, label: str) -> tuple[Any, Workload, Contender]:
    """The peer's module, the workload, and the contender of a label."""
    chosen = workload.workloads()[name]
    contender = Contender.parse(label)
    return workload.load_peer(contender.peer), chosen, contender


def probe(peer: str) -> None:
    """Say whether a peer runs here: its version and what it brings, or why not."""
    try:
        module = workload.load_peer(peer)
        answer = {
            "title": module.TITLE,
            "version": module.version(),
            "options": getattr(module, "PYTHON_OPTIONS", []),
            "limit": getattr(module, "IS_LIMIT", False),
        }
    except (ImportError, Skip, SyntaxError, AttributeError, TypeError) as error:
        print(json.dumps({"skip": f"{type(error).__name__}: {error}" if not isinstance(error, Skip) else str(error)}))
        return
    brings = {
        name: [str(contender) for contender in chosen.programs if contender.peer == peer]
        for name, chosen in workload.workloads().items()
    }
    print(json.dumps({**answer, "programs": brings}))


def serve(name: str, label: str, fd: str) -> None:
    """Run a server program on a listening socket that was inherited, until the process is ended."""
    peer, chosen, contender = find(name, label)
    peer.run(chosen.programs[contender], socket.socket(fileno=int(fd)))


if __name__ == "__main__":
    main(*sys.argv[1:])
