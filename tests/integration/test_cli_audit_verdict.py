"""`holdtrue audit`: what its exit code and its verdict say, above all when something was not looked at."""

import subprocess
import sys

import pytest

from tests.integration.audit_desk import CLEAN, INCOMPLETE, THE_FINDING, VULNERABLE, Desk, desk, server
from tests.integration.osv_fault_server import Fault, FaultServer

__all__ = ["desk", "server"]


def test_a_clean_audit_ends_with_zero(desk: Desk) -> None:
    desk.file("requirements.txt", "demo-b==2.0\n")

    ended = desk.audit("--osv-db", "dump.jsonl")

    assert (ended.code, ended.document.verdict, ended.err) == (CLEAN, "clean", "")
    assert (ended.document.counts.audited, ended.document.counts.not_audited) == (1, 0)


def test_a_finding_ends_with_one(desk: Desk) -> None:
    ended = desk.audit("--osv-db", "dump.jsonl")

    assert (ended.code, ended.document.verdict, ended.err) == (VULNERABLE, "vulnerable", "")
    (item,) = ended.document.findings
    assert (item.package, item.version, item.id, item.aliases) == ("demo-a", "1.0", "PYSEC-2099-1", ("CVE-2099-1",))
    assert (item.fixed_in, item.sources, item.severity) == (("9.0",), ("osv-db",), "unknown")
    assert ended.document.counts.audited == 2


def test_findings_win_over_gaps_and_both_are_told(desk: Desk, server: FaultServer) -> None:
    server.faults = [Fault(".*", body=b"<html>log in</html>")]
    desk.file("requirements.txt", "demo-a==1.0\ndemo-b>=2\n")

    ended = desk.audit("--osv-db", "dump.jsonl", "--osv-url", server.url)

    assert (ended.code, ended.found) == (VULNERABLE, THE_FINDING)
    assert {item.name for item in ended.document.not_audited} == {"osv", "demo-b"}
    assert [bool(source.failure) for source in ended.document.sources] == [False, True]


def test_a_pin_below_a_comment_that_ends_in_a_backslash_is_found(desk: Desk) -> None:
    desk.file("requirements.txt", "demo-b==2.0 # comment \\\ndemo-a==1.0\n")

    ended = desk.audit("--osv-db", "dump.jsonl")

    assert (ended.code, ended.found) == (VULNERABLE, THE_FINDING)
    assert [item.name for item in ended.document.not_audited] == ["line 1"]


def test_a_uv_lock_that_is_cut_before_its_project_is_not_clean(desk: Desk) -> None:
    package = '[[package]]\nname = "{}"\nversion = "2.0"\nsource = {{ {} }}\n'
    registry = 'registry = "https://pypi.org/simple"'
    whole = "version = 1\n" + package.format("demo-b", registry) + "\n" + package.format("zoo", 'virtual = "."')
    desk.file("whole/uv.lock", whole)
    desk.file("cut/uv.lock", whole.partition("\n\n")[0])

    endings = [desk.run("--project", name, "--osv-db", "dump.jsonl").code for name in ("whole", "cut")]

    assert endings == [CLEAN, INCOMPLETE]


@pytest.mark.parametrize("text", ["", "# nothing\n\n", "--index-url https://index.example/simple\n"])
def test_nothing_checked_is_never_clean(desk: Desk, text: str) -> None:
    desk.file("requirements.txt", text)

    ended = desk.audit("--osv-db", "dump.jsonl")

    assert (ended.code, ended.document.verdict, ended.document.counts.audited) == (INCOMPLETE, "incomplete", 0)
    assert ended.document.not_audited


def test_an_environment_that_cannot_be_listed_hides_no_finding(desk: Desk) -> None:
    ended = desk.audit("--osv-db", "dump.jsonl", "--environment", "absent")

    assert (ended.code, ended.found) == (VULNERABLE, THE_FINDING)
    assert [(item.name, item.inventory) for item in ended.document.not_audited] == [("absent", "absent")]


def test_a_project_without_files_is_never_clean(desk: Desk) -> None:
    (desk.folder / "empty").mkdir()

    ended = desk.run("--project", "empty", "--osv-db", "dump.jsonl", "--json")

    assert ended.code == INCOMPLETE
    assert [item.name for item in ended.document.not_audited] == ["empty"]


def test_what_is_not_pinned_is_listed(desk: Desk) -> None:
    desk.file("requirements.txt", "demo-b==2.0\ndemo-a>=1\ngit+https://host.example/demo-c\n")

    ended = desk.audit("--osv-db", "dump.jsonl")

    assert ended.code == INCOMPLETE
    assert (ended.document.counts.audited, ended.document.counts.not_audited) == (1, 2)
    assert "demo-a" in {item.name for item in ended.document.not_audited}
    assert all(item.reason for item in ended.document.not_audited)


def test_what_cannot_be_resolved_now_hides_no_finding(desk: Desk) -> None:
    desk.file("requirements.txt", "--index-url http://127.0.0.1:1/simple\ndemo-a==1.0\ndemo-b>=2\n")
    desk.settings = {"UV_HTTP_RETRIES": "0", "UV_OFFLINE": "1"}

    ended = desk.audit("--osv-db", "dump.jsonl", "--resolve")

    assert (ended.code, ended.found) == (VULNERABLE, THE_FINDING)
    assert {item.name for item in ended.document.not_audited} == {"requirements.txt", "demo-b"}


def test_it_works_without_prefect(desk: Desk) -> None:
    code = (
        "import sys; sys.modules['prefect'] = None; import holdtrue.cli as c; "
        "sys.exit(c.main(['audit', '-r', 'requirements.txt', '--osv-db', 'dump.jsonl']))"
    )
    child = subprocess.run(
        [sys.executable, "-c", code],
        check=False, capture_output=True, text=True, timeout=30, cwd=desk.folder, env=desk.environment,
    )  # fmt: skip

    assert (child.returncode, child.stderr) == (VULNERABLE, "")
    assert child.stdout.startswith("vulnerable: 1 finding that count")
