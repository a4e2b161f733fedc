"""Finds the Pulumi CLI and asks it for its version, once in each process."""

import functools
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from holdtrue.errors import ToolMissing

MINIMUM_VERSION: Final = (3, 259, 0)
"""The oldest CLI that this adapter is tested with."""

_ADVICE = "install Pulumi {} or newer on the worker, as the first `pulumi` on PATH".format(
    ".".join(map(str, MINIMUM_VERSION))
)
_VERSION_TIMEOUT_SECONDS = 30


def require_cli(environment: Mapping[str, str]) -> str:
    """The version of the first CLI on `environment`'s PATH.

    Raises:
        ToolMissing: there is none, it does not start, or it is too old.
    """
    path = find_cli(environment)
    status = path.stat()
    version = _ask_version(str(path), status.st_mtime_ns, status.st_size)
    if tuple(map(int, version.split("."))) < MINIMUM_VERSION:
        raise ToolMissing(f"the Pulumi CLI is too old: {version}", where=str(path), next_step=_ADVICE)
    return version


def find_cli(environment: Mapping[str, str]) -> Path:
    """The first CLI on `environment`'s PATH, of any version. Raises ToolMissing if there is none."""
    found = shutil.which("pulumi", path=environment["PATH"])
    if found is None:
        raise ToolMissing("the Pulumi CLI is not installed", where="PATH", next_step=_ADVICE)
    return Path(found).resolve()


@functools.cache
def _ask_version(path: str, _modified_nanoseconds: int, _size_bytes: int) -> str:
    """Ask the binary. Its time and size are part of the cache key, so that an upgrade in place is noticed."""
    try:
        answer = subprocess.run(
            [path, "version"],
            capture_output=True,
            text=True,
            timeout=_VERSION_TIMEOUT_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
            env={"PULUMI_SKIP_UPDATE_CHECK": "1", "HOME": "/nonexistent", "PATH": str(Path(path).parent)},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolMissing(
            f"the Pulumi CLI does not start ({type(error).__name__})", where=path, next_step=_ADVICE
        ) from error
    match = re.fullmatch(r"v?(\d+\.\d+\.\d+)\S*", answer.stdout.strip())
    if match is None:
        raise ToolMissing("the Pulumi CLI does not report its version", where=path, next_step=_ADVICE)
    return match.group(1)
