"""Proofs that have a short form for every run of the tests and a long one for `make soak`, which sets SOAK=1.

Such a test is marked `soak` and differs in its numbers only: how long it holds something, how often it repeats.
"""

import os
from typing import Final

SOAKING: Final = os.environ.get("SOAK") == "1"


def long_form(short: int, long: int) -> int:
    """The number for this run."""
    return long if SOAKING else short
