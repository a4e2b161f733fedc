"""Process-wide settings, read from HOLDTRUE_* variables.

Not with pydantic-settings, which imports command lines, dotenv and secret stores: 0.12 s, a fifth of a whole audit.
"""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, HttpUrl, SecretStr, ValidationError
from pydantic_core import from_json

from holdtrue.errors import SettingInvalid

_PREFIX: Final = "HOLDTRUE_"


class AuditSource(StrEnum):
    """Where advisories come from."""

    OSV = "osv"
    OSV_DB = "osv-db"
    PYPI = "pypi"
    PIP_AUDIT = "pip-audit"


def _none_if_empty(value: object) -> object:
    return None if value == "" else value


def _read_json(value: object) -> object:
    if not isinstance(value, str):
        return value
    return from_json(value) if value else None


class Settings(BaseModel):
    """What a deployment of Holdtrue may set; every default works for a checkout and for the worker image."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    fleet: Path = Field(default=Path("fleet"), description="Folder with environments/*.yaml and what they name.")
    reports: Path = Field(
        default=Path("~/.local/state/holdtrue/reports"),
        description="Folder that receives JUnit and JSON reports, one sub-folder a flow run.",
    )
    ledger_url: SecretStr = Field(
        default=SecretStr("sqlite:///~/.local/state/holdtrue/ledger.db"),
        description="SQLAlchemy URL of the ledger; a PostgreSQL that all workers share when there are several.",
    )
    osv_url: HttpUrl = Field(
        default=HttpUrl("https://api.osv.dev"), description="Base URL of the OSV API that audits ask."
    )
    osv_db: Annotated[Path | None, BeforeValidator(_none_if_empty)] = Field(
        default=None, description="OSV dump (.jsonl, .jsonl.gz, .zip) that audits read; empty for none."
    )
    osv_db_max_age_days: Annotated[float | None, BeforeValidator(_none_if_empty)] = Field(
        default=None, gt=0, description="An audit is incomplete if its OSV dump is older; empty for any age."
    )
    pypi_url: HttpUrl = Field(
        default=HttpUrl("https://pypi.org"), description="Root URL of the index whose advisories audits ask for."
    )
    audit_sources: Annotated[tuple[AuditSource, ...] | None, BeforeValidator(_read_json)] = Field(
        default=None,
        min_length=1,
        description="The advisory sources that audits ask: a JSON list of osv, osv-db, pypi, pip-audit. Without it, "
        "only the dump if `osv_db` names one, or else osv and pypi.",
    )
    audit_timeout_seconds: float = Field(
        default=600.0,
        gt=0,
        description="Longest time for pip-audit, and for each single host of an audit. All hosts together may take 30 "
        "minutes.",
    )
    cache: Path = Field(
        default=Path("~/.cache/holdtrue"), description="Folder for data that can be fetched or created again."
    )
    private_folders: Annotated[Path | None, BeforeValidator(_none_if_empty)] = Field(
        default=None,
        description="Existing folder, preferably in memory, in which runs create their private folders; empty for "
        "/dev/shm.",
    )
    connect_timeout_seconds: float = Field(
        default=5.0, gt=0, description="How long a preflight check or a probe waits for a connection."
    )


def load_settings() -> Settings:
    """Read the settings now; nothing is cached, so a test or a run sees its own environment.

    Raises:
        SettingInvalid: variables have no valid value; names them, never their values.
    """
    given = {key.upper(): text for key, text in os.environ.items()} | dict(os.environ)
    variables = {name: f"{_PREFIX}{name.upper()}" for name in Settings.model_fields}
    try:
        return Settings.model_validate({name: given[key] for name, key in variables.items() if key in given})
    except ValidationError as error:
        # Names only: a wrong value may be a secret in the wrong variable.
        names = ", ".join(variables[str(item["loc"][0])] for item in error.errors(include_input=False))
        raise SettingInvalid("a setting has no valid value", where=names, next_step="correct or unset it") from error


def in_home(path: Path, *, setting: str) -> Path:
    """The path with the home folder in place of its `~`.

    Raises:
        SettingInvalid: no such home is known, as for a user id that has no entry and no HOME (OpenShift).
    """
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise SettingInvalid(
            "no home folder is known for `~`", where=f"{setting}={path}", next_step=f"set {setting} to an absolute path"
        ) from error
