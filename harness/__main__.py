"""`python -m harness`: the same as `clic`."""

import sys

from harness.cli import main

if __name__ == "__main__":  # the sweep's processes import this module, too
    sys.exit(main())
