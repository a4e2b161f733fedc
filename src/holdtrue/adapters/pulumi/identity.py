"""The parts of a plan's digest, from what a preview has seen."""

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import yaml

from holdtrue.adapters.pulumi.changes import is_bookkeeping, operation_of
from holdtrue.adapters.pulumi.hashes import keyed_hash, keyed_hashes
from holdtrue.adapters.pulumi.journal import Journal
from holdtrue.adapters.pulumi.messages import UNCHANGING, Json, Step
from holdtrue.adapters.pulumi.program_files import program_hashes
from holdtrue.adapters.pulumi.workspace import Project, locations
from holdtrue.models.credentials import StackAccess
from holdtrue.models.stack import Operation, PlanPart, PlanParts

_KEYS: Final = frozenset({"encryptedkey", "encryptionsalt", "secretsprovider"})
"""Lines of the settings that say how secrets are encrypted, which a first preview chooses anew each time."""


@dataclass(frozen=True, slots=True)
class PlanBinding:
    """What the digests of an engine's plans cover besides what the engine sees itself."""

    environment: str
    key: Callable[[], bytes]
    """The key of the hashes: 32 bytes. Digests that are to be compared need the same one."""


_PROCESS_KEY: Final = secrets.token_bytes(32)

THIS_PROCESS: Final = PlanBinding(environment="", key=lambda: _PROCESS_KEY)
"""For an engine without an environment: its digests can be compared only within this process."""


def given_parts(binding: PlanBinding, project: Project, stack: str, access: StackAccess) -> PlanParts:
    """The parts that are known before the engine runs: place, program and configuration."""
    key = binding.key()
    settings_file = project.folder / project.settings_folder / f"Pulumi.{stack}.yaml"
    place: dict[str, Json] = {
        "environment": binding.environment,
        "project": project.name,
        "stack": stack,
        "backend": _without_password(access.backend_url),
    }
    return {
        PlanPart.PLACE: keyed_hashes(key, place),
        PlanPart.PROGRAM: program_hashes(key, project, settings_file),
        PlanPart.CONFIGURATION: keyed_hashes(key, {**_settings(settings_file), **locations(access)}),
    }


def seen_parts(binding: PlanBinding, journal: Journal) -> PlanParts:
    """The parts that a preview has found: the state it starts from, the steps, their inputs, and names of outputs."""
    key = binding.key()
    return {
        PlanPart.STATE: journal.state_hashes,
        PlanPart.STEPS: keyed_hashes(key, _steps(journal.planned(), journal.managed())),
        PlanPart.INPUTS: journal.input_hashes,
        PlanPart.OUTPUTS: keyed_hashes(key, dict.fromkeys(journal.stack_outputs())),
    }


def state_hash(key: bytes, hashes: dict[str, str]) -> str:
    """One hash for a whole state."""
    return keyed_hash(key, dict(hashes))


def _steps(planned: Iterable[Step], managed: frozenset[str]) -> dict[str, Json]:
    """Each resource's steps with their properties; a resource that does not change counts only as present.

    Properties are the inputs, from before and after. Outputs are left out: a cloud reports some differently each time.
    """
    found: dict[str, list[Json]] = {}
    for step in planned:
        if is_bookkeeping(step):
            # A provider's inputs may be credentials of this run.
            if step.operation not in UNCHANGING:
                found.setdefault(step.urn, []).append([step.operation])
        elif step.operation in UNCHANGING:
            # A resource that was managed and is now only read is a change; the operation says so.
            released = operation_of(step) is Operation.READ and step.urn in managed
            found.setdefault(step.urn, []).append(["released" if released else "unchanged"])
        else:
            before, after = (None if side is None else dict(side.inputs) for side in (step.before, step.after))
            found.setdefault(step.urn, []).append([step.operation, step.type, before, after, dict(step.paths)])
    # The engine works on resources side by side: the order of events is not part of a plan.
    return {urn: sorted(steps, key=repr) for urn, steps in found.items()}


def _settings(path: Path) -> dict[str, Json]:
    """The stack's settings by name. A secret value counts as its ciphertext, which is useless without its key.

    Values count as they are written: to PyYAML `yes` and `true` are the same, and to the engine they are not.
    """
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    try:
        settings = _items(yaml.compose(text, yaml.SafeLoader))
        values = _items(settings.pop("config", None))
    except (yaml.YAMLError, TypeError):
        return {path.name: text}  # The engine refuses it with a message of its own.
    others = {f"the line {name}": node for name, node in settings.items() if name not in _KEYS}
    return {
        name: yaml.serialize(node, Dumper=yaml.SafeDumper, canonical=True)
        for name, node in {**others, **values}.items()
    }


def _items(node: yaml.Node | None) -> dict[str, yaml.Node]:
    """The items of a mapping; none of a value that is not there or empty.

    Raises:
        TypeError: it is something else.
    """
    if node is None or node.tag == "tag:yaml.org,2002:null":
        return {}
    if not isinstance(node, yaml.MappingNode):
        raise TypeError
    return {str(name.value): value for name, value in node.value}


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    if not parts.password:
        return url
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username}@{host}"))
