"""The order of test files: with several workers, a long file that starts last keeps all but one of them idle."""

from collections.abc import Sequence
from pathlib import Path

import pytest


def start_longest_first(items: list[pytest.Item], folder: Path, names: Sequence[str]) -> None:
    """Put the tests of these files first, in this order, and leave the others as they are.

    Args:
        items: What was collected.
        folder: Where the files are.
        names: Files, the one that takes longest first.
    """
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise pytest.UsageError(f"{folder} has no {', '.join(missing)}: correct the list of the longest files there.")
    ranks = {folder / name: rank for rank, name in enumerate(names)}
    items.sort(key=lambda item: ranks.get(item.path, len(ranks)))
