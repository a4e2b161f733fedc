"""A migrated Prefect database to start from: migrating an empty SQLite file takes half of a server's start.

The template lies in the virtual environment, one per version of Prefect, and goes with it. It is taken from a server
that has just started, before anything was stored in it; a server that starts from it checks its schema as always.
"""

import shutil
import sqlite3
import sys
import tempfile
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

FOLDER = Path(sys.prefix, "var", "holdtrue-sandbox")


def start_from_template(database: Path, folder: Path = FOLDER) -> bool:
    """Put the template where a new server will look for its database, and tell whether there was one."""
    try:
        shutil.copyfile(_template(folder), database)
    except FileNotFoundError:
        return False
    return True


def keep_as_template(database: Path, folder: Path = FOLDER) -> None:
    """Keep a consistent copy of a running server's database; without the right to write there, do nothing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            copy = Path(scratch, "prefect.db")
            with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as target:
                source.backup(target)
            copy.rename(_template(folder))
    except OSError:
        return


def _template(folder: Path) -> Path:
    return folder / f"prefect-{version('prefect')}.db"
