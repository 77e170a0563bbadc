"""The course on the command line: `pyos lesson` and `pyos new`.

commands.py is what a learner types, catalogue.py what there is to learn, show.py explains and runs a lesson. checker.py
checks a learner's file, by the checks in checks_flow.py (lessons 1 to 4), checks_tasks.py (5, 6) and checks_system.py.
"""
