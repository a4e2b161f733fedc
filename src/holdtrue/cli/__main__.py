"""`python -m holdtrue.cli`."""

import sys

from holdtrue.cli import main

if __name__ == "__main__":
    sys.exit(main())
