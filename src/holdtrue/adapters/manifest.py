"""Read environment manifests from the fleet folder; a wrong one is refused with file, line and field."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import yaml
from pydantic import JsonValue, ValidationError

from holdtrue.errors import ManifestError, ResourceMissing
from holdtrue.models.environment import Environment

_SIZE_LIMIT_BYTES: Final = 1 << 20

FieldPath = tuple[str | int, ...]


def environment_names(fleet: Path) -> tuple[str, ...]:
    """Names of all environments of the fleet, sorted.

    Raises:
        ResourceMissing: the fleet folder has no manifest.
    """
    names = tuple(sorted(path.stem for path in (fleet / "environments").glob("*.yaml")))
    if not names:
        raise ResourceMissing(
            "there is no environment manifest",
            where=str(fleet / "environments"),
            next_step="write environments/<name>.yaml there, or point HOLDTRUE_FLEET to the fleet",
        )
    return names


def load_environment(fleet: Path, name: str) -> Environment:
    """Read and check one manifest and that everything it names exists in the fleet.

    Raises:
        ManifestError: no environment of that name, not YAML, a wrong or extra field, another name inside than
            outside, or a file that is not there.
    """
    if name not in environment_names(fleet):
        raise ManifestError(
            f"there is no environment '{name}'",
            where=str(fleet / "environments"),
            next_step=f"use one of: {', '.join(environment_names(fleet))}",
        )
    path = fleet / "environments" / f"{name}.yaml"
    environment = parse_environment(path)
    lines = _line_numbers(path)
    if environment.name != name:
        raise _error(path, lines, ("name",), f"is '{environment.name}', but the file is called {path.name}")
    for field, relative in _named_paths(environment):
        if not (fleet / relative).exists():
            raise _error(path, lines, field, f"{relative} does not exist in {fleet}")
    return environment


def parse_environment(path: Path) -> Environment:
    """Read and check one manifest file by itself.

    Raises:
        ManifestError: what is wrong, with line and field.
    """
    node = _compose(path)
    try:
        return Environment.model_validate(_construct(path, node, set()))
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        lines = _line_numbers(path)
        first = _error(path, lines, tuple(problems[0]["loc"]), problems[0]["msg"])
        if len(problems) > 1:
            others = "; ".join(f"{_dotted(item['loc'])}: {item['msg']}" for item in problems[1:6])
            first.what += f" (and {len(problems) - 1} more: {others})"
        raise first from error


def _compose(path: Path) -> yaml.Node:
    try:
        if path.stat().st_size > _SIZE_LIMIT_BYTES:
            raise ManifestError("the manifest is larger than 1 MiB", where=f"{path}:1", next_step="split the fleet")
        node = yaml.compose(path.read_text(encoding="utf-8-sig"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"cannot be read: {error}", where=f"{path}:1", next_step="fix the file") from error
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        problem = getattr(error, "problem", None) or "nested too deeply"
        raise ManifestError(f"not YAML: {problem}", where=f"{path}:{line}", next_step="fix the file") from error
    if not isinstance(node, yaml.MappingNode):
        raise ManifestError("the manifest must be a mapping", where=f"{path}:1", next_step="see `holdtrue schema`")
    return node


def _construct(path: Path, node: yaml.Node, seen: set[int]) -> JsonValue:
    """Plain values from nodes; aliases are refused (they can blow up), and so is a key given twice."""
    if id(node) in seen:
        where = f"{path}:{node.start_mark.line + 1}"
        raise ManifestError("anchors with aliases are not allowed", where=where, next_step="write the value out twice")
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        return [_construct(path, item, seen) for item in node.value]
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, JsonValue] = {}
        for key, value in node.value:
            name = str(key.value)
            if name in mapping:
                where = f"{path}:{key.start_mark.line + 1} {name}"
                raise ManifestError("the field is given twice", where=where, next_step="keep one")
            mapping[name] = _construct(path, value, seen)
        return mapping
    try:
        scalar: JsonValue = yaml.SafeLoader("").construct_object(node)
    except (yaml.YAMLError, ValueError) as error:
        where = f"{path}:{node.start_mark.line + 1}"
        raise ManifestError(f"not a plain value: {node.tag}", where=where, next_step="write plain YAML") from error
    return scalar


def _line_numbers(path: Path) -> dict[FieldPath, int]:
    """Line of every field by its path; for a mapping's entry the line of its key."""
    lines: dict[FieldPath, int] = {}

    def visit(node: yaml.Node, at: FieldPath) -> None:
        lines.setdefault(at, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                lines[*at, str(key.value)] = key.start_mark.line + 1
                visit(value, (*at, str(key.value)))
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                visit(item, (*at, index))

    visit(_compose(path), ())
    return lines


def _error(path: Path, lines: dict[FieldPath, int], field: FieldPath, message: str) -> ManifestError:
    at = field
    while at not in lines:  # A missing field has no line of its own: its parent's serves.
        at = at[:-1]
    return ManifestError(
        message,
        where=f"{path}:{lines[at]} {_dotted(field)}",
        next_step="fix the manifest; `holdtrue schema` prints what it may say",
    )


def _dotted(field: Sequence[str | int]) -> str:
    return ".".join(str(part) for part in field) or "manifest"


def _named_paths(environment: Environment) -> list[tuple[FieldPath, str]]:
    """Every path below the fleet that the manifest names, with its field."""
    infrastructure = environment.infrastructure
    named: list[tuple[FieldPath, str]] = [
        (("infrastructure", "project"), f"{infrastructure.project}/Pulumi.yaml"),
        (("infrastructure", "tests"), infrastructure.tests_path),
        (("configuration", "playbook"), environment.configuration.playbook),
    ]
    named += [(("validation", "suites", index), path) for index, path in enumerate(environment.validation.suites)]
    named += [(("audit", "requirements", index), path) for index, path in enumerate(environment.audit.requirements)]
    return named
