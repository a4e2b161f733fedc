"""Which Python packages a project runs with: reads `runtime.options` of Pulumi.yaml as the engine's language host does.

Source: https://www.pulumi.com/docs/iac/languages-sdks/python/ (toolchains, virtual environments).
"""

import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from holdtrue.adapters.pulumi.workspace import project_file
from holdtrue.errors import RejectedError
from holdtrue.models.program import ProgramPackages
from holdtrue.runtime.process import tool_environment

MINIMUM_SDK: Final = (3, 216, 0)
"""The oldest `pulumi` package that this adapter is tested with."""

_MINIMUM_PYTHON: Final = (3, 11)
_ASK: Final = """
import sys, importlib.metadata as metadata
try:
    sdk = metadata.version("pulumi")
except metadata.PackageNotFoundError:
    sdk = ""
print(sys.version_info[0], sys.version_info[1], sdk)
"""
_TIMEOUT_SECONDS: Final = 60


def program_packages(folder: Path) -> ProgramPackages:
    """Where the packages of the project in `folder` come from.

    Raises:
        ProgramFailed: there is no valid project file.
        RejectedError: its options name something that does not exist or is not supported.
    """
    path, raw = project_file(folder)
    options = _options(raw)
    toolchain = options.get("toolchain", "pip")
    virtualenv = options.get("virtualenv") or (".venv" if toolchain == "uv" else None)
    if toolchain == "poetry":
        raise RejectedError(
            "the project's toolchain is poetry, which is not supported",
            where=f"{path} runtime.options.toolchain",
            next_step="use `toolchain: uv`, or `toolchain: pip` with `virtualenv` and a requirements.txt "
            "(`poetry export` writes one)",
        )
    if toolchain not in {"pip", "uv"}:
        raise RejectedError(
            f"unknown toolchain {toolchain!r}",
            where=f"{path} runtime.options.toolchain",
            next_step="use `toolchain: pip` or `toolchain: uv`",
        )
    if virtualenv is None:
        return ProgramPackages()
    environment = folder / str(virtualenv)
    if (environment / "pyvenv.cfg").is_file():
        return ProgramPackages(environment=environment)
    names = ("uv.lock", "pyproject.toml", "requirements.txt") if toolchain == "uv" else ("requirements.txt",)
    named_in = next((folder / name for name in names if (folder / name).is_file()), None)
    if named_in is None:
        raise RejectedError(
            f"the virtual environment {virtualenv} does not exist, nor a file to create it from: {' or '.join(names)}",
            where=f"{path} runtime.options",
            next_step="put such a file beside Pulumi.yaml, or remove the options to use the worker's own packages",
        )
    return ProgramPackages(named_in=named_in)


def require_usable(python: Path, packages: ProgramPackages) -> Path:
    """Return the interpreter after checking that it can run the program.

    Raises:
        RejectedError: it is too old, or its `pulumi` package is too old or missing.
    """
    place = str(packages.named_in or packages.environment or python)
    release = "pulumi>={}.{}.{}".format(*MINIMUM_SDK)
    try:
        answer = subprocess.run(
            [python, "-I", "-c", _ASK],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=True,
            stdin=subprocess.DEVNULL,
            env=tool_environment({}),
        ).stdout.split()
    except (OSError, subprocess.SubprocessError) as error:
        raise RejectedError(
            f"the Python of the program's environment does not start ({type(error).__name__})",
            where=place,
            next_step="delete this virtual environment and create it again"
            if packages.environment
            else "delete the folder `programs` in HOLDTRUE_CACHE; the next run creates the environment again",
        ) from error
    if (version := (int(answer[0]), int(answer[1]))) < _MINIMUM_PYTHON:
        raise RejectedError(
            f"the program's environment has Python {version[0]}.{version[1]}",
            where=place,
            next_step="create it with Python {}.{} or newer".format(*_MINIMUM_PYTHON),
        )
    found = answer[2] if len(answer) > 2 else ""  # noqa: PLR2004 - what the script prints
    if not found or _release(found) < MINIMUM_SDK:
        raise RejectedError(
            f"the program's environment has pulumi {found}" if found else "the program's environment has no pulumi",
            where=place,
            next_step=f"add `{release}` to that file"
            if packages.named_in
            else f"run `{shlex.quote(str(python))} -m pip install '{release}'`, or install it with your own tool",
        )
    return python


def _options(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    runtime = raw["runtime"]
    options = runtime.get("options") if isinstance(runtime, dict) else None
    return options if isinstance(options, dict) else {}


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())
