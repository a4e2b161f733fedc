"""The fleet's manifests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from prefect import task

from holdtrue.adapters import manifest
from holdtrue.errors import HoldtrueError, ManifestError
from holdtrue.models.base import Progress, ProgressLevel
from holdtrue.models.environment import Environment
from holdtrue.runtime.public_names import publish_names
from holdtrue.settings import in_home, load_settings
from tasks.journal import current_journal, staged, watch
from tasks.policy import READS

FLEET: Final = "fleet"
"""Under this name the journal keeps what was selected."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """The environments of one run.

    Attributes:
        names: Every one that was asked for.
        environments: Those whose manifest can be read.
        unreadable: Why the others cannot, by name.
        is_whole: Whether they are all that there are, and all can be read.
    """

    names: tuple[str, ...] = ()
    environments: tuple[Environment, ...] = ()
    unreadable: Mapping[str, str] = field(default_factory=dict)
    is_whole: bool = False


@task(name="load environment", **READS)
@staged
def load_environment(environment: str) -> Environment:
    """Read one environment's manifest; a wrong one is refused before anything runs."""
    loaded = manifest.load_environment(_folder(), environment)
    publish_names([loaded.name])
    return loaded


def load_fleet(names: Sequence[str] | None) -> Fleet:
    """Read the manifests of the named environments, or of all; the others are still read when one cannot be.

    Raises:
        HoldtrueError: none of them can be read.
    """
    wanted = manifest.environment_names(_folder()) if names is None else tuple(dict.fromkeys(names))
    environments: list[Environment] = []
    errors: dict[str, HoldtrueError] = {}
    for name in wanted:
        try:
            environments.append(load_environment(name))
        except HoldtrueError as error:
            errors[name] = error
    if not environments:
        raise _nothing_to_look_at(errors)
    for name, why in errors.items():
        message = f"{name} is left out, and the run goes on with the others: {why}"
        watch(Progress(message=message, level=ProgressLevel.ERROR))
    unreadable = {name: str(why) for name, why in errors.items()}
    fleet = Fleet(wanted, tuple(environments), unreadable, is_whole=names is None and not errors)
    current_journal().results[FLEET] = fleet
    return fleet


def _nothing_to_look_at(errors: Mapping[str, HoldtrueError]) -> HoldtrueError:
    match list(errors.values()):
        case []:
            return ManifestError(
                "the list of environments is empty",
                where="environments",
                next_step="name at least one, or omit the parameter to take the whole fleet",
            )
        case [only]:
            return only
        case several:
            return ManifestError(
                f"none of {len(several)} environments can be read: " + "; ".join(error.what for error in several),
                where=", ".join(dict.fromkeys(error.where for error in several)),
                next_step=several[0].next_step,
            )


def _folder() -> Path:
    return in_home(load_settings().fleet, setting="HOLDTRUE_FLEET")
