"""What the environments of a fleet hold, read once however many of them name it, and by what each judges it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from holdtrue.adapters.inventory.files import read_file
from holdtrue.adapters.inventory.projects import find_files, why_nothing
from holdtrue.core.audit_judgement import Judgement
from holdtrue.core.lockfiles import mark_all_internal
from holdtrue.errors import HoldtrueError
from holdtrue.models.dependency import Gap, Inventory

if TYPE_CHECKING:
    from holdtrue.models.environment import Audit, Environment

WORKER: Final = "worker"
"""Label of the worker's own Python environment."""

_Read = Callable[[], Inventory]


@dataclass(frozen=True, slots=True)
class Estate:
    """All inventories of some environments, each once, and each environment's judgement about its own."""

    inventories: tuple[Inventory, ...]
    judgements: tuple[Judgement, ...]


def or_gap(label: str, kind: str, read: Callable[[], Sequence[Inventory]]) -> tuple[Inventory, ...]:
    """The inventories; one with the reason where they cannot be read, for an audit that goes on with the others."""
    try:
        return tuple(read())
    except HoldtrueError as error:
        return (Inventory(label, kind, (), (Gap(label, str(error)),)),)


def read_estate(
    environments: "Sequence[Environment]",
    *,
    fleet: Path,
    worker: Path,
    hosts: Mapping[str, Sequence[Inventory]] = MappingProxyType({}),
) -> Estate:
    """Read all that the manifests name. What cannot be read is an inventory with the reason as its gap.

    So are waivers and the like that cannot be read: they hide nothing, and somebody has to know.

    Args:
        environments: Whose manifests.
        fleet: The folder that their paths are below; an inventory's label is the path as the manifest has it.
        worker: The folder of packages of the worker.
        hosts: What the hosts of an environment hold, by its name.
    """
    # What one team names as internal is told to nobody, whoever else holds it; the same for what mirrors PyPI.
    patterns = [*dict.fromkeys(name for item in environments for name in item.audit.internal)]
    mirrors = [*dict.fromkeys(name for item in environments for name in item.audit.mirrors)]
    wanted: dict[str, _Read] = {}
    found: list[Inventory] = []
    judgements: list[Judgement] = []
    for environment in environments:
        named = _named(environment.audit, fleet, worker)
        for label, read in named.items():
            wanted.setdefault(label, read)
        installed = hosts.get(environment.name, ())
        found += installed
        labels = frozenset((*named, *(item.label for item in installed)))
        judgement = _judgement(environment, fleet, labels, is_only=len(environments) == 1)
        if isinstance(judgement, Inventory):
            found.append(judgement)
            judgement = Judgement(environment.audit.policy, labels=labels)
        judgements.append(judgement)
    read_once = [
        inventory
        for label, read in wanted.items()
        for inventory in or_gap(label, "unread", lambda read=read: (read(),))  # type: ignore[misc]
    ]
    return Estate(mark_all_internal((*read_once, *found), patterns, mirrors), tuple(judgements))


def _named(audit: "Audit", fleet: Path, worker: Path) -> dict[str, _Read]:
    """How to read each inventory that the manifest names, by label."""
    # Here and below: the command line audits without any of these, and their imports take longer than most audits.
    from holdtrue.adapters.inventory.installed import list_folder  # noqa: PLC0415

    named: dict[str, _Read] = {}
    for path in audit.requirements:
        named[_label(path)] = partial(read_file, fleet / path, label=_label(path), boundary=fleet)
    for path in audit.projects:
        named |= _project(fleet / path, _label(path), fleet)
    if audit.worker:
        named[WORKER] = partial(list_folder, worker, label=WORKER)
    return named


def _project(folder: Path, label: str, fleet: Path) -> dict[str, _Read]:
    try:
        files = find_files(folder)
    except HoldtrueError as error:
        return {label: partial(_unread, label, str(error))}
    if not files:
        return {label: partial(_unread, label, why_nothing(folder))}
    labels = [_label(str(file.relative_to(fleet))) for file in files]
    return {
        name: partial(read_file, file, label=name, boundary=fleet) for name, file in zip(labels, files, strict=True)
    }


def _unread(label: str, reason: str) -> Inventory:
    return Inventory(label, "project", (), (Gap(label, reason),))


def _label(path: str) -> str:
    """One file has one label, however its path is written."""
    return str(PurePosixPath(path))


def _judgement(
    environment: "Environment", fleet: Path, labels: frozenset[str], *, is_only: bool
) -> Judgement | Inventory:
    from holdtrue.adapters.audit_inputs import read_judgement_files  # noqa: PLC0415

    audit = environment.audit
    name = "" if is_only else environment.name
    try:
        waivers, exploitation = read_judgement_files(
            waivers=[fleet / path for path in audit.waivers],
            vex=[fleet / path for path in audit.vex],
            epss=fleet / audit.epss if audit.epss else None,
            kev=fleet / audit.kev if audit.kev else None,
        )
    except HoldtrueError as error:
        label = f"{environment.name}: waivers"
        return Inventory(label, "waivers", (), (Gap(label, str(error)),))
    return Judgement(audit.policy, waivers, exploitation, labels=labels, name=name)
