"""Secrets that deployments would leave with Prefect: in the file itself, and through what is filled in while deploying.

What `prefect deploy` and a worker fill in (cli/deploy/_core.py, deployments/steps/core.py, workers/base.py of Prefect
3.8; a test compares it with a server):

| Placeholder | in a deployment | in its pull steps | in build and push steps | in a base job template |
|---|---|---|---|---|
| `{{ prefect.blocks... }}` | kept in clear | by the worker | not kept | by the worker |
| `{{ $NAME }}` | kept in clear | kept in clear if set while deploying | not kept | by the worker |
| `{{ step.output }}` | kept in clear | kept in clear of a build or push step | not kept | none |

Trigger parameters have fields of the event in place of step outputs. A `{{ prefect.variables... }}` is in clear anyway.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import Final, assert_never

from holdtrue.core.secret_detection import Leaf, leaves, why_secret
from holdtrue.core.secret_names import is_secret_name
from holdtrue.models.deployment import (
    DeploymentCheck,
    DeploymentFile,
    Exposure,
    ExposureVerdict,
    NotChecked,
)

BASE_JOB_TEMPLATE: Final = frozenset({"job_configuration", "variables"})
"""What a work pool's base job template is made of."""


class Section(StrEnum):
    """Parts of a file, by who keeps and who fills in what they say."""

    PARAMETERS = "parameters"
    TRIGGER_PARAMETERS = "trigger parameters"
    DEPLOYMENT = "deployment"
    PULL = "pull"
    STEPS = "steps"
    TEMPLATE = "template"
    UNUSED = "unused"


_SECTIONS: Final = (
    (Section.STEPS, re.compile(r"(?:deployments\[\d+\]\.)?(?:build|push)\b")),
    (Section.PULL, re.compile(r"(?:deployments\[\d+\]\.)?pull\b")),
    (Section.PARAMETERS, re.compile(r"deployments\[\d+\]\.(?:schedules\[\d+\]\.)?parameters\b")),
    (Section.TRIGGER_PARAMETERS, re.compile(r"deployments\[\d+\]\.triggers\[\d+\]\.parameters\b")),
    (Section.DEPLOYMENT, re.compile(r"deployments\b")),
    (Section.TEMPLATE, re.compile(r"(?:job_configuration|variables)\b")),
)
_STORED: Final = frozenset({Section.PARAMETERS, Section.TRIGGER_PARAMETERS, Section.DEPLOYMENT})
_PLACEHOLDER: Final = re.compile(r"\{\{\s*([\w.\-\[\]$]+)\s*\}\}")
_MAPPINGS: Final = re.compile(r"\.(?:parameters|job_variables|env|work_pool)$")


@dataclass(frozen=True, slots=True)
class _Found:
    at: str
    why: str


def check_deployments(files: Sequence[DeploymentFile]) -> DeploymentCheck:
    """Everything in the files that would leave a secret in clear.

    A check that looked at nothing, or not at everything, is incomplete; one that found something says so anyway.
    """
    exposures = tuple(item for file in files for item in _exposures(file))
    not_checked = tuple(item for file in files for item in _gaps(file))
    checked = sum(1 for file in files for _ in leaves(file.values))
    verdict = (
        ExposureVerdict.EXPOSED
        if exposures
        else ExposureVerdict.INCOMPLETE
        if not_checked or not checked
        else ExposureVerdict.CLEAN
    )
    return DeploymentCheck(verdict=verdict, exposures=exposures, not_checked=not_checked, checked=checked)


def describe(check: DeploymentCheck) -> list[str]:
    """Lines for a person."""
    found = [
        f"{item.file}:{item.line} {', '.join((item.at, *item.also_at))}: {item.why}. Next: {item.instead}"
        for item in check.exposures
    ]
    gaps = [f"not checked: {item.file}:{item.line} {item.at}: {item.reason}" for item in check.not_checked]
    counts = f"checked {check.checked}, exposed {len(check.exposures)}, not checked {len(check.not_checked)}"
    return [*found, *gaps, f"{check.verdict}: {counts}"]


