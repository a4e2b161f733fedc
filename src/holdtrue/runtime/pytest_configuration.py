"""Which configuration file pytest would take for some tests, and what it says.

Names and their order: https://docs.pytest.org/en/stable/reference/customize.html.
"""

import configparser
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_ALWAYS: Final = ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini")
"""A file of this name is the configuration, even when it says nothing."""
_TOML_TABLES: Final = (("pytest",), ("tool", "pytest"), ("tool", "pytest", "ini_options"))
_INI_SECTIONS: Final = {"setup.cfg": "tool:pytest"}
CONFIGURATION_NAMES: Final = (*_ALWAYS, "pyproject.toml", "tox.ini", "setup.cfg")


@dataclass(frozen=True, slots=True)
class PytestConfiguration:
    """A configuration file and its settings; none when it cannot be read, which pytest itself tells."""

    path: Path
    settings: Mapping[str, object] = field(default_factory=dict)


def find_configuration(folder: Path, *, boundary: Path) -> PytestConfiguration | None:
    """The configuration of tests in `folder`: of the nearest folder that has one, not above `boundary`."""
    for place in (folder, *folder.parents):
        if not place.is_relative_to(boundary):
            return None
        for name in CONFIGURATION_NAMES:
            path = place / name
            found = _settings(path) if path.is_file() else None
            if found is not None or (name in _ALWAYS and path.is_file()):
                return PytestConfiguration(path, found or {})
    return None


def _settings(path: Path) -> Mapping[str, object] | None:
    """What it says of pytest; None when that is nothing."""
    try:
        return _of_toml(path) if path.suffix == ".toml" else _of_ini(path)
    except (OSError, ValueError, configparser.Error):
        return {}


def _of_toml(path: Path) -> Mapping[str, object] | None:
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    tables = [_table(document, keys) for keys in _TOML_TABLES]
    found = [table for table in tables if table is not None]
    return {name: value for table in found for name, value in table.items() if name != "ini_options"} if found else None


def _table(document: Mapping[str, object], keys: tuple[str, ...]) -> Mapping[str, object] | None:
    found: object = document
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else None


def _of_ini(path: Path) -> Mapping[str, object] | None:
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True, delimiters=("=", ":"))
    parser.read_string(path.read_text(encoding="utf-8"))
    section = _INI_SECTIONS.get(path.name, "pytest")
    return dict(parser[section]) if section in parser else None
