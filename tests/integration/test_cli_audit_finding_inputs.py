"""`holdtrue audit`: what it looks at where no name says so, and what it says of that."""

import json
import subprocess
import sys

import pytest

from tests.integration.audit_desk import BAD_INPUT, CLEAN, INCOMPLETE, THE_FINDING, VULNERABLE, Desk, Ended, desk
from tests.integration.osv_fault_server import RECENTLY, advisory

__all__ = ["desk"]

UV = (
    'version = 1\nrequires-python = ">=3.11"\n[[package]]\nname = "demo-a"\nversion = "1.0"\n'
    'source = { registry = "https://pypi.org/simple" }\n'
)


def piped(desk: Desk, text: str, *arguments: str) -> Ended:
    done = subprocess.run(
        [sys.executable, "-m", "holdtrue", "audit", "-r", "-", "--osv-db", "dump.jsonl", *arguments],
        input=text, check=False, capture_output=True, text=True, timeout=60, cwd=desk.folder, env=desk.environment,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return Ended(done.returncode, done.stdout, done.stderr)


def test_without_arguments_the_current_folder_is_audited_and_what_is_found_is_said(desk: Desk) -> None:
    ended = desk.run("--osv-db", "dump.jsonl", "--json")

    assert (ended.code, ended.found) == (VULNERABLE, THE_FINDING)
    assert ("requirements.txt" in ended.err, ended.err.count("\n")) == (True, 1)


def test_without_arguments_and_files_there_is_nothing_to_audit(desk: Desk) -> None:
    (desk.folder / "requirements.txt").unlink()
    bare = desk.run("--osv-db", "dump.jsonl")
    desk.file("pyproject.toml", '[project]\nname = "app"\n')
    unlocked = desk.run("--osv-db", "dump.jsonl")

    for ended in (bare, unlocked):
        assert (ended.code, ended.out, ended.err.count("\n")) == (BAD_INPUT, "", 1)
        assert str(desk.folder) in ended.err
    assert "uv lock" in unlocked.err
    assert "uv lock" not in bare.err


@pytest.mark.parametrize("name", ["pyproject.toml", "./pyproject.toml"])
def test_a_project_without_a_lock_is_to_be_locked_first(desk: Desk, name: str) -> None:
    (desk.folder / "requirements.txt").unlink()
    desk.file("pyproject.toml", '[project]\nname = "app"\ndependencies = ["demo-a"]\n')

    named = desk.run("-r", name, "--osv-db", "dump.jsonl")
    as_project = desk.run("--project", ".", "--osv-db", "dump.jsonl", "--json")

    assert (named.code, "uv lock" in named.err, named.err.count("\n")) == (BAD_INPUT, True, 1)
    assert as_project.code == INCOMPLETE
    assert ["uv lock" in item.reason for item in as_project.document.not_audited] == [True]


@pytest.mark.parametrize(
    "text",
    [
        "demo-a==1.0\n",
        UV,
        json.dumps({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [
            {"type": "library", "name": "demo-a", "version": "1.0", "purl": "pkg:pypi/demo-a@1.0"}]}),
        "dependencies:\n  - pip:\n    - -r requirements.txt\n",
        "-r requirements.txt\n",
    ],
    ids=["requirements", "uv.lock", "SBOM", "conda", "include"],
)  # fmt: skip
def test_a_dash_is_standard_input_of_any_format(desk: Desk, text: str) -> None:
    ended = piped(desk, text, "--json")

    assert (ended.code, ended.found) == (VULNERABLE, THE_FINDING)
    assert {item.inventory for item in ended.document.findings[0].occurrences} == {"standard input"}


def test_standard_input_with_nothing_in_it_is_never_clean(desk: Desk) -> None:
    empty, unreadable, text = piped(desk, "", "--json"), piped(desk, "\0", "--json"), piped(desk, "{}", "--json")
    resolved = piped(desk, "demo-a\n", "--resolve")

    assert (empty.code, empty.document.counts.audited) == (INCOMPLETE, 0)
    for ended in (unreadable, text, resolved):
        assert (ended.code, ended.out, ended.err.count("\n")) == (BAD_INPUT, "", 1)


def test_a_file_of_any_name_is_known_by_what_stands_in_it(desk: Desk) -> None:
    desk.file("frozen.lock", UV)
    desk.file("notes.md", "# Notes\n\nInstall demo-a first.\n")

    known, unknown = desk.run_together(
        ("-r", "frozen.lock", "--osv-db", "dump.jsonl", "--json"), ("-r", "notes.md", "--osv-db", "dump.jsonl")
    )

    assert (known.code, known.found) == (VULNERABLE, THE_FINDING)
    assert (unknown.code, unknown.err.count("\n"), "uv.lock" in unknown.err) == (BAD_INPUT, 1, True)


@pytest.mark.parametrize("text", ["# -*- coding: latin-1 -*-\n# caf\xe9\ndemo-a==1.0\n"])
def test_a_coding_comment_is_heeded(desk: Desk, text: str) -> None:
    desk.file("requirements.txt", text.encode("latin-1"))

    assert desk.audit("--osv-db", "dump.jsonl").found == THE_FINDING


def test_what_an_environment_file_includes_for_pip_is_audited(desk: Desk) -> None:
    desk.file("environment.yml", "dependencies:\n  - pip:\n      - -r requirements.txt\n      - -r gone.txt\n")

    ended = desk.run("-r", "environment.yml", "--osv-db", "dump.jsonl", "--json")

    assert (ended.code, ended.found) == (VULNERABLE, THE_FINDING)
    assert [item.name for item in ended.document.not_audited] == ["gone.txt"]


def test_metadata_in_an_egg_info_folder_are_read(desk: Desk) -> None:
    folder = "venv/lib/python3.12/site-packages"
    desk.file("venv/pyvenv.cfg", "include-system-site-packages = false\n")
    desk.file(f"{folder}/demo_b-2.0-py3.12.egg-info/METADATA", "Name: demo-b\nVersion: 2.0\n")
    clean = desk.run("--venv", "venv", "--osv-db", "dump.jsonl", "--json")
    desk.file(f"{folder}/demo_a-1.0-py3.12.egg-info/METADATA", "Name: demo-a\nVersion: 1.0\n")
    found = desk.run("--venv", "venv", "--osv-db", "dump.jsonl", "--json")

    assert (clean.code, clean.document.not_audited) == (CLEAN, ())
    assert (found.code, found.found, found.document.not_audited) == (VULNERABLE, THE_FINDING, ())


# What a source says


def test_a_dump_that_is_none_is_bad_input_though_there_is_nothing_to_look_up(desk: Desk) -> None:
    desk.file("requirements.txt", "")

    absent = desk.audit("--osv-db", "absent.jsonl")
    present = desk.audit("--osv-db", "dump.jsonl")
    live = desk.audit("--osv-url", "http://127.0.0.1:1")
    table = desk.run("-r", "requirements.txt", "--osv-db", "dump.jsonl", "--osv-url", "http://127.0.0.1:1")

    assert (absent.code, "absent.jsonl" in absent.err) == (BAD_INPUT, True)
    assert [present.code, live.code, table.code] == [INCOMPLETE] * 3
    assert [source.answered for source in present.document.sources] == ["snapshot"]
    assert present.document.sources[0].snapshot_at is not None
    assert [(source.answered, source.failure) for source in live.document.sources] == [("not_asked", "")]
    assert "asked live" not in table.out


@pytest.mark.parametrize("versions", [["demo-a==1.0", "demo-a==0.9"], ["one", "0.5"]])
def test_an_advisory_of_versions_that_cannot_be_read_is_not_clean(desk: Desk, versions: list[str]) -> None:
    affected = {"package": {"name": "demo-a", "ecosystem": "PyPI"}, "versions": versions}
    desk.dump({"id": "PYSEC-2099-3", "modified": RECENTLY, "affected": [affected]})

    ended = desk.audit("--osv-db", "dump.jsonl")

    assert (ended.code, ended.found) == (VULNERABLE, [("demo-a", "PYSEC-2099-3")])
    assert ended.document.findings[0].certainty == "possible"


@pytest.mark.parametrize(("day", "code"), [("2098-01-01T00:00:00Z", VULNERABLE), ("2020-01-01T00:00:00Z", CLEAN)])
def test_a_withdrawal_counts_from_its_day_on(desk: Desk, day: str, code: int) -> None:
    desk.dump(advisory("demo-a", withdrawn=day), advisory("demo-z", "PYSEC-2099-2"))

    first, again = desk.audit("--osv-db", "dump.jsonl"), desk.audit("--osv-db", "dump.jsonl")

    assert [first.code, again.code] == [code, code], "also from the index of the first run"


@pytest.mark.parametrize(
    ("modified", "arguments", "is_told"),
    [
        ("2020-01-01T00:00:00Z", (), True),
        ("2020-01-01T00:00:00Z", ("--max-age-days", "100000"), False),
        (RECENTLY, (), False),
        ("2099-01-01T00:00:00Z", (), True),
        ("", (), True),
    ],
    ids=["old", "old but allowed", "recent", "future", "undated"],
)
def test_a_dump_that_is_old_or_of_doubtful_age_is_reported_without_being_asked(
    desk: Desk, modified: str, arguments: tuple[str, ...], *, is_told: bool
) -> None:
    desk.file("requirements.txt", "demo-b==2.0\n")
    desk.dump(advisory("demo-z") | {"modified": modified})

    ended = desk.audit("--osv-db", "dump.jsonl", *arguments)

    assert (ended.code, ended.document.verdict) == (CLEAN, "clean")
    assert ("dump.jsonl" in ended.err) is is_told
    assert ended.document.sources[0].answered == "snapshot"


def test_a_current_folder_that_is_gone_is_bad_input(desk: Desk) -> None:
    desk.file("gone/requirements.txt", "demo-a==1.0\n")
    script = 'cd gone && rm -r ../gone && exec "$0" -m holdtrue audit --osv-db ../dump.jsonl'
    done = subprocess.run(
        ["sh", "-c", script, sys.executable],
        check=False, capture_output=True, text=True, timeout=60, cwd=desk.folder, env=desk.environment,
    )  # fmt: skip

    assert (done.returncode, done.stdout, "Traceback" in done.stderr) == (BAD_INPUT, "", False)
    assert "defect" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("holdtrue: ")