def _exposures(file: DeploymentFile) -> Iterator[Exposure]:
    steps = _local_steps(file)
    found = [item for leaf in leaves(file.values) for item in _judge(leaf, steps)]
    # One value that aliases bring to many places is one exposure; a deployment's path says more than the anchor's.
    found.sort(key=lambda item: (file.positions[item.at], _section(item.at) is Section.UNUSED))
    for (line, _), items in groupby(found, key=lambda item: file.positions[item.at]):
        same = list(items)
        first, *also_at = dict.fromkeys(item.at for item in same)
        yield Exposure(
            file=str(file.path),
            line=line,
            at=first,
            also_at=tuple(also_at),
            why="; ".join(dict.fromkeys(item.why for item in same if item.at == first)),
            instead=_instead(first),
        )


def _judge(leaf: Leaf, local_steps: frozenset[str]) -> Iterator[_Found]:
    why = why_secret(leaf)
    if why is not None:
        yield _Found(leaf.at, why)
        return
    text = str(leaf.value)
    section = _section(leaf.at)
    for name in _PLACEHOLDER.findall(text):
        reason = _why_exposed(name, leaf.name, section, local_steps)
        if reason is not None:
            yield _Found(leaf.at, f"{{{{ {name} }}}}: {reason}")


def _why_exposed(name: str, field: str, section: Section, local_steps: frozenset[str]) -> str | None:
    """Why a placeholder leaves a secret in clear; None when it brings none, or leaves it nowhere."""
    stored = section in _STORED
    parts = name.split(".")
    match parts:
        case ["prefect", "variables", *rest]:
            if is_secret_name(field) or any(map(is_secret_name, rest)):
                return "Prefect keeps variables in clear"
        case ["prefect", "blocks", slug, _, *rest]:
            secret = is_secret_name(field) or is_secret_name(slug) or any(map(is_secret_name, rest))
            # Blocks of this project hold references.
            if stored and secret and not slug.startswith("holdtrue-"):
                return "`prefect deploy` writes what the block holds into the deployment"
        case [first, *_] if first.startswith("$"):
            if (stored or section is Section.PULL) and (is_secret_name(field) or is_secret_name(name.lstrip("$"))):
                return "`prefect deploy` writes the variable's value into the deployment when it is set there"
        case ["ctx", *_]:
            return None
        case [step, *rest]:
            secret = is_secret_name(field) or any(map(is_secret_name, rest))
            # In a trigger's parameters it is a field of the event, which the server fills in.
            filled_in = section in (Section.PARAMETERS, Section.DEPLOYMENT)
            if secret and (filled_in or (section is Section.PULL and step in local_steps)):
                return "`prefect deploy` writes the step's output into the deployment"
    return None


def _gaps(file: DeploymentFile) -> Iterator[NotChecked]:
    name = str(file.path)
    if not file.values.get("deployments") and not file.values.keys() & BASE_JOB_TEMPLATE:
        yield NotChecked(file=name, line=1, at="deployments", reason="there are none")
    for leaf in leaves(file.values):
        whole = _PLACEHOLDER.fullmatch(str(leaf.value))
        if whole and _MAPPINGS.search(leaf.at) and _section(leaf.at) in _STORED:
            line, _ = file.positions[leaf.at]
            reason = f"{whole[0]}: what it brings is not known before it is filled in"
            yield NotChecked(file=name, line=line, at=leaf.at, reason=reason)


def _local_steps(file: DeploymentFile) -> frozenset[str]:
    """Ids of the steps that `prefect deploy` runs itself."""
    step_ids = (leaf for leaf in leaves(file.values) if leaf.at.endswith(".id") and _section(leaf.at) is Section.STEPS)
    return frozenset(str(leaf.value) for leaf in step_ids)


def _section(at: str) -> Section:
    return next((section for section, pattern in _SECTIONS if pattern.match(at)), Section.UNUSED)


def _instead(at: str) -> str:
    section = _section(at)
    match section:
        case Section.PARAMETERS | Section.TRIGGER_PARAMETERS:
            return "declare the parameter as SecretRef, and write `{block: NAME}` of a VaultSecret block"
        case Section.DEPLOYMENT:
            return (
                "let the flow fetch it through a VaultSecret block, set it in the worker's own environment, or name its"
                " block in the work pool's base job template"
            )
        case Section.PULL | Section.TEMPLATE:
            return "write `{{ prefect.blocks.secret.NAME }}`, which the worker fills in"
        case Section.STEPS:
            return "write `{{ $NAME }}`, and set the variable where it is deployed"
        case Section.UNUSED:
            return "take it out of the file"
        case _:
            assert_never(section)
