"""The fleet's manifests."""

from collections.abc import Sequence

from prefect import task

from holdtrue.adapters import manifest
from holdtrue.models.environment import Environment
from holdtrue.settings import load_settings
from tasks.journal import staged
from tasks.policy import READS


@task(name="load environment", **READS)
@staged
def load_environment(name: str) -> Environment:
    """Read one environment's manifest; a wrong one is refused before anything runs."""
    return manifest.load_environment(load_settings().fleet, name)


def select_environments(names: Sequence[str] | None) -> tuple[str, ...]:
    """The named environments, or the whole fleet."""
    return manifest.environment_names(load_settings().fleet) if names is None else tuple(dict.fromkeys(names))
