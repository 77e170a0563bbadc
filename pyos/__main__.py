"""`python -m pyos`."""

import sys

from pyos.cli import main

sys.exit(main())
