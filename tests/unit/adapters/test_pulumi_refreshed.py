"""What is drift and what the program leaves to others: `ignore_changes`, and what it only reads."""

from typing import Literal

import pytest

from holdtrue.adapters.pulumi.messages import SECRET, Json, Recorded, Snapshot, Step
from holdtrue.adapters.pulumi.property_paths import Every, covers, parse_path
from holdtrue.adapters.pulumi.refreshed import found_in
from holdtrue.adapters.pulumi.state import state_messages
from holdtrue.models.stack import Operation, PropertyChange, ResourceChange

URN = "urn:pulumi:demo::demo::aws:s3/bucket:Bucket::assets"


def rules(*items: dict[str, Json]) -> list[Json]:
    return list(items)


Sides = tuple[ResourceChange | None, ResourceChange | None]


def found(
    before: dict[str, Json],
    after: dict[str, Json],
    *ignored: str,
    operation: Literal["update", "delete", "same"] = "update",
    external: bool = False,
    told: dict[str, str] | None = None,
) -> Sides:
    step = Step(
        "done", operation, URN, "aws:s3/bucket:Bucket",
        before=Snapshot(before, before), after=Snapshot(after, after), paths=told or {},
    )  # fmt: skip
    result = found_in(step, Recorded(URN, external=external, ignored_paths=ignored))
    return result.drift, result.unmanaged


def paths(change: ResourceChange | None) -> list[str]:
    return [] if change is None else [item.path for item in change.changes]


def test_a_difference_is_drift_unless_it_is_ignored() -> None:
    drift, unmanaged = found({"a": 1}, {"a": 2})
    assert drift is not None
    assert drift.changes == (PropertyChange(path="a", before=1, after=2),)
    assert unmanaged is None
    assert found({"a": 1}, {"a": 1}, operation="same") == (None, None)
    gone, _ = found({"a": 1}, {}, "*", operation="delete")
    assert gone is not None
    assert gone.operation is Operation.DELETE, "whatever is ignored, the resource is gone"


TAGS: dict[str, Json] = {"tags": {"Note": "a", "Owner": "x"}, "rules": rules({"port": 1, "net": "n"}, {"port": 2})}


@pytest.mark.parametrize(
    ("after", "ignored", "drift", "unmanaged"),
    [
        ({**TAGS, "tags": {"Note": "b", "Owner": "x"}}, ["tags.Note"], [], ["tags.Note"]),
        ({**TAGS, "tags": {"Note": "b", "Owner": "y"}}, ["tags.Note"], ["tags.Owner"], ["tags.Note"]),
        ({**TAGS, "tags": {"Note": "b", "Owner": "x"}}, ['tags["Note"]'], [], ["tags.Note"]),
        ({**TAGS, "tags": {"Note": "b", "Owner": "y"}}, ["tags"], [], ["tags.Note", "tags.Owner"]),
        ({**TAGS, "tags": {"Note": "b", "Owner": "y"}}, ["tags.*"], [], ["tags.Note", "tags.Owner"]),
        ({**TAGS, "tags": {"Note": "b", "Owner": "y"}}, ["*"], [], ["tags.Note", "tags.Owner"]),
        ({**TAGS, "tags": {"Note": "b"}}, ["tags.Not"], ["tags.Note", "tags.Owner"], []),
        ({**TAGS, "tags": {"Owner": "x"}}, ["tags.Note"], [], ["tags.Note"]),
        ({**TAGS, "tags": {"Note": "a", "Owner": "x", "New": "n"}}, ["tags.New"], [], ["tags.New"]),
        ({**TAGS, "rules": rules({"port": 9, "net": "n"}, {"port": 2})}, ["rules[0].port"], [], ["rules[0].port"]),
        ({**TAGS, "rules": rules({"port": 1, "net": "n"}, {"port": 9})}, ["rules[0].port"], ["rules[1].port"], []),
        ({**TAGS, "rules": rules({"port": 9, "net": "m"}, {"port": 9})}, ["rules[*].port"], ["rules[0].net"],
         ["rules[0].port", "rules[1].port"]),
        ({**TAGS, "rules": rules({"port": 1, "net": "n"})}, ["rules[1]"], [], ["rules"]),
        ({**TAGS, "rules": rules({"port": 1, "net": "n"})}, ["rules[0].port"], ["rules"], ["rules"]),
        ({**TAGS, "rules": rules({"port": 1, "net": "m"})}, ["rules[1]"], ["rules[0].net"], ["rules"]),
        ({"rules": TAGS["rules"]}, ["tags.Note"], ["tags"], ["tags"]),
        ({"rules": TAGS["rules"]}, ["tags.Note", "tags.Owner"], [], ["tags"]),
        ({**TAGS, "tags": {}}, ["not a [path"], ["tags.Note", "tags.Owner"], []),
    ],
)  # fmt: skip
def test_ignored_paths(after: dict[str, Json], ignored: list[str], drift: list[str], unmanaged: list[str]) -> None:
    told = found(TAGS, after, *ignored)
    assert (paths(told[0]), paths(told[1])) == (drift, unmanaged)


