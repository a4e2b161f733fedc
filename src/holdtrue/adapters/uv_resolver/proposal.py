"""A fix proposal for a file, made on a copy."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from holdtrue.adapters.uv_resolver.command import UvResolver
from holdtrue.adapters.uv_resolver.files import name_in, read_requirement_files
from holdtrue.adapters.uv_resolver.projects import LockedProject, copy_project
from holdtrue.adapters.uv_resolver.requirements import RequirementsProject
from holdtrue.core.fix_proposal import Limits, decline, propose
from holdtrue.core.fix_resolution import Audit, FixableProject
from holdtrue.models.audit import Finding
from holdtrue.models.fix import FixProposal
from holdtrue.runtime.folder import private_folder

_OTHER_LOCKS: Final = ("*.py.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "pylock.toml", "pylock.*.toml")
_REQUIREMENTS: Final = ("*.txt", "*.in", "requirements*.lock")
_DEFAULT: Final = UvResolver()
_LIMITS: Final = Limits()


def propose_fix(
    path: Path,
    findings: Sequence[Finding],
    *,
    audit: Audit,
    resolver: UvResolver = _DEFAULT,
    label: str | None = None,
    patch_folder: Path | None = None,
    limits: Limits = _LIMITS,
) -> FixProposal:
    """What to change in this file, and in those that it includes, so that the findings on it go; nothing is written.

    Supports requirements files and uv.lock; for other formats the proposal says so. `audit` gives the findings on pins,
    all of them, or raises a HoldtrueError; then the proposal is not verified. The patch is for `patch_folder`, or else
    for the folder of the file.

    Raises:
        RejectedError: the file cannot be read, or uv refuses it.
        HoldtrueError: as `UvResolver.run` says.
    """
    shown = str(path) if label is None else label
    name, base = path.name, patch_folder or path.parent
    with private_folder("holdtrue-fix") as folder:
        project: FixableProject
        if name == "uv.lock":
            project = LockedProject(name_in(base, path), copy_project(path, folder), resolver, folder)
        elif any(fnmatchcase(name, pattern) for pattern in _OTHER_LOCKS):
            return decline(shown, findings, f"lock files such as {name} are written by tools that are not asked")
        elif any(fnmatchcase(name.lower(), pattern) for pattern in _REQUIREMENTS) or "." not in name:
            project = RequirementsProject(read_requirement_files(path, base=base), resolver, folder)
        else:
            return decline(shown, findings, "not a requirements file and not a uv.lock")
        return propose(shown, project, findings, audit, limits=limits)
