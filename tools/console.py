"""What set-up says to the person who waits, and the one error it ends with."""

from __future__ import annotations

import sys


class SetupFailedError(Exception):
    """Set-up cannot go on; the text says what is missing, where, and what to do next."""


def say(line: str) -> None:
    """Print one line of progress at once, so that it stands above the output of the child it announces."""
    sys.stdout.write(f"setup: {line}\n")
    sys.stdout.flush()
