"""`holdtrue audit`: what its options, its settings and its three streams are, and that none of them makes it lie.

Every run is a real process, for an end by a traceback would be 1, which says that something is vulnerable.
"""

import json
import os
import pty
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from holdtrue.core.audit_output.json_report import AuditDocument
from holdtrue.models.audit import AuditVerdict
from tests.integration.audit_desk import (
    BAD_INPUT,
    CLEAN,
    INCOMPLETE,
    SECRET,
    THE_FINDING,
    VULNERABLE,
    WAIVER,
    Desk,
    Ended,
    desk,
    server,
)
from tests.integration.osv_fault_server import Fault, FaultServer, advisory

__all__ = ["desk", "server"]

DEAD = "http://127.0.0.1:1"
HOSTILE = "##vso[task.complete result=Succeeded;]##[error]"
OF_ONE_BYTE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
FORMER = "the report of an earlier run\n"


def shell(desk: Desk, arguments: str, **settings: str) -> Ended:
    """With redirections, of requirements.txt."""
    done = subprocess.run(
        ["/bin/sh", "-c", f'"$PYTHON" -m holdtrue audit -r requirements.txt {arguments}'],
        check=False, capture_output=True, text=True, encoding="utf-8", timeout=60, cwd=desk.folder,
        env=desk.environment | {"PYTHON": sys.executable} | settings,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    return Ended(done.returncode, done.stdout, done.stderr)


def refused(ended: Ended) -> str:
    assert (ended.code, ended.out, ended.err.count("\n")) == (BAD_INPUT, "", 1)
    return ended.err


# Arguments.


@pytest.mark.parametrize("arguments", [("--foo", "ADDRESS"), ("ADDRESS",), ("--max-age-days", "ADDRESS")])
def test_a_password_among_wrong_arguments_is_not_repeated(desk: Desk, arguments: tuple[str, ...]) -> None:
    address = f"https://user:{SECRET}@host.example/x"
    given = [address if argument == "ADDRESS" else argument for argument in arguments]

    assert SECRET not in refused(desk.run("-r", "requirements.txt", "--osv-db", "dump.jsonl", *given))


@pytest.mark.parametrize(
    ("option", "first", "second"),
    [
        ("--osv-url", "URL", DEAD),
        ("--pypi-url", "URL", DEAD),
        ("--pip-audit-url", "URL", DEAD),
        ("--osv-db", "dump.jsonl", "other.jsonl"),
        ("--output", "one", "two"),
        ("--max-age-days", "1", "1e6"),
        ("--minimum-severity", "none", "critical"),
        ("--format", "table", "json"),
        ("--epss", "one", "two"),
        ("--kev", "one", "two"),
    ],
)
def test_no_value_takes_the_place_of_another(
    desk: Desk, server: FaultServer, option: str, first: str, second: str
) -> None:
    desk.dump(advisory("demo-z"), name="other.jsonl")
    source = () if option in {"--osv-db", "--osv-url"} else ("--osv-url", server.url)
    first = server.url if first == "URL" else first

    ended = desk.run("-r", "requirements.txt", *source, option, first, option, second)

    assert option in refused(ended)
    assert server.asked == []
    assert not (desk.folder / "one").exists()


def test_two_formats_are_no_format(desk: Desk) -> None:
    assert "--format" in refused(desk.audit("--osv-db", "dump.jsonl", "--format", "sarif"))
    assert desk.audit("--osv-db", "dump.jsonl", "--format", "json").code == VULNERABLE, "the same twice is no other"


def test_an_age_of_live_sources_is_refused(desk: Desk, server: FaultServer) -> None:
    assert "age" in refused(desk.audit("--osv-url", server.url, "--max-age-days", 1))
    assert server.asked == []

    desk.settings = {"HOLDTRUE_OSV_DB": "dump.jsonl"}
    assert desk.audit("--max-age-days", 1).found == THE_FINDING, "the settings may name the dump"


# Settings.


def test_a_dump_that_is_set_is_the_only_source_by_default(desk: Desk, server: FaultServer) -> None:
    live = {"HOLDTRUE_OSV_URL": server.url, "HOLDTRUE_PYPI_URL": server.url}
    desk.settings = live | {"HOLDTRUE_OSV_DB": "dump.jsonl", "HOLDTRUE_OSV_DB_MAX_AGE_DAYS": ""}
    by_dump = desk.audit()
    assert server.asked == []
    desk.settings = live | {"HOLDTRUE_OSV_DB": ""}
    without = desk.audit()
    desk.settings |= {"HOLDTRUE_OSV_DB": "dump.jsonl", "HOLDTRUE_AUDIT_SOURCES": '["osv"]'}
    told = desk.audit()
    desk.settings = live | {"holdtrue_osv_db": "dump.jsonl", "HOLDTRUE_AUDIT_SOURCES": ""}
    by_lower_case = desk.audit()

    ends = (by_dump, without, told, by_lower_case)
    assert [[source.name for source in ended.document.sources] for ended in ends] == [
        ["osv-db"], ["osv", "pypi"], ["osv"], ["osv-db"],
    ]  # fmt: skip
    assert (by_dump.code, by_dump.found) == (VULNERABLE, THE_FINDING)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("HOLDTRUE_AUDIT_SOURCES", "osv"),
        ("HOLDTRUE_AUDIT_SOURCES", '["osv"'),
        ("HOLDTRUE_AUDIT_SOURCES", "[]"),
        ("HOLDTRUE_CACHE", "~no-such-user/cache"),
    ],
)
def test_a_wrong_setting_is_named(desk: Desk, name: str, text: str) -> None:
    desk.settings = {name: text, "HOLDTRUE_OSV_DB": "dump.jsonl"}

    assert name in refused(desk.audit("--osv-db", "dump.jsonl"))