def test_what_repeats_an_ignored_property_is_ignored_with_it() -> None:
    before: dict[str, Json] = {"tags": {"Note": "a"}, "tagsAll": {"Note": "a", "Owner": "x"}}
    after: dict[str, Json] = {"tags": {"Note": "b"}, "tagsAll": {"Note": "b", "Owner": "x"}}
    assert found(before, after, "tags.Note")[0] is None
    other: dict[str, Json] = {"tags": {"Note": "b"}, "tagsAll": {"Note": "b", "Owner": "y"}}
    assert paths(found(before, other, "tags.Note")[0]) == ["tagsAll.Owner"]


def test_a_change_behind_a_secret_stays_drift_unless_that_is_ignored() -> None:
    values: dict[str, Json] = {"note": "a", "token": SECRET}
    assert paths(found(values, values)[0]) == ["token"]
    assert found(values, values, "token")[0] is None
    assert paths(found(values, values, "note")[0]) == ["token"]
    changed: dict[str, Json] = {**values, "note": "b"}
    assert found(values, changed, "note")[0] is None
    assert paths(found(values, changed, "note", told={"token": "update", "note": "update"})[0]) == ["token"]


def test_what_is_only_read_is_not_drift_until_it_is_gone() -> None:
    drift, unmanaged = found({"a": 1}, {"a": 2}, external=True)
    assert drift is None
    assert paths(unmanaged) == ["a"]
    assert found({"a": 1}, {"a": 1}, external=True) == (None, None)
    assert found({"a": 1}, {}, external=True, operation="delete")[0] is not None


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("root", ("root",)),
        ("root.nested", ("root", "nested")),
        ('root["a.b"].c', ("root", "a.b", "c")),
        (r'root["say \"hi\""]', ("root", 'say "hi"')),
        ('["root.x"].y', ("root.x", "y")),
        ("root[0][1].x", ("root", 0, 1, "x")),
        ("root[*].x", ("root", Every.EVERY, "x")),
        ("*", (Every.EVERY,)),
        ("root[", ()),
        ("", ()),
    ],
)
def test_a_path_is_read_as_the_engine_reads_it(text: str, path: tuple[str | int | Every, ...]) -> None:
    assert parse_path(text) == path


def test_no_path_covers_nothing() -> None:
    assert not covers((), ("a",))
    assert covers(("a",), ("a", 0))
    assert not covers(("a", 0), ("a",))


def test_the_state_tells_who_manages_what_is_ignored_and_what_was_cut_short() -> None:
    def pending(kind: str, name: str) -> dict[str, object]:
        return {"type": kind, "resource": {"urn": f"urn:{name}"}}

    (state,) = state_messages(
        {
            "resources": [
                {"urn": "urn:stack", "type": "pulumi:pulumi:Stack"},
                {"urn": "urn:a", "custom": True, "ignoreChanges": ["tags"]},
                {"urn": "urn:b", "custom": True, "external": True},
            ],
            "pending_operations": [
                pending("creating", "new"), pending("updating", "a"), pending("deleting", "b"),
                pending("reading", "c"), pending("importing", "old"),
            ],
        }
    )  # fmt: skip
    assert state.resources == (Recorded("urn:a", ignored_paths=("tags",)), Recorded("urn:b", external=True))
    assert state.cut_short == ("urn:new", "urn:old")
    assert [item.resources for item in state_messages(None)] == [()]


def test_a_large_state_is_told_in_parts() -> None:
    resources = [{"urn": f"urn:{number}", "custom": True} for number in range(2500)]
    messages = list(state_messages({"resources": resources, "pending_operations": None}))
    assert [len(message.resources) for message in messages] == [500] * 5
