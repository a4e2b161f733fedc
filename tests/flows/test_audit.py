"""The audit flow and the audit of a provision: what is looked at, what it ends in, and what it leaves behind."""

import base64
import gzip
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from subprocess import run
from typing import Any

import pytest
import yaml
from prefect.client.schemas.objects import State, StateType
from prefect.settings import PREFECT_API_URL
from pydantic import SecretStr

from flows.audit import audit
from flows.provision import provision
from holdtrue.core.audit_output.json_report import AuditDocument
from holdtrue.errors import AccessDenied, RejectedError, ResourceMissing, ServiceUnreachable
from holdtrue.models.audit_changes import EnvironmentAudit, FleetAudit
from holdtrue.models.dependency import Dependency, Gap, Inventory
from holdtrue.models.report import ProvisionReport
from holdtrue.runtime.redaction import SECRETS, register_secret
from holdtrue.testing import FakeAdvisorySource, FakeStackEngine
from tasks import audit_documents, audit_memory, sbom
from tests.flows.conftest import OUTPUTS, FakeTools
from tests.flows.runs import artifacts_of, descriptions_of, end_of, report_of, write_artifact

ROOT = Path(__file__).parents[2]
DOCUMENTED = ROOT / "docs" / "flows.md"
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


def kept_sbom(state: State[Any], key: str) -> Any:
    packed = artifacts_of(state)[key].split("```")[1]
    return json.loads(gzip.decompress(base64.b64decode(packed)))


def audited(state: State[Any]) -> EnvironmentAudit:
    """What a provision keeps of its audit."""
    audit_before = report_of(ProvisionReport, state).audit
    assert audit_before is not None
    return audit_before


def audited_fleet(flow: Callable[..., Any], *args: Any) -> FleetAudit:
    return report_of(FleetAudit, end_of(flow, *args))


@pytest.mark.usefixtures("tools")
def test_clean_with_every_document(tmp_path: Path) -> None:
    state = end_of(audit)

    assert (state.name, state.type) == ("Clean", StateType.COMPLETED)
    assert set(artifacts_of(state)) == {"audit-data", "audit-report", "audit-sbom", "audit-findings"}
    (folder,) = (tmp_path / "reports").iterdir()
    assert {path.name for path in folder.iterdir()} == {"audit.json", "sbom.cdx.json", "audit.html"}
    assert len(json.loads((folder / "sbom.cdx.json").read_text())["components"]) == 4
    assert "4 components" in artifacts_of(state)["audit-sbom"]
    assert kept_sbom(state, "audit-sbom") == json.loads((folder / "sbom.cdx.json").read_text())
    document = AuditDocument.model_validate_json((folder / "audit.json").read_text())
    assert (document.verdict, document.counts.audited, document.findings) == ("clean", 4, ())


def test_the_worker_is_looked_at_when_the_manifest_says_so(tools: FakeTools, fleet: Path) -> None:
    edit(fleet, worker=True)

    report = audited_fleet(audit)

    assert [item.label for item in report.inventories] == [APP, "worker"]
    assert "prefect" in asked(tools)


def test_a_fleet_is_one_batch_that_names_everything_once(tools: FakeTools, fleet: Path) -> None:
    add_environment(fleet, "other", requirements=["./app/requirements.txt", "app/more.txt"], projects=["app"])
    (fleet / "app" / "more.txt").write_text("demo-yamlish==1.0.0\ndemo-more==1.0\n")

    report = audited_fleet(audit)

    assert [item.label for item in report.inventories] == [APP, "app/more.txt"]
    assert len(source(tools).asked) == 1
    assert sorted(asked(tools)) == sorted({*asked(tools)})
    assert "demo-more" in asked(tools)


def test_every_source_is_asked_and_names_what_it_found(tools: FakeTools) -> None:
    tools.advisories = (FakeAdvisorySource(FLAW, name="one"), FakeAdvisorySource(FLAW, name="two"))

    report = audited_fleet(audit)

    assert [item.sources for item in report.findings] == [("one", "two")]


def test_findings_win_over_what_could_not_be_read_and_both_are_told(tools: FakeTools, fleet: Path) -> None:
    (fleet / "app" / "uv.lock").write_text("not toml [")
    edit(fleet, requirements=[APP, "app/uv.lock"])
    affects(tools, "demo-yamlish")

    state = end_of(audit)

    assert (state.name, state.type) == ("Vulnerable", StateType.FAILED)
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
    report = audited_fleet(audit)
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

    report = audited_fleet(audit)

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


