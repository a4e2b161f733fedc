"""Running a module of ours in the interpreter of somebody else's environment, which has none of our packages."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import holdtrue

_RUN: Final = (
    "import runpy, sys; sys.path.append(sys.argv.pop(1)); name = sys.argv.pop(1); "
    "runpy.run_module(name, run_name='__main__', alter_sys=True)"
)


def own_python() -> Path:
    """The interpreter that runs this."""
    return Path(sys.executable)


def python_command(python: Path, *options: str, module: str, folder: Path) -> list[str]:
    """The beginning of a command that runs `module`, which imports nothing of ours but modules without dependencies.

    Another interpreter finds our package last, behind its own, and alone: through a link in `folder`, because our
    package may lie among all others of this environment.
    """
    if python == own_python():
        return [str(python), *options, "-m", module]
    library = folder / "holdtrue-library"
    library.mkdir(exist_ok=True)
    link = library / "holdtrue"
    if not link.is_symlink():
        link.symlink_to(Path(holdtrue.__file__).parent)
    return [str(python), *options, "-c", _RUN, str(library), module]


def python_environment(python: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables with that interpreter's folder first on PATH, as in an activated environment."""
    if python == own_python():
        return dict(environment)
    search_path = f"{python.parent}{os.pathsep}{environment['PATH']}"
    return {**environment, "PATH": search_path, "VIRTUAL_ENV": str(python.parent.parent)}
