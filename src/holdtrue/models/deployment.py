"""Files that say what Prefect is to keep of deployments, and the secrets that would rest there."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pydantic import Field, JsonValue

from holdtrue.models.base import Value


@dataclass(frozen=True, slots=True)
class DeploymentFile:
    """A `prefect.yaml` or a work pool's base job template, as it was written."""

    path: Path
    values: Mapping[str, JsonValue]
    positions: Mapping[str, tuple[int, int]]
    """Line and column by path (`deployments[0].name`); what an alias brings stands where its anchor is."""


class Exposure(Value):
    """One value that would be kept in clear. Says where, never what."""

    file: str
    line: int
    at: str = Field(description="Path of the value: `deployments[2].work_pool.job_variables.env.DB_PASSWORD`.")
    also_at: tuple[str, ...] = Field(default=(), description="Further paths of the same value, by aliases.")
    why: str
    instead: str = Field(description="What to write there.")


class NotChecked(Value):
    """A place that nobody can judge before it is deployed."""

    file: str
    line: int
    at: str
    reason: str


class ExposureVerdict(StrEnum):
    """What the check says. Unknown is never good."""

    CLEAN = "clean"
    EXPOSED = "exposed"
    INCOMPLETE = "incomplete"


class DeploymentCheck(Value):
    """What the check of some files found, and what it could not judge. Holds no value."""

    verdict: ExposureVerdict
    exposures: tuple[Exposure, ...]
    not_checked: tuple[NotChecked, ...] = Field(description="What could not be judged; makes it incomplete.")
    checked: int = Field(description="How many texts were looked at.")
