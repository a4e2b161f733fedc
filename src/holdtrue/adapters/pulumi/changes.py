"""Converts the engine's steps to typed changes. Pure."""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from pydantic import JsonValue

from holdtrue.adapters.pulumi.messages import DEEPEST, SECRET, TOO_DEEP, Json, Step
from holdtrue.errors import RejectedError
from holdtrue.models.stack import Operation, PropertyChange, ResourceChange, StackOutputs

STACK_TYPE: Final = "pulumi:pulumi:Stack"
_NAME_LIMIT: Final = 200

_OPERATIONS: Final = {
    "same": Operation.SAME,
    "create": Operation.CREATE,
    "import": Operation.CREATE,
    "update": Operation.UPDATE,
    "delete": Operation.DELETE,
    "discard": Operation.READ,
    "remove-pending-replace": Operation.DELETE,
    "replace": Operation.REPLACE,
    "create-replacement": Operation.REPLACE,
    "delete-replaced": Operation.REPLACE,
    "discard-replaced": Operation.READ,
    "import-replacement": Operation.REPLACE,
    "read": Operation.READ,
    "read-replacement": Operation.READ,
    "refresh": Operation.REFRESH,
}
"""The engine's operations (sdk/go/common/apitype/history.go) and what they mean to a reviewer.

`discard` removes a resource that was only read from the state: nothing is deleted in a cloud.
"""


def operation_of(step: Step) -> Operation:
    """The operation of one step; an unknown name is treated as the most dangerous one, a delete."""
    return _OPERATIONS.get(step.operation, Operation.DELETE)


def is_bookkeeping(step: Step) -> bool:
    """True for provider records, which belong to the engine and are not resources of the program."""
    return step.type.startswith("pulumi:providers:")


def is_resource(step: Step) -> bool:
    """True for a real resource; false for a provider record, a component or the stack itself."""
    return step.custom and not is_bookkeeping(step) and step.type != STACK_TYPE


def planned_changes(steps: Iterable[Step], released: Collection[str] = ()) -> tuple[ResourceChange, ...]:
    """One change for each resource, ordered by URN, taken from its first step.

    For a replacement it is taken from the step that has both old and new inputs. Reads are not changes, except for the
    URNs in `released`: resources that the stack has managed so far and now only reads.
    """
    chosen: dict[str, Step] = {}
    for step in steps:
        operation = operation_of(step)
        if is_bookkeeping(step) or operation in {Operation.SAME, Operation.REFRESH}:
            continue
        if operation is Operation.READ and not (step.operation == "read" and step.urn in released):
            continue
        earlier = chosen.get(step.urn)
        # A replacement consists of several steps on one URN; the one with both sides is kept.
        if earlier is None or (operation is Operation.REPLACE and not (earlier.before and earlier.after)):
            chosen[step.urn] = step
    return tuple(
        ResourceChange(urn=urn, type=step.type, operation=operation_of(step), changes=_changed_inputs(step))
        for urn, step in sorted(chosen.items())
    )


def unchanged_urns(steps: Iterable[Step], released: Collection[str] = ()) -> frozenset[str]:
    """Resources that do not change, the stack included, and those that are only read."""
    return frozenset(
        step.urn
        for step in steps
        if not is_bookkeeping(step)
        and (operation_of(step) is Operation.SAME or (step.operation == "read" and step.urn not in released))
    )


def outputs_of(values: Mapping[str, Json]) -> StackOutputs:
    """Outputs without secrets: a value that contains a secret anywhere is left out, and only its name is kept.

    Raises:
        RejectedError: one is nested too deeply to be read.
    """
    if deep := sorted(name for name, value in values.items() if is_too_deep(value)):
        raise nested_too_deeply(deep[0])
    secret = tuple(sorted(name for name, value in values.items() if _holds_secret(value)))
    return StackOutputs(
        values={name: value for name, value in values.items() if name not in secret}, secret_names=secret
    )


