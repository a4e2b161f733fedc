"""The audit flow and the audit of a provision: what is looked at, what it ends in, and what it leaves behind."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.schemas.objects import StateType

from flows.audit import audit
from flows.provision import provision
from holdtrue.core.audit_output.json_report import AuditDocument
from holdtrue.errors import AccessDenied, RejectedError, ResourceMissing, ServiceUnreachable
from holdtrue.models.dependency import Dependency, Gap, Inventory
from holdtrue.testing import FakeAdvisorySource, FakeStackEngine
from tasks import audit_documents
from tests.flows.conftest import OUTPUTS, FakeTools
from tests.flows.runs import artifacts_of, end_of, write_artifact

APP = "app/requirements.txt"
FLAW = {"demo-yamlish": ("PYSEC-2099-1",)}


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The events about new findings."""
    emitted: list[dict[str, Any]] = []
    monkeypatch.setattr(audit_documents, "emit_event", lambda **event: emitted.append(event))
    return emitted


@pytest.fixture(autouse=True)
def _nothing_known_before(fleet: Path) -> None:
    edit(fleet, worker=False)


def edit(fleet: Path, name: str = "demo", **audit_section: object) -> None:
    path = fleet / "environments" / f"{name}.yaml"
    manifest = yaml.safe_load(path.read_text())
    manifest["audit"] = manifest.get("audit", {}) | audit_section
    path.write_text(yaml.safe_dump(manifest, sort_keys=False))


def add_environment(fleet: Path, name: str, **audit_section: object) -> None:
    manifest = yaml.safe_load((fleet / "environments" / "demo.yaml").read_text())
    manifest |= {"name": name, "audit": {"worker": False, **audit_section}}
    (fleet / "environments" / f"{name}.yaml").write_text(yaml.safe_dump(manifest, sort_keys=False))


def affects(tools: FakeTools, *names: str) -> None:
    tools.advisories = (FakeAdvisorySource({name: (f"PYSEC-{name}",) for name in names}),)


def source(tools: FakeTools) -> FakeAdvisorySource:
    assert isinstance(tools.advisories, tuple)
    return tools.advisories[0]


def asked(tools: FakeTools) -> list[str]:
    return [pin.name for pins in source(tools).asked for pin in pins]


@pytest.mark.usefixtures("tools")
def test_clean_with_every_document(tmp_path: Path) -> None:
    state = end_of(audit)

    assert (state.name, state.type) == ("Clean", StateType.COMPLETED)
    assert set(artifacts_of(state)) == {"audit-report", "audit-sbom", "audit-findings"}
    (folder,) = (tmp_path / "reports").iterdir()
    assert {path.name for path in folder.iterdir()} == {"audit.json", "sbom.cdx.json", "audit.html"}
    assert len(json.loads((folder / "sbom.cdx.json").read_text())["components"]) == 4
    assert "4 components" in artifacts_of(state)["audit-sbom"]
    document = AuditDocument.model_validate_json((folder / "audit.json").read_text())
    assert (document.verdict, document.counts.audited, document.findings) == ("clean", 4, ())


def test_the_worker_is_looked_at_when_the_manifest_says_so(tools: FakeTools, fleet: Path) -> None:
    edit(fleet, worker=True)

    report = audit()

    assert [item.label for item in report.inventories] == [APP, "worker"]
    assert "prefect" in asked(tools)


def test_a_fleet_is_one_batch_that_names_everything_once(tools: FakeTools, fleet: Path) -> None:
    add_environment(fleet, "other", requirements=["./app/requirements.txt", "app/more.txt"], projects=["app"])
    (fleet / "app" / "more.txt").write_text("demo-yamlish==1.0.0\ndemo-more==1.0\n")

    report = audit()

    assert [item.label for item in report.inventories] == [APP, "app/more.txt"]
    assert len(source(tools).asked) == 1
    assert sorted(asked(tools)) == sorted({*asked(tools)})
    assert "demo-more" in asked(tools)


def test_every_source_is_asked_and_names_what_it_found(tools: FakeTools) -> None:
    tools.advisories = (FakeAdvisorySource(FLAW, name="one"), FakeAdvisorySource(FLAW, name="two"))

    report = audit()

    assert [item.sources for item in report.findings] == [("one", "two")]


def test_findings_win_over_what_could_not_be_read_and_both_are_told(tools: FakeTools, fleet: Path) -> None:
    (fleet / "app" / "uv.lock").write_text("not toml [")
    edit(fleet, requirements=[APP, "app/uv.lock"])
    affects(tools, "demo-yamlish")

    state = end_of(audit)

    assert (state.name, state.type) == ("Vulnerable", StateType.COMPLETED)
    assert "demo-yamlish 1.0.0" in (state.message or "")
    report = artifacts_of(state)["audit-report"]
    assert "demo-yamlish" in report
    assert "app/uv.lock" in report


def empty(fleet: Path) -> None:
    (fleet / "app" / "requirements.txt").write_text("")


def repository(fleet: Path) -> None:
    (fleet / "app" / "requirements.txt").write_text("demo==1.0\ngit+https://h.example/x#egg=x\n")


