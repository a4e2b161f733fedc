"""Finds or makes the Pulumi CLI once a machine and links it into the virtual environment."""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tools.child import run_child
from tools.console import SetupFailedError, say
from tools.machine_cache import cache_folder, exclusive_lock, link_atomically, search_path_without
from tools.pulumi.sources import CliSource, GoBuild, SourceUnavailableError, VendorInstaller
from tools.versions import Version, find_version

_REQUIREMENT = re.compile(r"^\s*(?:require\s+)?github\.com/pulumi/pulumi/pkg/v3 v(\S+)", re.MULTILINE)
_QUESTION_TIMEOUT_SECONDS = 30.0


def read_wanted_version(go_mod: Path) -> Version:
    """Give the version that `go_mod` pins: the one to obtain, and the oldest that is accepted from PATH.

    Raises:
        SetupFailedError: the file names none.
    """
    match = _REQUIREMENT.search(go_mod.read_text(encoding="utf-8"))
    version = find_version(match[1]) if match else None
    if version is None:
        raise SetupFailedError(f"{go_mod} has no line that requires github.com/pulumi/pulumi/pkg/v3; restore the file")
    return version


def ask_version(program: Path) -> Version | None:
    """Give the version of a Pulumi CLI, or None when it does not run or has none."""
    environment = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        result = run_child((program, "version"), timeout_seconds=_QUESTION_TIMEOUT_SECONDS, environment=environment)
    except OSError:
        return None
    return find_version(result.output) if result.succeeded else None


def find_on_path(search_path: str, wanted: Version) -> Path | None:
    """Give the user's own CLI if it is `wanted` or newer within the same major version.

    Another major version is refused by the Automation API (pulumi 3.272, automation/_cmd.py).
    """
    found = shutil.which("pulumi", path=search_path)
    if found is None:
        return None
    version = ask_version(Path(found))
    if version is not None and version >= wanted and version.major == wanted.major:
        return Path(found).absolute()
    say(f"{found} is version {version or 'unknown'}; {wanted} or newer is needed, so it is left alone")
    return None


def obtain_cached(cache: Path, wanted: Version, sources: Sequence[CliSource]) -> Path:
    """Give the CLI from `<cache>/pulumi/<version>/`, filling that folder from the first source that can.

    The folder appears complete or not at all, and two callers at once fill it once.

    Raises:
        SetupFailedError: no source can deliver; the text holds the reason of each.
    """
    home = cache / "pulumi"
    final, draft = home / str(wanted), home / f"{wanted}.draft"
    reasons: list[str] = []
    with exclusive_lock(home / f"{wanted}.lock"):
        if ask_version(final / "pulumi") == wanted:
            return final / "pulumi"
        for source in sources:
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir()
            try:
                source.fill(draft, wanted)
                delivered = ask_version(draft / "pulumi")
                if delivered == wanted:
                    shutil.rmtree(final, ignore_errors=True)
                    draft.rename(final)
                    return final / "pulumi"
                reasons.append(f"a source delivered version {delivered or 'unknown'} instead of {wanted}")
            except SourceUnavailableError as error:
                reasons.append(str(error))
            finally:
                shutil.rmtree(draft, ignore_errors=True)
    listing = "".join(f"\n  - {reason}" for reason in reasons)
    raise SetupFailedError(
        f"cannot obtain the Pulumi CLI {wanted}; install it on PATH, or clear one of these:{listing}"
    )


def obtain_pulumi(checkout: Path, *, search_path: str, cache: Path) -> Path:
    """Link a Pulumi CLI that is new enough as `.venv/bin/pulumi` and give the path of the link.

    Raises:
        SetupFailedError: none can be found, installed or built.
    """
    started = time.monotonic()
    venv_programs = checkout / ".venv" / "bin"
    module_folder = checkout / "tools" / "pulumi"
    wanted = read_wanted_version(module_folder / "go.mod")
    search_path = search_path_without(venv_programs, search_path)
    sources = (VendorInstaller(venv_programs / "python", checkout), GoBuild(module_folder, search_path))
    program = find_on_path(search_path, wanted) or obtain_cached(cache, wanted, sources)
    link = venv_programs / "pulumi"
    link_atomically(program, link)
    say(f"Pulumi CLI: {program} ({time.monotonic() - started:.0f} s)")
    return link


if __name__ == "__main__":
    try:
        obtain_pulumi(
            Path(__file__).resolve().parents[2],
            search_path=os.environ.get("PATH", os.defpath),
            cache=cache_folder(os.environ),
        )
    except SetupFailedError as failure:
        sys.exit(f"setup: {failure}")
