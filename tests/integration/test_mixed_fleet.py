"""Three environments of different shape in one fleet: provisioned twice, checked for drift, audited."""

import json
from collections.abc import Iterator

import pytest

from flows.audit import audit
from flows.drift import drift
from flows.provision import provision
from flows.validate import validate
from holdtrue.models.audit_changes import FleetAudit
from holdtrue.models.drift import DriftReport, DriftVerdict
from holdtrue.models.report import ProvisionReport
from sandbox import Sandbox
from sandbox.deployment import save_blocks
from sandbox.hosts import SshHost
from tests.integration.flow_evidence import holders, nothing_left
from tests.integration.flow_stage import EndedRun, Stage, open_stage
from tests.integration.mixed_fleet import LISTENERS, NAMES, QUEUES, REASON, TOKEN, keep_token, write_mixed_fleet


@pytest.fixture(scope="module")
def mixed(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    fleet = write_mixed_fleet(tmp_path_factory.mktemp("mixed") / "fleet", sandbox)
    with open_stage(sandbox, fleet) as stage:
        keep_token(sandbox)
        save_blocks(sandbox)
        yield stage


@pytest.fixture(scope="module")
def first(mixed: Stage) -> dict[str, EndedRun]:
    """The first provision of each: `app` after `network`, whose output it reads."""
    return {name: mixed.run(provision, name) for name in NAMES}


def files(host: SshHost, prefix: str) -> dict[str, str]:
    return {path.name: path.read_text() for path in host.world.glob(f"{prefix}-*.txt")}


def test_each_is_provisioned(mixed: Stage, first: dict[str, EndedRun]) -> None:
    for run in first.values():
        mixed.require(run, "Provisioned")
    one, two = mixed.sandbox.hosts
    assert files(one, "network") == {"network-role.txt": "routing", "network-collection.txt": "routing"}
    assert files(two, "network") == {}
    written = {f"app-{name}.txt": f"{it['port']} {'+'.join(it['names'])}" for name, it in LISTENERS.items()}
    assert files(two, "app") == written
    for host in (one, two):
        found = files(host, "jobs")
        assert (found["jobs-token.txt"], json.loads(found["jobs-queues.txt"])) == (TOKEN, QUEUES)


def test_what_one_stack_says_reaches_the_other(first: dict[str, EndedRun]) -> None:
    report = first["app"].result
    assert isinstance(report, ProvisionReport)
    assert "inside 10.20.0.0/16" in report.model_dump_json()


def test_the_missing_tests_are_told_with_their_reason(mixed: Stage, first: dict[str, EndedRun]) -> None:
    assert holders(mixed.texts(first["jobs"]), lambda text: REASON in text)
    of_another = {
        name: text for name, text in mixed.texts(first["app"]).items() if name != "spans"
    }  # Those of all runs.
    assert not holders(of_another, lambda text: REASON in text)
    for run in (mixed.run(validate, "jobs"), mixed.run(drift, ["jobs"])):
        pages = {name: text for name, text in mixed.texts(run).items() if name.startswith("artifact")}
        assert holders(pages, lambda text: REASON in text)
        assert REASON in run.result.model_dump_json()


def test_the_token_is_nowhere(mixed: Stage, first: dict[str, EndedRun]) -> None:
    texts = mixed.texts(first["jobs"])
    for part in (TOKEN, "not-a-template"):
        assert [name for name, text in texts.items() if part in text] == []
    assert holders(texts, lambda text: "Write the token" in text), "the search sees the task that writes it"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("first")
def test_the_second_time_nothing_changes(mixed: Stage, name: str) -> None:
    with nothing_left(mixed.sandbox, state_may_change=True):
        mixed.require(mixed.run(provision, name), "Unchanged")


@pytest.mark.usefixtures("first")
def test_nothing_changes_where_nothing_may(mixed: Stage) -> None:
    mixed.fleet.edit_manifest("app", policy={"max_changes": 0})
    try:
        mixed.require(mixed.run(provision, "app"), "Unchanged")
    finally:
        mixed.fleet.edit_manifest("app", policy={"max_changes": 20})


@pytest.mark.usefixtures("first")
def test_the_fleet_is_in_sync(mixed: Stage) -> None:
    with nothing_left(mixed.sandbox):
        run = mixed.run(drift)
    mixed.require(run, "InSync")
    report = run.result
    assert isinstance(report, DriftReport)
    assert {seen.environment: seen.verdict for seen in report.environments} == dict.fromkeys(
        NAMES, DriftVerdict.IN_SYNC
    )
    assert "It only reads" in report.model_dump_json(), "the accepted gap stays listed"


@pytest.mark.usefixtures("first")
def test_a_changed_file_is_drift_of_its_environment_only(mixed: Stage) -> None:
    (mixed.sandbox.hosts[1].world / "app-http.txt").write_text("changed")
    run = mixed.run(drift)
    report = run.result
    assert isinstance(report, DriftReport)
    assert run.name == "Drifted"
    assert {seen.environment for seen in report.environments if seen.verdict is DriftVerdict.DRIFTED} == {"app"}
    mixed.require(mixed.run(provision, "app"), "Provisioned")


@pytest.mark.usefixtures("first")
def test_the_fleet_is_audited(mixed: Stage) -> None:
    run = mixed.run(audit)
    mixed.require(run, "Vulnerable", "demo-yamlish")
    report = run.result
    assert isinstance(report, FleetAudit)
    assert [(finding.package, finding.occurrences[0].inventory) for finding in report.findings] == [
        ("demo-yamlish", "app/requirements.txt")
    ]
    assert [(item.name, item.origin) for item in report.not_audited] == [("our-own-library", "internal")]
    assert [item.label for item in report.inventories] == ["app/requirements.txt", "network/pylock.toml"]
