"""Runs a user's ordinary Pulumi program in the child, as the engine's own language host would."""

import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path


def enter_program(program: Path) -> None:
    """Set the working folder, `sys.path` and `sys.argv` as the Python language host does.

    Source: pulumi sdk/python/cmd/pulumi-language-python-exec (v3.259): chdir to the program's folder, that folder
    first on the path, argv[0] the program.
    """
    folder = program if program.is_dir() else program.parent
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    sys.argv = [str(program)]


def program_function(program: Path, on_start: Callable[[], None]) -> Callable[[], None]:
    """A function that calls `on_start` and executes the program, as if its modules had not been imported before.

    The program may run more than once in a process (the preview of an absent stack starts again). Modules that the
    first run imported from the project are removed, because otherwise the second run would not declare their resources.
    """
    known = set(sys.modules)

    def run() -> None:
        for name in set(sys.modules) - known:
            if _belongs_to(sys.modules[name], program):
                del sys.modules[name]
        on_start()
        runpy.run_path(str(program), run_name="__main__")

    return run


def _belongs_to(module: object, program: Path) -> bool:
    file = getattr(module, "__file__", None)
    folder = program if program.is_dir() else program.parent
    return isinstance(file, str) and Path(file).is_relative_to(folder)