def test_nothing_is_fixed_while_a_source_that_reported_it_is_down(
    tools: FakeTools, events: list[dict[str, Any]]
) -> None:
    write_artifact("audit-findings", "unreadable")
    tools.advisories = (FakeAdvisorySource(FLAW, name="osv"), FakeAdvisorySource(FLAW, name="pypi"))
    end_of(audit)
    events.clear()

    tools.advisories = (FakeAdvisorySource(failures=(ServiceUnreachable("down"),), name="osv"), silent("pypi"))
    assert "0 new, 0 known, 0 fixed, 1 not looked at" in (end_of(audit).message or "")

    tools.advisories = (FakeAdvisorySource(FLAW, name="osv"), silent("pypi"))
    assert "0 new, 1 known, 0 fixed since" in (end_of(audit).message or "")
    assert events == []


def silent(name: str) -> FakeAdvisorySource:
    return FakeAdvisorySource(name=name)


def waive(fleet: Path) -> None:
    (fleet / "waivers.yaml").write_text(WAIVER)
    edit(fleet, waivers=["waivers.yaml"])


def expire(fleet: Path) -> None:
    (fleet / "waivers.yaml").write_text(WAIVER.replace("2999", "1999"))


def judge_only(pattern: str) -> Callable[[Path], None]:
    return lambda fleet: edit(fleet, policy={"inventories": [pattern]})


@pytest.mark.parametrize(
    ("tolerate", "end"),
    [
        (waive, expire),
        (judge_only("nothing/*"), judge_only("*")),
    ],
    ids=["expired waiver", "stricter policy"],
)
def test_what_begins_to_count_is_named_and_announced_once(
    tools: FakeTools,
    fleet: Path,
    events: list[dict[str, Any]],
    tolerate: Callable[[Path], None],
    end: Callable[[Path], None],
) -> None:
    write_artifact("audit-findings", "unreadable")
    affects(tools, "demo-yamlish")
    tolerate(fleet)
    assert end_of(audit).name == "Clean"
    assert events == []

    end(fleet)
    state = end_of(audit)

    assert state.name == "Vulnerable"
    assert "0 new, 1 known (1 counts now that did not), 0 fixed" in (state.message or "")
    assert [(event["event"], event["payload"]["package"]) for event in events] == [
        ("holdtrue.audit.FindingCountsNow", "demo-yamlish")
    ]
    events.clear()
    assert "0 new, 1 known, 0 fixed" in (end_of(audit).message or "")
    assert events == []


