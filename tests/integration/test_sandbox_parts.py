"""The sandbox's own decisions, without starting a service."""

import json
import os
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from packaging.version import Version
from pydantic import ValidationError

from sandbox import HostKind, Sandbox, SandboxError, SandboxOptions, Service, guardian, prefect_database
from sandbox.osv import ADVISORIES, _affects, _in_range, _normalised
from sandbox.otlp import parse_spans
from sandbox.sshd import unlocking
from sandbox.workplace import _base_environment


def process(pid: int, parent: int) -> guardian.FoundProcess:
    return guardian.FoundProcess(pid, float(pid), parent, f"p{pid}", (), {})


def pids(processes: Iterable[guardian.FoundProcess]) -> set[int]:
    return {found.pid for found in processes}


def test_options_refuse_hosts_without_their_authority_and_unknown_fields() -> None:
    with pytest.raises(ValidationError):
        SandboxOptions(services=frozenset({Service.HOSTS}))
    with pytest.raises(ValidationError):
        SandboxOptions(host_count=0)
    with pytest.raises(ValidationError):
        SandboxOptions.model_validate({"colour": "blue"})
    assert SandboxOptions().services == frozenset(Service)
    assert SandboxOptions(services=frozenset({Service.OPENBAO, Service.HOSTS})).hosts is HostKind.ROOTLESS


def test_sandbox_that_is_not_running_says_so() -> None:
    with pytest.raises(SandboxError, match="not running"):
        Sandbox().environment()


def test_isolated_hosts_are_refused_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.isolated.os.geteuid", lambda: 1000)
    with pytest.raises(SandboxError, match="root"):
        Sandbox(SandboxOptions(hosts=HostKind.ISOLATED)).start()


def test_descendants_follow_parents_and_survive_a_cycle() -> None:
    family = [process(10, 1), process(11, 10), process(12, 11), process(20, 1), process(30, 31), process(31, 30)]
    assert pids(guardian.descendants(10, family)) == {11, 12}
    assert pids(guardian.descendants(30, family)) == {31}
    assert pids(guardian.descendants(99, family)) == set()


def test_process_of_another_start_time_is_not_alive() -> None:
    now = next(found for found in guardian._running_processes() if found.pid == os.getppid())
    assert guardian.is_alive(now)
    earlier = guardian.FoundProcess(now.pid, now.started - 1, now.parent, now.name, now.command, now.environment)
    assert not guardian.is_alive(earlier)


def test_sshd_of_a_locked_root_gets_a_shadow_file_that_holds_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.sshd.os.geteuid", lambda: 0)
    monkeypatch.setattr("sandbox.sshd.current_user", lambda: "root")
    shadow = tmp_path / "real"
    shadow.write_text("root:*:1::::::\nsomeone:$y$hash:1::::::\n")
    assert unlocking(["sshd"], tmp_path, shadow=shadow) == ["sshd"]
    shadow.write_text("root:!:1::::::\nsomeone:$y$hash:1::::::\n")
    command = unlocking(["sshd"], tmp_path, shadow=shadow)
    assert (command[0], command[-1]) == ("unshare", "sshd")
    assert (tmp_path / "shadow").read_text().startswith("root:*:")
    assert "someone" not in (tmp_path / "shadow").read_text()


@given(st.uuids())
def test_bridge_name_fits_a_network_device_with_the_hosts_numbers(marker: object) -> None:
    assert len(f"{guardian.bridge_name(str(marker))}.50") <= 15


def test_foreign_settings_do_not_reach_the_services(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "AWS_PROFILE",
        "VAULT_TOKEN",
        "PREFECT_API_URL",
        "OTEL_SERVICE_NAME",
        "HOLDTRUE_SANDBOX",
        "PYTHONPATH",
    ):
        monkeypatch.setenv(name, "foreign")
    monkeypatch.setenv("LANG", "C.UTF-8")
    inside = _base_environment()
    assert "foreign" not in inside.values()
    assert inside["LANG"] == "C.UTF-8"
    assert "127.0.0.1" in inside["NO_PROXY"]


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        ("0.9", False),
        ("1.0.0", True),
        ("1.4.1", True),
        ("1.4.2", False),
        ("1.9", False),
        ("2.0.5", True),
        ("2.1.0", False),
    ],
)
def test_version_ranges_open_and_close(version: str, *, affected: bool) -> None:
    events = [{"introduced": "1.0.0"}, {"fixed": "1.4.2"}, {"introduced": "2.0.0"}, {"fixed": "2.1.0"}]
    assert _in_range(events, Version(version)) is affected


def test_last_affected_is_affected() -> None:
    events = [{"introduced": "0"}, {"last_affected": "3.2"}]
    assert _in_range(events, Version("3.2"))
    assert not _in_range(events, Version("3.2.1"))


def test_package_names_are_compared_normalised() -> None:
    affected = {"package": {"name": "Demo_Requets"}, "versions": ["1.0.0"]}
    assert _affects(affected, _normalised("demo.requets"), "1.0.0")
    assert not _affects(affected, _normalised("demo.requets"), "2.0.0")
    assert _affects(affected, _normalised("demo-requets"), None)


def test_advisories_are_invented() -> None:
    for path in ADVISORIES.glob("*.json"):
        advisory = json.loads(path.read_text())
        assert advisory["id"] == path.stem
        assert all(affected["package"]["name"].startswith("demo-") for affected in advisory["affected"])
        assert all("2099" in name or "-test-" in name for name in [advisory["id"], *advisory.get("aliases", [])])


def test_spans_are_parsed_with_every_kind_of_attribute() -> None:
    export = ExportTraceServiceRequest()
    scope = export.resource_spans.add().scope_spans.add()
    span = scope.spans.add(name="work", trace_id=b"\x01" * 16, span_id=b"\x02" * 8)
    for key, kind, value in (
        ("t", "string_value", "x"),
        ("b", "bool_value", True),
        ("i", "int_value", 3),
        ("d", "double_value", 0.5),
    ):
        setattr(span.attributes.add(key=key).value, kind, value)
    span.attributes.add(key="bytes").value.bytes_value = b"raw"
    (parsed,) = parse_spans(export.SerializeToString())
    assert (parsed.trace_id, parsed.span_id, parsed.parent_span_id) == ("01" * 16, "02" * 8, None)
    assert {key: parsed.attributes[key] for key in "tbid"} == {"t": "x", "b": True, "i": 3, "d": 0.5}
    assert parsed.service_name == ""
    with pytest.raises(DecodeError):
        parse_spans(b"\xff\xff")


def test_database_template_is_a_copy_and_optional(tmp_path: Path) -> None:
    old, new, folder = tmp_path / "old.db", tmp_path / "new.db", tmp_path / "templates"
    assert not prefect_database.start_from_template(new, folder)
    with closing(sqlite3.connect(old)) as database:
        database.execute("create table migrated (id)")
    prefect_database.keep_as_template(old, folder)
    assert prefect_database.start_from_template(new, folder)
    with closing(sqlite3.connect(new)) as database:
        assert database.execute("select name from sqlite_master").fetchall() == [("migrated",)]


def test_database_template_is_done_without_where_it_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with closing(sqlite3.connect(tmp_path / "old.db")) as database:
        database.execute("create table migrated (id)")
    prefect_database.keep_as_template(tmp_path / "old.db", tmp_path / "file" / "templates")
    assert {path.name for path in tmp_path.iterdir()} == {"file", "old.db"}
