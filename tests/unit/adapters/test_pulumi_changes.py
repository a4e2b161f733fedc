"""From engine steps to typed changes and the digest: no engine, no SDK."""

from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdtrue.adapters.pulumi.changes import (
    compare,
    outputs_of,
    planned_changes,
    unchanged_urns,
)
from holdtrue.adapters.pulumi.messages import SECRET, Json, Snapshot, Step
from holdtrue.models.stack import Operation, PropertyChange

PREFIX = "urn:pulumi:demo::demo::"


def step(
    operation: str,
    name: str = "assets",
    kind: str = "aws:s3/bucket:Bucket",
    *,
    phase: Literal["started", "done", "failed"] = "started",
    before: dict[str, Json] | None = None,
    after: dict[str, Json] | None = None,
    paths: dict[str, str] | None = None,
) -> Step:
    return Step(
        phase=phase,
        operation=operation,
        urn=f"{PREFIX}{kind}::{name}",
        type=kind,
        before=None if before is None else Snapshot(inputs=before, outputs=before),
        after=None if after is None else Snapshot(inputs=after, outputs=after),
        paths=paths or {},
    )


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"tags": {"Owner": "x"}}, {"tags": {"Owner": "y"}}, [("tags.Owner", "x", "y", "update")]),
        ({"tags": {}}, {"tags": {"Owner": "y"}}, [("tags.Owner", None, "y", "add")]),
        ({"tags": {"Owner": "x"}}, {"tags": {}}, [("tags.Owner", "x", None, "delete")]),
        ({"a": None}, {}, [("a", None, None, "delete")]),
        ({}, {"a": None}, [("a", None, None, "add")]),
        ({"rules": [{"port": 1}]}, {"rules": [{"port": 2}]}, [("rules[0].port", 1, 2, "update")]),
        ({"rules": [1]}, {"rules": [1, 2]}, [("rules", [1], [1, 2], "update")]),
        ({"tags": {"a.b": 1}}, {"tags": {"a.b": 2}}, [('tags["a.b"]', 1, 2, "update")]),
        ({"a": {"b": 1}}, {"a": 1}, [("a", {"b": 1}, 1, "update")]),
    ],
)
def test_compare_names_every_differing_leaf(
    before: dict[str, Json], after: dict[str, Json], expected: list[tuple[str, Json, Json, str]]
) -> None:
    assert [(c.path, c.before, c.after, c.kind) for c in compare(before, after)] == expected


json_values: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=50)
@given(st.dictionaries(st.text(max_size=3), json_values), st.dictionaries(st.text(max_size=3), json_values))
def test_compare_is_empty_exactly_for_equals(before: dict[str, Json], after: dict[str, Json]) -> None:
    assert (compare(before, after) == ()) == (before == after)


def test_a_create_lists_the_inputs_it_sets_and_a_delete_those_that_go() -> None:
    created, deleted = planned_changes(
        [step("create", "a", after={"name": "n"}), step("delete", "b", before={"name": "n"})]
    )
    assert created.changes == (PropertyChange(path="name", after="n", kind="add"),)
    assert deleted.operation is Operation.DELETE
    assert deleted.changes == (PropertyChange(path="name", before="n", kind="delete"),)


def test_the_steps_of_a_replacement_are_one_change() -> None:
    steps = [
        step("delete-replaced", before={"name": "old"}),
        step("replace", before={"name": "old"}, after={"name": "new"}),
        step("create-replacement", after={"name": "new"}),
    ]
    (change,) = planned_changes(steps)
    assert change.operation is Operation.REPLACE
    assert [item.path for item in change.changes] == ["name"]


def test_bookkeeping_and_unchanged_are_no_changes() -> None:
    steps = [
        step("update", "default", "pulumi:providers:aws", before={"v": 1}, after={"v": 2}),
        step("same", "web"),
        step("same", "default", "pulumi:providers:aws"),
        step("refresh", "assets"),
    ]
    assert planned_changes(steps) == ()
    assert unchanged_urns(steps) == {f"{PREFIX}aws:s3/bucket:Bucket::web"}


def test_an_operation_of_a_later_engine_counts_as_the_most_dangerous() -> None:
    (change,) = planned_changes([step("annihilate", before={}, after={})])
    assert change.operation is Operation.DELETE


def test_the_providers_own_diff_adds_what_values_cannot_show() -> None:
    (change,) = planned_changes(
        [step("update", before={"a": 1}, after={"a": 2}, paths={"a": "update", "policy.rule": "update-replace"})]
    )
    assert [(item.path, item.kind) for item in change.changes] == [("a", "update"), ("policy.rule", "update")]


def test_a_change_behind_a_secret_is_named_without_values() -> None:
    (change,) = planned_changes([step("update", before={"n": 1, "token": SECRET}, after={"n": 1, "token": SECRET})])
    assert change.changes == (PropertyChange(path="token", before=SECRET, after=SECRET),)


REFERENCE = "pulumi:pulumi:StackReference"


def test_to_read_or_to_stop_reading_is_not_a_change() -> None:
    steps = [step("read", "base", REFERENCE), step("read", "vpc"), step("discard", "old", before={"name": "o"})]
    assert planned_changes(steps) == ()
    assert unchanged_urns(steps) == {f"{PREFIX}{REFERENCE}::base", f"{PREFIX}aws:s3/bucket:Bucket::vpc"}


def test_what_a_stack_gives_out_of_hand_is_a_change() -> None:
    released = step("read", "vpc")
    (change,) = planned_changes([released, step("read", "base")], {released.urn})
    assert (change.name, change.operation) == ("vpc", Operation.READ)
    assert released.urn not in unchanged_urns([released], {released.urn})


def test_what_is_read_in_place_of_a_managed_resource_is_still_its_replacement() -> None:
    steps = [
        step("read-replacement", after={"name": "n"}),
        step("replace", before={"name": "o"}, after={"name": "n"}),
        step("delete-replaced", before={"name": "o"}),
    ]
    (change,) = planned_changes(steps)
    assert change.operation is Operation.REPLACE
    assert unchanged_urns(steps) == frozenset()


def test_secret_outputs_are_only_named() -> None:
    outputs = outputs_of({"url": "u", "token": SECRET, "users": [{"password": SECRET}]})
    assert outputs.values == {"url": "u"}
    assert outputs.secret_names == ("token", "users")
