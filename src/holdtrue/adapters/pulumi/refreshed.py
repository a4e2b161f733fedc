"""What a refresh found: differences from what the program declares, and differences it ignores. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from holdtrue.adapters.pulumi.changes import compare, operation_of, plain_kind, secret_changes
from holdtrue.adapters.pulumi.messages import Json, Recorded, Snapshot, Step
from holdtrue.adapters.pulumi.property_paths import Path, covers, parse_path, without
from holdtrue.models.stack import Operation, PropertyChange, ResourceChange


@dataclass(frozen=True, slots=True)
class Found:
    """What differs in one resource."""

    drift: ResourceChange | None = None
    unmanaged: ResourceChange | None = None
    """Differences that the program ignores, or in a resource that it only reads."""


def found_in(step: Step, recorded: Recorded) -> Found:
    """Compare a refreshed resource with the state."""
    match operation_of(step):
        case Operation.SAME | Operation.READ:
            return Found()
        case Operation.DELETE:  # Also if it is only read: the next provision would not find it.
            return Found(drift=ResourceChange(urn=step.urn, type=step.type, operation=Operation.DELETE))
        case operation:
            before, after = step.before or Snapshot(), step.after or Snapshot()
            everything = _differences(before, after, step.paths)
            patterns = [path for path in map(parse_path, recorded.ignored_paths) if path]
            declared = () if recorded.external else _declared(everything, step, before, after, patterns)
            ignored = tuple(change for change in everything if change not in declared)

            def change_of(changes: tuple[PropertyChange, ...]) -> ResourceChange:
                return ResourceChange(urn=step.urn, type=step.type, operation=operation, changes=changes)

            if not everything and not recorded.external:
                return Found(drift=change_of(()))
            return Found(
                drift=change_of(declared) if declared else None,
                unmanaged=change_of(ignored) if ignored else None,
            )


def _differences(before: Snapshot, after: Snapshot, told: Mapping[str, str]) -> tuple[PropertyChange, ...]:
    """Every property that differs; if no visible one does, those that the provider names, or else the secret ones."""
    return (
        compare(before.outputs, after.outputs)
        or compare(before.inputs, after.inputs)
        or tuple(PropertyChange(path=path, kind=plain_kind(kind)) for path, kind in sorted(told.items()))
        or secret_changes(after.outputs)
    )


def _declared(
    everything: tuple[PropertyChange, ...], step: Step, before: Snapshot, after: Snapshot, patterns: list[Path]
) -> tuple[PropertyChange, ...]:
    """The changes that are not ignored; for a partly ignored value, the changes of its other parts."""
    if not patterns:
        return everything
    if before == after:
        return tuple(change for change in everything if not _is_ignored(change.path, patterns))
    sides = (before.outputs, after.outputs) if before.outputs != after.outputs else (before.inputs, after.inputs)
    rest = compare(*(_rest(side, patterns) for side in sides))
    left = [change for change in rest if change in everything or not _is_emptied(change)]
    ignored = [change for change in everything if change not in left]
    seen = [change for change in left if not any(_mirrors(change, other) for other in ignored)]
    return (*seen, *_hidden(step.paths, [*everything, *left], patterns))


def _hidden(told: Mapping[str, str], seen: Sequence[PropertyChange], patterns: list[Path]) -> list[PropertyChange]:
    """Changes that only the provider's diff reports, usually secrets, without the ignored ones."""
    known = [parse_path(change.path) for change in seen]
    return [
        PropertyChange(path=path, kind=plain_kind(kind))
        for path, kind in sorted(told.items())
        if not _is_ignored(path, patterns) and not any(_overlap(parse_path(path), other) for other in known)
    ]


def _overlap(one: Path, other: Path) -> bool:
    return covers(one, other) or covers(other, one)


def _is_ignored(path: str, patterns: Iterable[Path]) -> bool:
    return any(covers(pattern, parse_path(path)) for pattern in patterns)


def _rest(values: Mapping[str, Json], patterns: Iterable[Path]) -> dict[str, Json]:
    rest = without(dict(values), patterns)
    assert isinstance(rest, dict)  # noqa: S101 - `without` returns a mapping for a mapping
    return rest


def _is_emptied(change: PropertyChange) -> bool:
    """A map or list with only ignored content was added or removed."""
    return change.kind in {"add", "delete"} and _is_hollow(change.after if change.kind == "add" else change.before)


def _is_hollow(value: JsonValue) -> bool:
    match value:
        case dict():
            return all(map(_is_hollow, value.values()))
        case list():
            return all(item is None or _is_hollow(item) for item in value)
        case _:
            return False


def _mirrors(change: PropertyChange, ignored: PropertyChange) -> bool:
    """A computed property that repeats an ignored one, as `tagsAll.Note` of an AWS resource repeats `tags.Note`."""
    mine, other = parse_path(change.path), parse_path(ignored.path)
    return (
        len(mine) > 1
        and mine[1:] == other[1:]
        and (change.before, change.after, change.kind) == (ignored.before, ignored.after, ignored.kind)
    )
