"""Entry of the pytest child: `python -m holdtrue.runtime.pytest_child CASE_TIMEOUT_SECONDS PYTEST_ARGUMENTS...`.

Standard output belongs to the results: it is taken away before pytest starts, and whatever pytest, the suites or their
child processes print goes to standard error.
"""

import os
import sys

import pytest

from holdtrue.runtime.pytest_reporter import Reporter


def main(arguments: list[str]) -> int:
    """Run pytest once; its exit code."""
    own = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with os.fdopen(own, "w", encoding="utf-8") as stream:
        return int(pytest.main(arguments[1:], plugins=[Reporter(stream, float(arguments[0]))]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
