"""`python -m pyos` and the `pyos` command. Where it cannot work it says so, before an import that needs POSIX fails."""

import os
import sys


def main() -> int:
    """The command line; answers the exit code."""
    if os.name != "posix":
        print(f"pyos: this needs a POSIX system, and this is {os.name}", file=sys.stderr)
        return 2
    from pyos import cli

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
