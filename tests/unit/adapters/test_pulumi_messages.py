"""The lines between worker and child, and what the worker makes of them."""

from typing import Literal

import pytest

from holdtrue.adapters.pulumi.journal import Journal, short_type
from holdtrue.adapters.pulumi.messages import (
    Command,
    Diagnostic,
    Failed,
    Finished,
    Message,
    Recorded,
    Request,
    Restarted,
    Snapshot,
    StackAbsent,
    State,
    Step,
    parse_message,
    parse_request,
    write_message,
    write_request,
)
from holdtrue.models.base import Progress, ProgressLevel

URN = "urn:pulumi:demo::demo::pulumi-python:dynamic/aws:Bucket::assets"
STACK_URN = "urn:pulumi:demo::demo::pulumi:pulumi:Stack::demo-demo"
STEP = Step("started", "create", URN, "pulumi-python:dynamic/aws:Bucket", after=Snapshot(inputs={"a": ["ü\n"]}))


@pytest.mark.parametrize(
    "message",
    [
        STEP,
        Diagnostic("error", "two\nlines", URN),
        State((Recorded(URN, external=True, ignored_paths=("tags.Note",)),), cut_short=(URN,)),
        Restarted(("organization/base/live",)),
        StackAbsent(),
        Failed("why"),
        Failed("too large", "message"),
        Finished(),
    ],
)
def test_a_message_is_one_line_and_comes_back(message: Message) -> None:
    line = write_message(message)
    assert "\n" not in line
    assert parse_message(line) == message


def test_a_request_comes_back() -> None:
    request = Request(
        Command.APPLY,
        project="demo",
        stack="dev",
        secrets_provider="hashivault://k",
        cli_version="3.259.0",
        create_stack=True,
        folder="/f",
        program="/p",
        plan_file="/f/plan.json",
        processes_file="/engine.processes",
    )
    assert parse_request(write_request(request)) == request


@pytest.mark.parametrize("line", ["", "hello", "{}", '{"kind":"other"}', "[]"])
def test_what_is_no_message_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_message(line)


def told(*messages: Message, secrets: tuple[str, ...] = (), total: int | None = None) -> tuple[Journal, list[Progress]]:
    lines: list[Progress] = []
    journal = Journal(lines.append, secrets, total)
    for message in messages:
        journal.read_line(write_message(message))
    return journal, lines


def test_progress_tells_each_resource_and_counts() -> None:
    done = Step("done", "create", URN, STEP.type)
    journal, lines = told(STEP, done, total=1)
    assert [(line.message, line.done, line.total) for line in lines] == [
        ("+ aws:Bucket assets creating", 0, 1),
        ("+ aws:Bucket assets created", 1, 1),
    ]
    assert journal.planned() == [STEP]
    assert journal.carried_out() == [done]


def test_a_dry_run_speaks_of_plans_and_findings_not_of_deeds() -> None:
    def at(phase: Literal["started", "done", "failed"], operation: str, name: str) -> Step:
        return Step(phase, operation, URN.replace("assets", name), STEP.type)

    _, lines = told(
        at("started", "refresh", "a"),
        at("done", "refresh", "a"),
        at("started", "update", "a"),
        at("done", "update", "a"),
        at("done", "update", "b"),
        at("done", "delete", "c"),
        at("started", "same", "d"),
        at("done", "same", "d"),
        at("failed", "refresh", "e"),
    )
    assert [line.message.strip() for line in lines] == [
        "> aws:Bucket a reading",
        "~ aws:Bucket a planned",
        "~ aws:Bucket b differs",
        "- aws:Bucket c is gone",
        "aws:Bucket d unchanged",
        "> aws:Bucket e failed",
    ]
    assert lines[-1].level is ProgressLevel.ERROR


def test_the_steps_of_a_replacement_count_once() -> None:
    steps = [Step("done", name, URN, STEP.type) for name in ("create-replacement", "replace", "delete-replaced")]
    _, lines = told(*steps, total=1)
    assert {line.done for line in lines} == {1}


def test_what_is_only_read_does_not_count() -> None:
    read = Step("done", "read", URN, STEP.type)
    _, lines = told(read, Step("done", "discard", URN, STEP.type), total=1)
    assert [line.done for line in lines] == [0], "and to forget it is not worth a line"


def test_a_preview_that_starts_again_drops_what_it_has_said() -> None:
    journal, lines = told(STEP, Diagnostic("warning", "w"), Restarted(("organization/base/live",)), STEP)
    assert journal.steps == [STEP]
    assert journal.diagnostics == []
    assert "organization/base/live" in lines[-2].message


def test_the_state_comes_in_parts_and_both_sides_of_a_replacement_count() -> None:
    journal, _ = told(
        State((Recorded(URN, ignored_paths=("a",)),), cut_short=("urn:x",)),
        State((Recorded(URN, ignored_paths=("a", "b")), Recorded("urn:vpc", external=True))),
    )
    assert journal.recorded[URN].ignored_paths == ("a", "b")
    assert journal.managed() == {URN}
    assert journal.cut_short == ("urn:x",)


def test_progress_shows_no_secret_and_keeps_the_severity() -> None:
    _, lines = told(Diagnostic("warning", "token is hunter2hunter2"), secrets=("hunter2hunter2",))
    assert [(line.level, "hunter2" in line.message) for line in lines] == [(ProgressLevel.WARNING, False)]


def test_outputs_come_from_the_last_event_about_the_stack() -> None:
    kind = "pulumi:pulumi:Stack"
    first = Step("done", "same", STACK_URN, kind, after=Snapshot(outputs={"url": "old"}))
    refresh = Step("done", "refresh", STACK_URN, kind, after=Snapshot(outputs={"url": "refreshed"}))
    last = Step("done", "same", STACK_URN, kind, after=Snapshot(outputs={"url": "new"}))
    journal, _ = told(first, last, refresh)
    assert journal.stack_outputs() == {"url": "new"}


@pytest.mark.parametrize(
    ("token", "short"),
    [
        ("pulumi-python:dynamic/aws:Bucket", "aws:Bucket"),
        ("pulumi-python:dynamic:Thing", "Thing"),
        ("aws:s3/bucket:Bucket", "aws:s3:Bucket"),
        ("random:index/randomId:RandomId", "random:index:RandomId"),
        ("my:Component", "my:Component"),
    ],
)
def test_types_read_short(token: str, short: str) -> None:
    assert short_type(token) == short