def damaged(fleet: Path) -> None:
    (fleet / "app" / "requirements.txt").write_bytes(b"\xff\x00\xff")


def project_without_files(fleet: Path) -> None:
    (fleet / "bare").mkdir()
    edit(fleet, projects=["bare"])


def broken_waivers(fleet: Path) -> None:
    (fleet / "waivers.yaml").write_text("- {id: X}")
    edit(fleet, waivers=["waivers.yaml"])


@pytest.mark.parametrize("spoil", [empty, repository, damaged, project_without_files, broken_waivers])
@pytest.mark.usefixtures("tools")
def test_what_could_not_be_looked_at_makes_it_incomplete(fleet: Path, spoil: Callable[[Path], None]) -> None:
    spoil(fleet)

    state = end_of(audit)

    assert (state.name, state.type) == ("Incomplete", StateType.FAILED)
    assert "not audited" in (state.message or "")


@pytest.mark.parametrize("error", [ServiceUnreachable("it is down"), RejectedError("no dump")], ids=str)
def test_a_source_that_fails_is_named_asked_once_and_hides_no_other(tools: FakeTools, error: Exception) -> None:
    failing = FakeAdvisorySource(failures=(error,), name="first")
    tools.advisories = (failing, FakeAdvisorySource())

    state = end_of(audit)

    assert (state.name, state.type) == ("Incomplete", StateType.FAILED)
    assert str(error) in (state.message or "")
    assert len(failing.asked) == 1
    tools.advisories = (failing, FakeAdvisorySource(FLAW))
    assert end_of(audit).name == "Vulnerable"


def test_settings_without_a_usable_source_are_incomplete(tools: FakeTools, fleet: Path) -> None:
    tools.advisories = RejectedError("HOLDTRUE_AUDIT_SOURCES has osv-db, and no dump is named")

    assert end_of(audit).name == "Incomplete"
    assert end_of(provision, "demo").name == "Provisioned"
    edit(fleet, blocks_provision=True)
    assert end_of(provision, "demo").name == "AuditFailed"


WAIVER = "- {id: PYSEC-demo-yamlish, reason: not reachable, owner: sre, expires: 2999-01-01}\n"


def test_an_environment_tolerates_for_itself_only(tools: FakeTools, fleet: Path) -> None:
    affects(tools, "demo-yamlish")
    (fleet / "waivers.yaml").write_text(WAIVER)
    edit(fleet, waivers=["waivers.yaml"])

    assert end_of(audit).name == "Clean"
    add_environment(fleet, "other", requirements=[APP])
    assert end_of(audit).name == "Vulnerable"
    edit(fleet, "other", policy={"only_fixable": True})
    report = audit()
    assert [item.tolerated for item in report.findings] == [
        "demo: waived by sre until 2999-01-01; other: no version mends it"
    ]
    assert [use.state for use in report.waivers] == ["used"]


def test_own_packages_are_nobody_elses_business(tools: FakeTools, fleet: Path) -> None:
    (fleet / "app" / "requirements.txt").write_text("acme-core==1.0\ndemo==1.0\n")
    edit(fleet, internal=["acme-*"])

    assert end_of(audit).name == "Incomplete"
    assert asked(tools) == ["demo"]


HOST = "demo/hosts/web-1:/srv/app"


def holding(*names: str, gaps: Sequence[Gap] = ()) -> Inventory:
    return Inventory(HOST, "installed", tuple(Dependency(name, "1.0") for name in names), tuple(gaps))


def test_what_is_installed_on_hosts_is_in_the_same_batch(tools: FakeTools, fleet: Path) -> None:
    edit(fleet, hosts=True)
    tools.host_inventories = (holding("demo-remote"),)
    affects(tools, "demo-remote")

    report = audit()

    assert [item.label for item in report.inventories] == [APP, HOST]
    assert [place.inventory for item in report.findings for place in item.occurrences] == [HOST]
    assert len(source(tools).asked) == 1


@pytest.mark.parametrize("error", [ResourceMissing("no such stack"), AccessDenied("denied")], ids=str)
def test_hosts_that_cannot_be_asked_are_a_gap_and_hide_no_file(tools: FakeTools, fleet: Path, error: Exception) -> None:
    edit(fleet, hosts=True)
    tools.engine = FakeStackEngine(stack_outputs=(error,))

    state = end_of(audit)

    assert state.name == "Incomplete"
    assert str(error) in (state.message or "")
    affects(tools, "demo-yamlish")
    assert end_of(audit).name == "Vulnerable"


def test_hosts_are_not_asked_unless_the_manifest_says_so(tools: FakeTools) -> None:
    end_of(audit)

    assert tools.engine.calls == []


