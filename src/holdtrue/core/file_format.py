"""Of which format a file of packages is: by its name, and by what stands in it where the name does not tell."""

import re
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Final

from holdtrue.core.lockfiles.requirement import NOT_A_REQUIREMENT
from holdtrue.core.requirements import parse_requirements
from holdtrue.models.dependency import Gap

CONDA_NAMES: Final = ("conda-lock*.y*ml", "environment*.y*ml", "conda*.json", "conda*.txt")


class FileFormat(StrEnum):
    """What a file is read as."""

    UV = "uv.lock"
    POETRY = "poetry.lock"
    PDM = "pdm.lock"
    PIPFILE = "Pipfile.lock"
    PYLOCK = "pylock.toml"
    CONDA = "conda"
    SBOM = "SBOM"
    REQUIREMENTS = "requirements"
    PROJECT = "project"
    """It says what a project asks for, and not at which versions that is installed."""


_NAMES: Final = {
    "uv.lock": FileFormat.UV,
    "*.py.lock": FileFormat.UV,
    "poetry.lock": FileFormat.POETRY,
    "pdm.lock": FileFormat.PDM,
    "Pipfile.lock": FileFormat.PIPFILE,
    "pylock.toml": FileFormat.PYLOCK,
    "pylock.*.toml": FileFormat.PYLOCK,
    **dict.fromkeys(CONDA_NAMES, FileFormat.CONDA),
    **dict.fromkeys(("*bom*.json", "*bom*.xml", "*.cdx.json", "*.cdx.xml", "*.spdx", "*.spdx.json"), FileFormat.SBOM),
    **dict.fromkeys(("pyproject.toml", "Pipfile", "setup.py", "setup.cfg"), FileFormat.PROJECT),
}
"""By shell pattern of the name; the first that matches counts."""

_REQUIREMENTS: Final = ("*.txt", "*.in", "requirements*.lock")
"""By shell pattern of the name in lower case."""

KNOWN_NAMES: Final = (*(name for name, kind in _NAMES.items() if kind is not FileFormat.PROJECT), *_REQUIREMENTS)

_JSON: Final = re.compile(r"\{|\[\s*(?:\{|\])")
_IN_JSON: Final = (
    (FileFormat.SBOM, re.compile(r'"(?:bomFormat|spdxVersion|SPDXID)"\s*:')),
    (FileFormat.PIPFILE, re.compile(r'"pipfile-spec"\s*:')),
    (FileFormat.CONDA, re.compile(r'"channel"\s*:|"dependencies"\s*:\s*\[')),
)
_IN_TEXT: Final = (
    (FileFormat.SBOM, re.compile(r"\A\s*<(?:[^<]|<[!?])*<?bom\b|^SPDXVersion:", re.MULTILINE)),
    (FileFormat.PYLOCK, re.compile(r"^\[\[packages\]\]|\A[^\[]*^lock-version\s*=", re.MULTILINE)),
    (FileFormat.PDM, re.compile(r"^lock_version\s*=", re.MULTILINE)),
    (FileFormat.POETRY, re.compile(r"^lock-version\s*=", re.MULTILINE)),
    (
        FileFormat.UV,
        re.compile(r"^\[\[package\]\]\s*^name\s*=.*\s*(?:^version\s*=.*\s*)?^source\s*=\s*\{|\A\s*version\s*=\s*\d+\s*"
                   r"(?:^revision\s*=.*\s*)?^requires-python\s*=", re.MULTILINE),
    ),
    (
        FileFormat.PROJECT,
        re.compile(r"^\[(?:project|build-system|packages|tool\.[\w.-]+)\]|^# /// script\s*$|^from setuptools import",
                   re.MULTILINE),
    ),
    (
        FileFormat.CONDA,
        re.compile(r"^@EXPLICIT\s*$|^(?:dependencies|package)\s*:\s*$|^# packages in environment at "
                   r"|^# This file may be used to create an environment", re.MULTILINE),
    ),
)  # fmt: skip
"""In this order; the texts are those that the tools write."""


def by_name(name: str) -> FileFormat | None:
    """What the name promises; None when it tells nothing."""
    for pattern, found in _NAMES.items():
        if fnmatchcase(name, pattern):
            return found
    lower = name.lower()
    return FileFormat.REQUIREMENTS if any(fnmatchcase(lower, pattern) for pattern in _REQUIREMENTS) else None


def by_content(text: str) -> FileFormat | None:
    """What it looks like; None when nobody can tell. Requirements are what can be read as such to the last line."""
    content = text.lstrip("\ufeff \t\r\n")
    for found, pattern in _IN_JSON if _JSON.match(content) else _IN_TEXT:
        if pattern.search(content):
            return found
    lines = parse_requirements(content)
    gaps = [line for line in lines if isinstance(line, Gap)]
    is_readable = len(gaps) < len(lines) and not any(gap.reason == NOT_A_REQUIREMENT for gap in gaps)
    return FileFormat.REQUIREMENTS if is_readable else None


def holds_nothing(text: str) -> bool:
    """Whether there are only blanks and comments."""
    return all(line.lstrip("\ufeff \t").startswith("#") for line in text.splitlines() if line.strip("\ufeff \t"))


def lock_command(name: str, text: str) -> str:
    """What locks the project that this file declares."""
    if name == "Pipfile" or re.search(r"^\[packages\]", text, re.MULTILINE):
        return "pipenv lock"
    tool = re.search(r"^\[tool\.(poetry|pdm)\b", text, re.MULTILINE)
    if tool:
        return f"{tool[1]} lock"
    if re.search(r"^# /// script\s*$", text, re.MULTILINE):
        return "uv lock --script"
    return "uv pip compile" if name in {"setup.py", "setup.cfg"} else "uv lock"
