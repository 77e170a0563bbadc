"""The benchmark: pyos beside its peers, every figure from a process of its own, all in one interleaved run.

    workloads/NAME.py   what is measured, how large, what is promised, and the programs that do it
    peers/NAME.py       how to run a program on that peer, its version, and programs only it has (the echo servers)
    native/             the load client and the echo server in C

    workload.py  the declarations        child.py   one measurement, in its own process
    runner.py    every run, interleaved  stats.py   medians, spread, ratios
    report.py    tables                  chart.py   the picture

A new workload is one file in workloads/, a new peer one file in peers/: a program may be declared in either.
Run by `make bench`, `make bench-quick`, or `python -m bench --help`.
"""
