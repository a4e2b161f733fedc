"""What a target holds: read from a requirements file or from an installed environment's metadata."""

import json
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.utils import canonicalize_name

from holdtrue.core.audit import LOCAL_PROJECT
from holdtrue.core.requirements import (
    Include,
    Inventory,
    Pin,
    RequirementLine,
    Unjudged,
    decode_requirements,
    normalise_version,
    parse_requirements,
    resolve,
)
from holdtrue.errors import RejectedError, ToolMissing
from holdtrue.runtime.folder import private_folder
from holdtrue.runtime.process import run_tool, tool_environment

_LIST_FOLDERS = """
import json, os, sys
folders = [path for path in dict.fromkeys(map(os.path.abspath, sys.path)) if os.path.isdir(path)]
print(json.dumps([path for path in folders if any(n.endswith((".dist-info", ".egg-info")) for n in os.listdir(path))]))
"""


def read_requirements(path: Path) -> Inventory:
    """The file's inventory, with everything it includes.

    Raises:
        RejectedError: the file or one that it includes cannot be read as text.
    """
    requirements: list[RequirementLine] = []
    constraints: list[RequirementLine] = []
    seen: set[tuple[Path, bool]] = set()
    waiting = [(path, False, str(path))]
    while waiting:
        file, is_constraint, named_by = waiting.pop(0)
        if (file.resolve(), is_constraint) in seen:
            continue
        seen.add((file.resolve(), is_constraint))
        for line in parse_requirements(_read_text(file, named_by)):
            if isinstance(line, Include):
                place = f"{file}:{line.line_number}"
                waiting.append((file.parent / line.path, is_constraint or line.is_constraint, place))
            else:
                (constraints if is_constraint else requirements).append(line)
    return resolve(requirements, constraints)


def _read_text(path: Path, named_by: str) -> str:
    try:
        return decode_requirements(path.read_bytes())
    except OSError as error:
        raise RejectedError(
            f"cannot read {path}: {error.strerror}",
            where=named_by,
            next_step="correct the path of the requirements file",
        ) from error
    except UnicodeDecodeError as error:
        raise RejectedError(
            f"{path} is not a text file", where=named_by, next_step="save the requirements file as UTF-8"
        ) from error


def list_installed(folder: Path) -> Inventory:
    """The distributions whose metadata lies in `folder`; those installed from elsewhere than an index are unjudged.

    `.pth` files that point to other folders are not followed: each such folder is a target of its own.

    Raises:
        RejectedError: there is no such folder.
    """
    if not folder.is_dir():
        raise RejectedError(
            f"{folder} is not a folder", where=str(folder), next_step="name a site-packages folder (sysconfig purelib)"
        )
    judged = sorted((_judge(item) for item in distributions(path=[str(folder)])), key=lambda item: item.name)
    return resolve(judged, ())


def _judge(distribution: Distribution) -> Pin | Unjudged:
    name, version = _read_metadata(distribution)
    if not name or not version:
        return Unjudged(_folder_name(distribution), "its metadata cannot be read")
    name = canonicalize_name(name)
    origin = _origin(distribution)
    if origin:
        return Unjudged(name, origin)
    normal = normalise_version(version)
    return Pin(name, normal) if normal else Unjudged(name, "its version is not one of PEP 440")


def _read_metadata(distribution: Distribution) -> tuple[str, str]:
    """Name and version, empty where missing (a half-removed package leaves a folder without them)."""
    try:
        fields = distribution.metadata
    except (OSError, ValueError, TypeError):  # TypeError: what Python 3.11 raises when the METADATA file is missing
        return "", ""
    missing = {"Name", "Version"} - set(fields)
    return ("", "") if missing else (fields["Name"], fields["Version"])


def _folder_name(distribution: Distribution) -> str:
    path = getattr(distribution, "_path", None)
    return path.name if isinstance(path, Path) else "unnamed distribution"


def _origin(distribution: Distribution) -> str:
    """Why an index's advisories do not speak of this code, from direct_url.json (PEP 610); empty when they do."""
    try:
        text = distribution.read_text("direct_url.json")
        record = json.loads(text) if text else None
    except (OSError, ValueError):
        return "its direct_url.json cannot be read, so its origin is unknown"
    if record is None:
        return ""
    if isinstance(record, dict) and ("dir_info" in record or str(record.get("url", "")).startswith("file:")):
        return LOCAL_PROJECT
    return "installed from an address or repository: its version number does not identify the code"


def find_package_folders(python: Path) -> tuple[Path, ...]:
    """Folders on an interpreter's own path that hold installed distributions.

    Raises:
        RejectedError: it does not run as a Python interpreter.
        ToolMissing: there is no such executable.
    """
    executable = shutil.which(python)
    if executable is None:
        raise ToolMissing("not an executable", where=str(python), next_step=f"name a Python such as {sys.executable}")
    lines: list[str] = []
    with private_folder("holdtrue-audit") as folder:
        run = run_tool(
            [str(Path(executable).absolute()), "-I", "-c", _LIST_FOLDERS],
            environment=tool_environment({}),
            folder=folder,
            on_line=lines.append,
            timeout_seconds=30,
        )
    folders = tuple(_parse_folders(lines)) if run.exit_code == 0 else ()
    if not folders:
        raise RejectedError(
            "no installed packages are visible to this interpreter",
            where=str(python),
            next_step=f"name a Python interpreter such as {sys.executable}",
        )
    return folders


def _parse_folders(lines: list[str]) -> Iterator[Path]:
    try:
        listed = json.loads("".join(lines))
    except ValueError:
        return
    if isinstance(listed, list):
        yield from (Path(item) for item in listed if isinstance(item, str))