def test_new_known_and_fixed_since_the_last_audit(tools: FakeTools, fleet: Path, events: list[dict[str, Any]]) -> None:
    write_artifact("audit-findings", "nothing that an audit wrote")
    affects(tools, "demo-yamlish")
    first = end_of(audit)
    assert "not compared" in (first.message or "")
    assert [event["payload"]["package"] for event in events] == ["demo-yamlish"]
    events.clear()

    again = end_of(audit)
    assert "0 new, 1 known, 0 fixed" in (again.message or "")
    assert events == []

    (fleet / "app" / "requirements.txt").write_text("demo-other==1.0\ndemo-yamlish==9.0\n")
    affects(tools, "demo-other")
    mended = end_of(audit)
    assert "1 new, 0 known, 1 fixed" in (mended.message or "")
    assert "demo-yamlish 1.0.0" in artifacts_of(mended)["audit-report"]
    assert [event["payload"]["package"] for event in events] == ["demo-other"]


def test_what_was_out_of_sight_is_known_when_it_is_seen_again(tools: FakeTools, events: list[dict[str, Any]]) -> None:
    affects(tools, "demo-yamlish")
    end_of(audit)
    tools.advisories = (FakeAdvisorySource(failures=(ServiceUnreachable("down"),)),)
    blind = end_of(audit)
    assert "1 not looked at" in (blind.message or "")
    events.clear()

    affects(tools, "demo-yamlish")
    assert "0 new, 1 known, 0 fixed" in (end_of(audit).message or "")
    assert events == []


def test_events_are_bounded_and_tolerated_findings_have_none(
    tools: FakeTools, fleet: Path, events: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"demo-{number}" for number in range(120)]
    (fleet / "app" / "requirements.txt").write_text("".join(f"{name}==1.0\n" for name in names))
    affects(tools, *names)
    write_artifact("audit-findings", "unreadable")

    assert end_of(audit).name == "Vulnerable"

    assert len(events) == 100
    assert "20 more new findings" in caplog.text
    events.clear()
    write_artifact("audit-findings", "unreadable")
    edit(fleet, policy={"only_fixable": True})
    assert end_of(audit).name == "Clean"
    assert events == []


def test_a_provision_warns_and_goes_on(tools: FakeTools) -> None:
    affects(tools, "demo-yamlish")

    state = end_of(provision, "demo")

    assert state.name == "Provisioned"
    report = state.result()
    assert (report.audit.verdict, report.audit.counts.findings) == ("vulnerable", 1)
    assert "demo-yamlish 1.0.0" in artifacts_of(state)["provision-report"]
    assert "audit-findings" not in artifacts_of(state)


@pytest.mark.parametrize(
    ("advisories", "named"),
    [
        (FakeAdvisorySource(FLAW), "demo-yamlish 1.0.0"),
        (FakeAdvisorySource(failures=(ServiceUnreachable("it is down"),)), "it is down"),
    ],
    ids=["vulnerable", "incomplete"],
)
def test_a_provision_is_stopped_before_anything_changes_where_the_manifest_says_so(
    tools: FakeTools, fleet: Path, advisories: FakeAdvisorySource, named: str
) -> None:
    edit(fleet, blocks_provision=True)
    tools.advisories = (advisories,)

    state = end_of(provision, "demo")

    assert (state.name, state.type) == ("AuditFailed", StateType.FAILED)
    assert named in (state.message or "")
    assert tools.engine.calls == []
    tools.advisories = (FakeAdvisorySource(),)
    assert end_of(provision, "demo").name == "Provisioned"


def test_a_provision_looks_at_its_own_environment_only(tools: FakeTools, fleet: Path) -> None:
    (fleet / "app" / "more.txt").write_text("demo-more==1.0\n")
    add_environment(fleet, "other", requirements=["app/more.txt"])

    end_of(provision, "demo")

    assert "demo-more" not in asked(tools)


@pytest.mark.parametrize(
    "outputs",
    [ResourceMissing("no stack 'demo'"), OUTPUTS.model_copy(update={"values": {}})],
    ids=["no stack", "no output"],
)
def test_a_first_provision_has_no_hosts_to_audit_which_is_said_and_no_gap(
    tools: FakeTools, fleet: Path, outputs: Any
) -> None:
    edit(fleet, hosts=True, blocks_provision=True)
    tools.engine = FakeStackEngine(stack_outputs=(outputs, OUTPUTS))

    state = end_of(provision, "demo")

    assert state.name == "Provisioned"
    assert (state.result().audit.verdict, len(state.result().audit.notes)) == ("clean", 1)
    assert "no host was audited" in artifacts_of(state)["provision-report"]


def test_a_later_provision_audits_its_hosts(tools: FakeTools, fleet: Path) -> None:
    edit(fleet, hosts=True)
    tools.host_inventories = (holding("demo-remote", gaps=[Gap("/opt", "permission denied")]),)

    state = end_of(provision, "demo")

    assert state.result().audit.verdict == "incomplete"
    assert "permission denied" in state.result().audit.line


def test_hosts_that_a_provision_cannot_ask_are_a_gap_and_asked_for_once(tools: FakeTools, fleet: Path) -> None:
    edit(fleet, hosts=True)
    tools.engine = FakeStackEngine(stack_outputs=(AccessDenied("denied"), OUTPUTS))

    state = end_of(provision, "demo")

    assert state.name == "Provisioned"
    assert (state.result().audit.verdict, state.result().audit.notes) == ("incomplete", ())
    assert "denied" in state.result().audit.line
    assert tools.engine.calls == ["outputs", "preview", "apply"]