# Streams.


@pytest.mark.parametrize("form", ["table", "json", "html"])
@pytest.mark.parametrize("lost", [">/dev/full", ">&-"])
def test_a_report_that_nobody_gets_is_said(desk: Desk, lost: str, form: str) -> None:
    desk.file("requirements.txt", "demo-b==2.0\n")

    assert "standard output" in refused(shell(desk, f"--osv-db dump.jsonl --format {form} {lost}"))


@pytest.mark.parametrize("lost", ["2>/dev/full", "2>&-"])
def test_a_complaint_that_nobody_gets_changes_nothing(desk: Desk, lost: str) -> None:
    incomplete = shell(desk, f"--json --osv-url {DEAD} {lost}")

    assert (incomplete.code, incomplete.document.verdict) == (INCOMPLETE, AuditVerdict.INCOMPLETE)
    assert shell(desk, f"--osv-db absent.jsonl {lost}").code == BAD_INPUT
    assert shell(desk, f"--no-such-option {lost}").code == BAD_INPUT


@pytest.mark.parametrize("setting", [OF_ONE_BYTE, {"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}])
def test_a_stream_that_cannot_hold_a_text_gets_the_report(desk: Desk, setting: dict[str, str]) -> None:
    desk.dump(advisory("demo-a", summary="h\N{LATIN SMALL LETTER E WITH ACUTE}llo \N{SNOWMAN}"))
    desk.settings = setting

    table = shell(desk, "--osv-db dump.jsonl | iconv -f latin1 -t utf8")
    page = desk.run("-r", "requirements.txt", "--osv-db", "dump.jsonl", "--format", "html")

    assert ("PYSEC-2099-1" in table.out, "\\u2603" in table.out) == (True, True)
    assert (page.code, "\N{SNOWMAN}" in page.out) == (VULNERABLE, True), "a page says that it is UTF-8"


def test_a_ci_runner_finds_no_command_in_either_stream(desk: Desk) -> None:
    desk.dump(advisory("demo-a", HOSTILE))

    document = desk.run("-r", "requirements.txt", "--osv-db", "dump.jsonl", "--format", "openvex")
    complaint = desk.run("-r", f"{HOSTILE}.txt", "--osv-db", "dump.jsonl")

    assert json.loads(document.out)["statements"][0]["vulnerability"]["name"] == HOSTILE
    assert "task.complete" in complaint.err, "it is said"
    assert [stream for stream in (document.out, complaint.out, complaint.err) if "##" in stream] == []


# The file.


def test_a_file_is_said_with_the_verdict(desk: Desk) -> None:
    ended = desk.audit("--osv-db", "dump.jsonl", "--output", "report.json")

    assert (ended.code, ended.out) == (VULNERABLE, "")
    assert ended.err.startswith("holdtrue: vulnerable: 1 finding that counts")
    assert ("report.json" in ended.err, ended.err.count("\n")) == (True, 1)


def test_a_dash_is_standard_output(desk: Desk) -> None:
    ended = desk.audit("--osv-db", "dump.jsonl", "--output", "-")

    assert (ended.code, ended.found, ended.err) == (VULNERABLE, THE_FINDING, "")
    assert not (desk.folder / "-").exists()


def test_standard_output_by_its_name_keeps_what_stands_there(desk: Desk) -> None:
    log = desk.file("log", FORMER)

    ended = shell(desk, "--json --osv-db dump.jsonl --output /dev/stdout >>log")

    assert ended.code == VULNERABLE
    assert AuditDocument.model_validate_json(log.read_text().removeprefix(FORMER)).findings[0].id == "PYSEC-2099-1"


@pytest.mark.parametrize(
    "output",
    [
        "requirements.txt",
        "./link.txt",
        "dump.jsonl",
        "waivers.json",
        "project/uv.lock",
        "project/pyproject.toml",
        "vex.json",
    ],
)
def test_what_is_read_is_not_overwritten(desk: Desk, output: str) -> None:
    (desk.folder / "link.txt").symlink_to("requirements.txt")
    desk.json("waivers.json", [WAIVER])
    desk.json("vex.json", {"author": "somebody", "timestamp": "2026-01-01T00:00:00Z", "statements": []})
    desk.file("project/uv.lock", "version = 1\n")
    desk.file("project/pyproject.toml", "[project]\n")
    before = (desk.folder / output).read_bytes()

    ended = desk.audit(
        *("--project", "project", "--osv-db", "dump.jsonl", "--waivers", "waivers.json", "--vex", "vex.json"),
        *("--output", output),
    )

    assert Path(output).name in refused(ended)
    assert (desk.folder / output).read_bytes() == before


def test_a_file_that_is_there_is_replaced_through_its_link_and_keeps_its_mode(desk: Desk) -> None:
    report = desk.file("reports/today.json", FORMER)
    report.chmod(0o640)
    (desk.folder / "link.json").symlink_to("reports/today.json")
    old = report.stat().st_ino

    desk.audit("--osv-db", "dump.jsonl", "--output", "link.json")
    desk.audit("--osv-db", "dump.jsonl", "--output", "new.json")

    assert (desk.folder / "link.json").is_symlink()
    assert AuditDocument.model_validate_json(report.read_text()).findings[0].id == "PYSEC-2099-1"
    assert stat.S_IMODE(report.stat().st_mode) == 0o640
    assert report.stat().st_ino != old, "it is another file, which was whole before it had the name"
    mask = os.umask(0o022)
    os.umask(mask)
    assert stat.S_IMODE((desk.folder / "new.json").stat().st_mode) == 0o666 & ~mask
    assert [path.name for path in (desk.folder / "reports").iterdir()] == ["today.json"]


@pytest.mark.parametrize("output", ["absent/report", "tmpdir", "requirements.txt/report"])
def test_a_place_that_cannot_be_written_is_known_before_anybody_is_asked(
    desk: Desk, server: FaultServer, output: str
) -> None:
    assert output in refused(desk.audit("--osv-url", server.url, "--output", output))
    assert server.asked == []


def test_a_run_that_is_ended_leaves_the_former_report_and_nothing_beside_it(desk: Desk, server: FaultServer) -> None:
    report = desk.file("reports/today.json", FORMER)
    server.faults = [Fault("/v1/querybatch", delay_seconds=60)]

    with desk.start("-r", "requirements.txt", "--osv-url", server.url, "--output", report) as child:
        server.wait_for("/v1/querybatch", seconds=30)
        during = list(report.parent.iterdir())
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=30)

    assert len(during) == 2
    assert (report.read_text(), list(report.parent.iterdir())) == (FORMER, [report])


def test_a_pipe_is_written_to_as_it_is(desk: Desk) -> None:
    os.mkfifo(desk.folder / "pipe")
    with desk.start("-r", "requirements.txt", "--osv-db", "dump.jsonl", "--json", "--output", "pipe") as child:
        document = AuditDocument.model_validate_json((desk.folder / "pipe").read_text())
        child.communicate(timeout=30)

    assert (child.returncode, document.findings[0].id) == (VULNERABLE, "PYSEC-2099-1")
    assert (desk.folder / "pipe").is_fifo()


def test_lines_in_a_file_are_whole_whatever_the_terminal_is(desk: Desk) -> None:
    desk.dump(advisory("demo-a", summary="word " * 40 + "end"))
    ours, terminal = pty.openpty()
    try:
        child = subprocess.run(
            [
                *(sys.executable, "-m", "holdtrue", "audit", "-r", "requirements.txt", "--osv-db", "dump.jsonl"),
                *("--output", "report.txt"),
            ],
            check=False, stdin=subprocess.DEVNULL, stdout=terminal, stderr=terminal, timeout=60, cwd=desk.folder,
            env=desk.environment,
        )  # fmt: skip
    finally:
        os.close(ours)
        os.close(terminal)

    assert child.returncode == VULNERABLE
    assert "word end\n" in (desk.folder / "report.txt").read_text()


def test_a_clean_audit_of_a_file_is_still_clean(desk: Desk) -> None:
    desk.file("requirements.txt", "demo-b==2.0\n")

    ended = desk.audit("--osv-db", "dump.jsonl", "--output", "report.json")

    assert (ended.code, ended.err.startswith("holdtrue: clean: ")) == (CLEAN, True)