def is_too_deep(value: Json) -> bool:
    """Whether a value has more levels than are passed on. It may have any number of them, so this does not recurse."""
    waiting = [(value, 0)]
    while waiting:
        item, level = waiting.pop()
        if item == TOO_DEEP or level > DEEPEST:
            return True
        below = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
        waiting += [(child, level + 1) for child in below]
    return False


def nested_too_deeply(output: str) -> RejectedError:
    """The refusal of an output that is nested too deeply."""
    return RejectedError(
        f"the output is nested more than {DEEPEST} levels deep",
        where=f"stack output {output[:_NAME_LIMIT]!a}",
        next_step="export a flatter value from the program; if the program is right, find out who changed the state",
    )


def compare(before: Mapping[str, Json], after: Mapping[str, Json]) -> tuple[PropertyChange, ...]:
    """Every value that differs, with Pulumi's property paths: `tags.Owner`, `rules[0].port`, `tags["a.b"]`."""
    return tuple(sorted(_differences("", dict(before), dict(after)), key=lambda change: change.path))


def _changed_inputs(step: Step) -> tuple[PropertyChange, ...]:
    """The property changes of a planned step: inputs of a create or a delete, differences of an update."""
    if operation_of(step) is Operation.DELETE and step.before is not None:
        return tuple(
            PropertyChange(path=path, before=value, kind="delete") for path, value in sorted(step.before.inputs.items())
        )
    if step.after is None or operation_of(step) in {Operation.DELETE, Operation.READ}:
        return ()
    if step.before is None:
        return tuple(
            PropertyChange(path=path, after=value, kind="add") for path, value in sorted(step.after.inputs.items())
        )
    found = compare(step.before.inputs, step.after.inputs)
    told = {path: kind for path, kind in step.paths.items() if not any(_covers(path, item.path) for item in found)}
    extra = tuple(PropertyChange(path=path, kind=plain_kind(kind)) for path, kind in sorted(told.items()))
    changes = tuple(sorted((*found, *extra), key=lambda change: change.path))
    return changes or secret_changes(step.after.inputs)


def _covers(path: str, other: str) -> bool:
    return other == path or other.startswith((f"{path}.", f"{path}[")) or path.startswith((f"{other}.", f"{other}["))


def plain_kind(kind: str) -> str:
    """`update` for `update-replace`; the resource's operation already says that it is replaced."""
    return kind.removesuffix("-replace")


def secret_changes(values: Mapping[str, Json]) -> tuple[PropertyChange, ...]:
    """If no visible value differs, a secret one does: name all that may, without values."""
    names = sorted(name for name, value in values.items() if _holds_secret(value))
    return tuple(PropertyChange(path=name, before=SECRET, after=SECRET) for name in names)


def _holds_secret(value: Json) -> bool:
    match value:
        case dict():
            return any(_holds_secret(item) for item in value.values())
        case list():
            return any(_holds_secret(item) for item in value)
        case _:
            return value == SECRET


def _differences(path: str, before: Json, after: Json) -> Iterable[PropertyChange]:
    match before, after:
        case dict(), dict():
            for key in sorted(before.keys() | after.keys()):
                yield from _child_difference(_join(path, key), key, before, after)
        case list(), list() if len(before) == len(after):
            for index, (old, new) in enumerate(zip(before, after, strict=True)):
                yield from _differences(f"{path}[{index}]", old, new)
        case _ if before != after:
            yield PropertyChange(path=path, before=_json(before), after=_json(after))


def _child_difference(path: str, key: str, before: dict[str, Json], after: dict[str, Json]) -> Iterable[PropertyChange]:
    """A key that is missing on one side is an addition or a removal, not a change from or to null."""
    if key not in before:
        yield PropertyChange(path=path, after=_json(after[key]), kind="add")
    elif key not in after:
        yield PropertyChange(path=path, before=_json(before[key]), kind="delete")
    else:
        yield from _differences(path, before[key], after[key])


def _join(path: str, key: str) -> str:
    if not key.replace("_", "").replace("-", "").isalnum():
        return f'{path}["{key}"]'
    return f"{path}.{key}" if path else key


def _json(value: Json) -> JsonValue:
    converted: JsonValue = value
    return converted
