"""Executables on this machine."""

import os
import shutil
import sys
from pathlib import Path

from holdtrue.errors import ToolMissing


def find_tool(name: str) -> Path:
    """Where the tool is, looked for as `run_tool`'s children do: beside this Python first, then on PATH.

    Raises:
        ToolMissing: it is in neither place.
    """
    search_path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    found = shutil.which(name, path=search_path)
    if found is None:
        raise ToolMissing(f"{name} is not installed", where="PATH", next_step=f"install {name} on this worker")
    return Path(found)
