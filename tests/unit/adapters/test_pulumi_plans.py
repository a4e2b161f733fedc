"""What is kept of a preview, and what an apply may do beside it."""

import json
from typing import Any, Literal

import pytest

from holdtrue.adapters.pulumi.deviations import interrupted, is_wordless, unfinished, wordless
from holdtrue.adapters.pulumi.journal import Journal
from holdtrue.adapters.pulumi.messages import (
    Diagnostic,
    Failed,
    Json,
    Message,
    Step,
    Unplanned,
    parse_message,
    write_message,
)
from holdtrue.adapters.pulumi.plans import SavedPlan, changing_steps, differing_outputs, without_output_values
from holdtrue.models.base import ignore_progress
from holdtrue.models.stack import Operation, ResourceChange

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
URN = "urn:pulumi:dev::tiny::aws:s3/bucket:Bucket::{}"


def step(
    name: str, operation: str, phase: Literal["started", "done", "failed"] = "done", *, custom: bool = True
) -> Step:
    return Step(phase=phase, operation=operation, urn=URN.format(name), type="aws:s3/bucket:Bucket", custom=custom)


def saved(*steps: Step) -> SavedPlan:
    return SavedPlan(None, settings="", stack_absent=False, steps=changing_steps(steps), outputs={})


def journal(*messages: Message) -> Journal:
    found = Journal(ignore_progress, ())
    for message in messages:
        found.read_line(write_message(message))
    return found


def test_what_changes_nothing_is_not_a_planned_step() -> None:
    steps = [step("a", "same"), step("b", "read"), step("c", "create"), step("d", "something new")]
    assert changing_steps([*steps, step("c", "create"), step("c", "delete")]) == {
        URN.format("c"): ("create", "delete"),
        URN.format("d"): ("something new",),
    }


@pytest.mark.parametrize(
    ("planned", "seen", "undone"),
    [
        ([step("a", "create")], [step("a", "create")], []),
        ([step("a", "create")], [step("a", "create", "started")], ["a"]),
        ([step("a", "create")], [step("a", "create", "failed")], ["a"]),
        ([step("a", "update")], [step("a", "same")], []),
        ([step("a", "create")], [step("a", "same")], ["a"]),
        ([step("a", "replace"), step("a", "create-replacement")], [step("a", "create-replacement")], []),
        ([step("a", "create-replacement"), step("a", "delete-replaced")], [step("a", "create-replacement")], ["a"]),
        ([step("g", "create", custom=False)], [step("g", "create", "started", custom=False)], []),
        ([step("g", "create", custom=False)], [], ["g"]),
        ([], [step("z", "create")], []),
    ],
)
def test_a_planned_step_is_done_when_it_was_carried_out(
    planned: list[Step], seen: list[Step], undone: list[str]
) -> None:
    assert saved(*planned).undone(seen) == tuple(URN.format(name) for name in undone)


def test_an_update_plan_admits_any_value_for_outputs_and_for_nothing_else() -> None:
    inputs = {"adds": {"name": "x"}}
    outputs = {"adds": {"new": 1}, "updates": {"old": 2}, "deletes": ["gone"]}
    stack = {
        "goal": {"custom": False, "inputDiff": inputs, "outputDiff": outputs},
        "state": {"new": 1, "old": 2, "kept": 3},
        "steps": ["update"],
    }
    resource: dict[str, Any] = {"goal": {"custom": True, "inputDiff": inputs, "outputDiff": {"adds": {"id": 1}}}}
    removed: dict[str, Any] = {"goal": None, "steps": ["delete"]}
    given = {"version": 1, "resourcePlans": {"stack": stack, "resource": resource, "removed": removed}}
    changed = json.loads(without_output_values(json.dumps(given).encode()))
    assert changed["resourcePlans"].pop("stack") == {
        **stack,
        "goal": {
            "custom": False,
            "inputDiff": inputs,
            "outputDiff": {"adds": {"new": UNKNOWN}, "updates": {"gone": UNKNOWN, "kept": UNKNOWN, "old": UNKNOWN}},
        },
    }
    assert changed == {"version": 1, "resourcePlans": {"resource": resource, "removed": removed}}


@pytest.mark.parametrize(
    ("previewed", "applied", "names"),
    [
        ({"a": 1}, {"a": 1}, ()),
        ({"a": 1}, {"a": 2}, ("a",)),
        ({"a": 1}, {}, ("a",)),
        ({}, {"a": None}, ("a",)),
        ({"a": "[unknown]"}, {"a": 7}, ()),
        ({"a": "[unknown]"}, {}, ()),
        ({"a": ["[unknown]", 1]}, {"a": [5, 1]}, ()),
        ({"a": ["[unknown]", 1]}, {"a": [5, 2]}, ("a",)),
        ({"a": {"b": "[unknown]"}}, {"a": {"c": 1}}, ("a",)),
        ({"a": "[secret]"}, {"a": "[secret]"}, ()),
        ({"b": 1, "a": 1}, {}, ("a", "b")),
    ],
)
def test_outputs_differ_where_the_preview_knew_another_value(
    previewed: dict[str, Json], applied: dict[str, Json], names: tuple[str, ...]
) -> None:
    assert differing_outputs(previewed, applied) == names


SILENT = Failed("\n code: 1\n stdout: Updating (dev):\n + made\nResources:\n    + 2 created\n\n stderr: ")


@pytest.mark.parametrize(
    ("messages", "silent"),
    [
        ([SILENT], True),
        ([SILENT, Diagnostic(severity="warning", text="old")], True),
        ([SILENT, Diagnostic(severity="error", text="boom")], False),
        ([SILENT, step("a", "create", "failed")], False),
        ([Failed("\n code: 255\n stdout: \n stderr: error: no such backend")], False),
        ([Failed("\n code: 255\n stdout: error: update failed\n stderr: ")], False),
        ([Failed("KeyError: 'op'", "event")], False),
        ([], False),
    ],
)
def test_a_failure_is_wordless_when_nobody_gave_a_reason(messages: list[Message], silent: bool) -> None:  # noqa: FBT001
    assert is_wordless(journal(*messages)) is silent


def test_a_wordless_failure_is_told_with_the_last_lines_and_what_was_done() -> None:
    done = [ResourceChange(urn=URN.format(f"b{number}"), type="t", operation=Operation.CREATE) for number in range(7)]
    error = wordless(journal(SILENT), done, "stack dev")
    assert "exit code 1" in error.what
    assert "Resources: / + 2 created" in error.what
    assert "create aws:s3/bucket:Bucket b0" in error.what
    assert "2 more" in error.what
    assert "nothing was carried out" in wordless(journal(SILENT), [], "stack dev").what


def test_an_interrupted_step_is_told_with_what_became_of_it() -> None:
    unplanned = Unplanned(URN.format("a"), "delete")
    assert parse_message(write_message(unplanned)) == unplanned
    begun = journal(unplanned, step("a", "delete", "started"))
    assert begun.unplanned == unplanned
    ended = journal(unplanned, step("a", "delete", "started"), step("a", "delete"))
    told = [interrupted(unplanned, item, "stack dev").what for item in (begun, ended)]
    assert "may be" in told[0]
    assert "may be" not in told[1]
    assert all("aws:s3/bucket:Bucket a" in text for text in told)
    assert "Bucket b" in unfinished([URN.format("b")], "stack dev").what