def test_what_could_not_be_announced_is_announced_by_the_next_audit(
    tools: FakeTools, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_artifact("audit-findings", "unreadable")
    affects(tools, "demo-yamlish")

    def broken(**_: object) -> None:
        raise RuntimeError("no events to-day")

    monkeypatch.setattr(audit_documents, "emit_event", broken)
    assert end_of(audit).type is StateType.FAILED

    emitted: list[dict[str, Any]] = []
    monkeypatch.setattr(audit_documents, "emit_event", lambda **event: emitted.append(event))
    end_of(audit)
    assert [event["payload"]["package"] for event in emitted] == ["demo-yamlish"]


def test_a_part_of_the_fleet_does_not_replace_a_memory_that_could_not_be_asked_for(
    tools: FakeTools, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_artifact("audit-findings", "unreadable")
    affects(tools, "demo-yamlish")
    end_of(audit)

    def hang_up(**_: object) -> None:
        raise ConnectionError("no server for a moment")

    affects(tools)
    with monkeypatch.context() as broken:
        broken.setattr(audit_memory, "get_client", hang_up)
        end_of(audit, ["demo"])

    affects(tools, "demo-yamlish")
    assert "0 new, 1 known, 0 fixed since" in (end_of(audit).message or "")


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
    before = audited(state)
    assert before.counts is not None
    assert (before.verdict, before.counts.findings) == ("vulnerable", 1)
    assert "demo-yamlish 1.0.0" in artifacts_of(state)["provision-report-demo"]
    assert "audit-findings" not in artifacts_of(state)


@pytest.mark.usefixtures("tools")
def test_the_documented_command_gets_the_sbom_out_of_prefect(tmp_path: Path) -> None:
    state = end_of(audit)
    (command,) = (block for block in DOCUMENTED.read_text().split("\n```\n") if "artifact inspect audit-sbom" in block)
    prefect = {"PREFECT_API_URL": PREFECT_API_URL.value() or "", "PREFECT_HOME": str(tmp_path / "home")}
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"

    done = run(["sh", "-ec", command], env={"PATH": path, **prefect}, cwd=tmp_path, capture_output=True, check=False)

    assert (done.returncode, done.stderr) == (0, b"")
    document = json.loads((tmp_path / "sbom.cdx.json").read_text())
    assert document == kept_sbom(state, "audit-sbom")
    assert len(document["components"]) == 4


@pytest.mark.usefixtures("tools")
def test_an_sbom_that_is_too_large_for_an_artifact_says_which_file_holds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sbom, "LIMIT_BYTES", 100)

    text = artifacts_of(end_of(audit))["audit-sbom"]

    (written,) = (tmp_path / "reports").glob("*/sbom.cdx.json")
    assert written.parent.name in text
    assert "4 components" in text
    assert "```" not in text


@pytest.mark.usefixtures("tools")
def test_no_secret_hides_in_the_compressed_sbom(fleet: Path) -> None:
    (fleet / "app" / "requirements.txt").write_text("acme-hunter2hunter2==1.0\n")
    with SECRETS.open():
        register_secret(SecretStr("hunter2hunter2"), name="test")
        state = end_of(audit)

    assert "hunter2hunter2" not in json.dumps(kept_sbom(state, "audit-sbom"))
    assert "acme-" in json.dumps(kept_sbom(state, "audit-sbom"))


HOSTILE = "\x1b[31m<img src=x onerror=alert(1)> ![x](http://evil.example/p.png) ##vso[task.complete]"


@pytest.mark.parametrize("flow", [audit, provision], ids=["audit", "provision"])
def test_hostile_text_of_a_source_is_plain_in_message_and_artifacts(
    tools: FakeTools, fleet: Path, flow: Callable[..., Any]
) -> None:
    edit(fleet, blocks_provision=True)
    tools.advisories = (FakeAdvisorySource(failures=(ServiceUnreachable(HOSTILE),)),)

    state = end_of(flow, ["demo"] if flow is audit else "demo")

    assert state.type is StateType.FAILED
    assert "evil.example" in (state.message or "")
    for text in (
        state.message or "",
        *descriptions_of(state).values(),
        artifacts_of(state)[f"{flow.__name__}-report-demo"],
    ):
        assert "\x1b" not in text
        assert "##vso" not in text
    report = artifacts_of(state)[f"{flow.__name__}-report-demo"]
    for markdown in (report, descriptions_of(state)[f"{flow.__name__}-report-demo"]):
        assert "<img" not in markdown
        assert "![x](" not in markdown
        assert "evil.example" in markdown


def test_the_page_is_written_where_the_locale_is_ascii(tmp_path: Path) -> None:
    script = "from tasks.reports import save_report; print(save_report('audit.html', '\\u2603'))"
    env = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "HOLDTRUE_REPORTS": str(tmp_path)}

    done = run([sys.executable, "-c", script], env=env, cwd=ROOT, capture_output=True, check=True, text=True)

    assert Path(done.stdout.strip()).read_bytes() == "\u2603".encode()


def test_a_provision_keeps_its_sbom_apart_from_that_of_the_fleet(tools: FakeTools, tmp_path: Path) -> None:
    affects(tools, "demo-yamlish")

    state = end_of(provision, "demo")

    assert "audit-sbom" not in artifacts_of(state)
    kept = kept_sbom(state, "sbom-demo")
    assert [item["id"] for item in kept["vulnerabilities"]] == ["PYSEC-demo-yamlish"]
    (written,) = (tmp_path / "reports").glob("*/sbom.cdx.json")
    assert json.loads(written.read_text()) == kept
    assert "base64" not in artifacts_of(state)["provision-report-demo"]


def test_a_provision_that_its_audit_stops_keeps_the_sbom_that_shows_why(tools: FakeTools, fleet: Path) -> None:
    edit(fleet, blocks_provision=True)
    affects(tools, "demo-yamlish")

    state = end_of(provision, "demo")

    assert state.name == "AuditFailed"
    assert [item["id"] for item in kept_sbom(state, "sbom-demo")["vulnerabilities"]] == ["PYSEC-demo-yamlish"]


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
    assert (audited(state).verdict, len(audited(state).notes)) == ("clean", 1)
    assert "no host was audited" in artifacts_of(state)["provision-report-demo"]


def test_a_later_provision_audits_its_hosts(tools: FakeTools, fleet: Path) -> None:
    edit(fleet, hosts=True)
    tools.host_inventories = (holding("demo-remote", gaps=[Gap("/opt", "permission denied")]),)

    state = end_of(provision, "demo")

    assert audited(state).verdict == "incomplete"
    assert "permission denied" in audited(state).line


def test_hosts_that_a_provision_cannot_ask_are_a_gap_and_asked_for_once(tools: FakeTools, fleet: Path) -> None:
    edit(fleet, hosts=True)
    tools.engine = FakeStackEngine(stack_outputs=(AccessDenied("denied"), OUTPUTS))

    state = end_of(provision, "demo")

    assert state.name == "Provisioned"
    assert (audited(state).verdict, audited(state).notes) == ("incomplete", ())
    assert "denied" in audited(state).line
    assert tools.engine.calls == ["outputs", "preview", "apply"]
