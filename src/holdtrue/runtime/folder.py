"""Private working folders that vanish with the run."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MEMORY = Path("/dev/shm")  # noqa: S108 - the point is that it is not a disk; the folder in it is 0700


@contextmanager
def private_folder(prefix: str) -> Iterator[Path]:
    """A fresh 0700 folder, in memory where the machine has /dev/shm, removed on every way out.

    The path stays short, because unix sockets below it may have at most 107 bytes.
    """
    parent = _MEMORY if _MEMORY.is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix=f"{prefix}-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
