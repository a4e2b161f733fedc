"""Approval of a plan, by the form in the UI or by its digest: it binds what was seen, and counts once."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import PrefectHTTPStatusError
from pydantic import SecretStr

from flows.provision import provision
from holdtrue.adapters.ledger.approvals import SqlApprovals
from holdtrue.errors import ServiceUnreachable
from holdtrue.models.report import ProvisionReport
from holdtrue.models.stack import Operation, Plan, PlanPart, PropertyChange, ResourceChange
from holdtrue.runtime.redaction import SECRETS, register_secret
from holdtrue.testing import FakeStackEngine
from tasks.approval import starter_of
from tests.flows.conftest import OUTPUTS, FakeTools
from tests.flows.runs import artifacts_of, end_of, report_of


def delete_of(name: str, *, digest: str, state: str = "h1") -> Plan:
    urn = f"urn:pulumi:d::d::aws:Bucket::{name}"
    return Plan(
        stack="demo",
        changes=(
            ResourceChange(
                urn=urn,
                type="aws:Bucket",
                operation=Operation.DELETE,
                changes=(PropertyChange(path="acl", before="private", kind="delete"),),
            ),
        ),
        unchanged=1,
        digest=digest,
        parts={PlanPart.STATE: {urn: state}},
    )


DIGEST = "d1" * 32
MOVED_DIGEST = "d2" * 32
DELETE = delete_of("logs", digest=DIGEST)
MOVED = delete_of("logs", digest=MOVED_DIGEST, state="h2")


@pytest.fixture(params=[20])
def waiting_tools(request: pytest.FixtureRequest, tools: FakeTools, fleet: Path) -> FakeTools:
    manifest = fleet / "environments" / "demo.yaml"
    text = manifest.read_text()
    manifest.write_text(text.replace("policy:\n", f"policy:\n  approval_timeout_seconds: {request.param}\n"))
    tools.engine = FakeStackEngine(plans=(DELETE,), stack_outputs=(OUTPUTS,))
    return tools


@contextmanager
def person(answer: dict[str, Any]) -> Iterator[list[str]]:
    """Somebody who answers the first paused run; collects what the form told."""
    told: list[str] = []

    def answer_when_asked() -> None:
        paused = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PAUSED])))
        deadline = time.monotonic() + 20
        with get_client(sync_client=True) as client:
            while time.monotonic() < deadline:
                runs = client.read_flow_runs(flow_run_filter=paused)
                if runs and runs[0].state is not None:
                    keyset = runs[0].state.state_details.run_input_keyset or {}
                    # The form follows the state: for a moment there is a paused run without one.
                    try:
                        told.append(client._client.get(f"/flow_runs/{runs[0].id}/input/{keyset['description']}").text)
                    except PrefectHTTPStatusError:
                        continue
                    client.resume_flow_run(runs[0].id, run_input=answer)
                    return
                time.sleep(0.1)

    thread = threading.Thread(target=answer_when_asked)
    thread.start()
    try:
        yield told
    finally:
        thread.join()


def test_a_person_lets_the_plan_run(waiting_tools: FakeTools) -> None:
    with person({"approve": True, "approver": "sam", "reason": "planned"}) as told:
        state = end_of(provision, "demo")

    assert state.name == "Provisioned"
    assert waiting_tools.engine.applied == [DELETE]
    assert DIGEST in told[0]
    assert "logs" in told[0]


def test_a_person_refuses(waiting_tools: FakeTools) -> None:
    with person({"approve": False, "approver": "sam"}):
        state = end_of(provision, "demo")

    assert state.name == "ApprovalRequired"
    assert waiting_tools.engine.applied == []


@pytest.mark.parametrize("waiting_tools", [2], indirect=True)
def test_nobody_answers_in_time(waiting_tools: FakeTools) -> None:
    state = end_of(provision, "demo")

    assert state.name == "ApprovalRequired"
    assert waiting_tools.engine.applied == []


def test_a_plan_that_changes_while_a_person_thinks_is_not_applied(waiting_tools: FakeTools) -> None:
    waiting_tools.engine = FakeStackEngine(plans=(DELETE, MOVED), stack_outputs=(OUTPUTS,))
    with person({"approve": True, "approver": "sam"}):
        state = end_of(provision, "demo")

    assert state.name == "ApprovalRequired"
    assert "state changed: aws:Bucket logs" in (state.message or "")
    assert waiting_tools.engine.applied == []


@pytest.mark.usefixtures("waiting_tools")
def test_the_report_says_who_approved_and_that_nobody_has_proved_it() -> None:
    with person({"approve": True, "approver": "sam\n| forged", "reason": "planned"}):
        state = end_of(provision, "demo")

    approval = report_of(ProvisionReport, state).approval
    assert approval is not None
    assert approval.approver is not None
    assert (approval.approver.is_proved, approval.reason, approval.digest) == (False, "planned", DIGEST)
    assert approval.answered_at is not None
    page = artifacts_of(state)["provision-report-demo"]
    assert "unproved" in page
    assert "\n| forged" not in page


def test_the_form_shows_every_change_with_its_properties_and_no_secret(waiting_tools: FakeTools) -> None:
    secret = "v3ry-s3cret-t0ken"
    other = ResourceChange(
        urn="urn:pulumi:d::d::aws:Bucket::web\x1b[2J\n# forged | <script>",
        type="aws:Bucket",
        operation=Operation.UPDATE,
        changes=(
            PropertyChange(path="acl", before="private", after="public-read"),
            PropertyChange(path="key", before="x" * 390 + secret, after="[secret]"),
        ),
    )
    plan = DELETE.model_copy(update={"changes": (*DELETE.changes, other)})
    waiting_tools.engine = FakeStackEngine(plans=(plan,), stack_outputs=(OUTPUTS,))
    with SECRETS.open(), person({"approve": False, "approver": "sam"}) as told:
        register_secret(SecretStr(secret), name="canary")
        state = end_of(provision, "demo")

    for text in (json.loads(told[0]), artifacts_of(state)["plan-demo"]):
        assert all(shown in text for shown in ("logs", "acl", "private", "public-read", "secret"))
        hidden = (secret, secret[-8:], secret[:8], "\x1b", "\n# forged", "<script>")
        assert [piece for piece in hidden if piece in text] == []


def test_a_plan_too_large_for_the_form_says_what_is_left_out_and_where_it_is(waiting_tools: FakeTools) -> None:
    many = tuple(
        ResourceChange(urn=f"urn:pulumi:d::d::aws:Bucket::b{number}", type="aws:Bucket", operation=Operation.CREATE)
        for number in range(3000)
    )
    plan = DELETE.model_copy(update={"changes": (*many, *DELETE.changes)})
    waiting_tools.engine = FakeStackEngine(plans=(plan,), stack_outputs=(OUTPUTS,))
    with person({"approve": False, "approver": "sam"}) as told:
        state = end_of(provision, "demo")

    form = json.loads(told[0])
    assert len(form) < 50_000
    assert "logs" in form, "what needs an approval comes first"
    assert "rows are left out" in form
    assert "`plan-demo`" in form
    assert "b2999" in artifacts_of(state)["plan-demo"]


def test_a_digest_lets_one_run_pass_and_no_second(tools: FakeTools) -> None:
    tools.engine = FakeStackEngine(plans=(DELETE,), stack_outputs=(OUTPUTS,))
    asked = end_of(provision, "demo")
    assert f"approved_plan={DIGEST}" in (asked.message or "")
    used = end_of(provision, "demo", approved_plan=DIGEST)
    again = end_of(provision, "demo", approved_plan=DIGEST)

    assert [asked.name, used.name, again.name] == ["ApprovalRequired", "Provisioned", "ApprovalRequired"]
    assert "an approval counts once" in (again.message or "")
    assert len(tools.engine.applied) == 1
    approval = report_of(ProvisionReport, used).approval
    assert approval is not None
    assert approval.used_by == str(used.state_details.flow_run_id)


def test_a_digest_that_no_run_has_asked_for_is_refused(tools: FakeTools) -> None:
    tools.engine = FakeStackEngine(plans=(DELETE,), stack_outputs=(OUTPUTS,))
    assert end_of(provision, "demo", approved_plan=DIGEST).name == "ApprovalRequired"
    assert tools.engine.applied == []


def test_a_digest_of_another_environment_is_refused(tools: FakeTools, fleet: Path) -> None:
    manifest = fleet / "environments" / "demo.yaml"
    (fleet / "environments" / "twin.yaml").write_text(manifest.read_text().replace("name: demo", "name: twin"))
    tools.engine = FakeStackEngine(plans=(DELETE,), stack_outputs=(OUTPUTS,))
    end_of(provision, "demo")
    state = end_of(provision, "twin", approved_plan=DIGEST)

    assert state.name == "ApprovalRequired"
    assert "environment demo" in (state.message or "")
    assert tools.engine.applied == []


def test_a_moved_state_is_named(tools: FakeTools) -> None:
    tools.engine = FakeStackEngine(plans=(DELETE, MOVED), stack_outputs=(OUTPUTS,))
    end_of(provision, "demo")
    state = end_of(provision, "demo", approved_plan=DIGEST)

    assert state.name == "ApprovalRequired"
    assert "state changed: aws:Bucket logs" in (state.message or "")
    assert f"approved_plan={MOVED_DIGEST}" in (state.message or "")
    assert tools.engine.applied == []


def test_an_expired_request_is_refused(tools: FakeTools, fleet: Path) -> None:
    manifest = fleet / "environments" / "demo.yaml"
    manifest.write_text(manifest.read_text().replace("policy:\n", "policy:\n  approval_expires_seconds: 1\n"))
    tools.engine = FakeStackEngine(plans=(DELETE,), stack_outputs=(OUTPUTS,))
    end_of(provision, "demo")
    time.sleep(2.1)
    state = end_of(provision, "demo", approved_plan=DIGEST)

    assert state.name == "ApprovalRequired"
    assert "expired at" in (state.message or "")
    assert tools.engine.applied == []


def test_what_the_ledger_cannot_record_is_not_approved(tools: FakeTools, monkeypatch: pytest.MonkeyPatch) -> None:
    tools.engine = FakeStackEngine(plans=(DELETE,), stack_outputs=(OUTPUTS,))
    end_of(provision, "demo")

    def away(*_: object, **__: object) -> None:
        raise ServiceUnreachable("could not record an approval in the ledger", where="db", next_step="start it.")

    monkeypatch.setattr(SqlApprovals, "use", away)
    state = end_of(provision, "demo", approved_plan=DIGEST)

    assert state.name == "Unavailable"
    assert "record an approval" in (state.message or "")
    assert tools.engine.applied == []


@pytest.mark.parametrize(
    ("kind", "is_cloud", "is_proved"),
    [(None, True, False), ("USER", True, True), ("USER", False, False), ("AUTOMATION", True, False)],
)
def test_only_a_user_of_prefect_cloud_is_proved(kind: str | None, is_cloud: bool, is_proved: bool) -> None:  # noqa: FBT001
    created_by = None if kind is None else {"type": kind, "display_value": "s\x1b[2J\nam"}
    run = FlowRun.model_validate({"flow_id": UUID(int=1), "created_by": created_by})
    found = starter_of(run, is_cloud=is_cloud)
    assert (found.name, found.is_proved) == ("" if kind is None else "s\ufffd[2J am", is_proved)
