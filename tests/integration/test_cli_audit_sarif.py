"""`holdtrue audit --format sarif`: a log that code scanning takes whole, and in which every place is right."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integration.audit_desk import CLEAN, VULNERABLE, WAIVER, Desk, desk

__all__ = ["desk"]

SARIF = ("--osv-db", "dump.jsonl", "--format", "sarif")
UV = 'version = 1\n\n[[package]]\nname = "demo-b"\nversion = "2.0"\n\n[[package]]\nname = "demo-a"\nversion = "1.0"\n'


def run(desk: Desk, *arguments: object) -> tuple[int, Any]:
    ended = desk.run(*arguments, *SARIF)
    return ended.code, json.loads(ended.out)["runs"][0]


def places(log: Any) -> set[tuple[str, int]]:
    """Address and line of every place; one that GitHub would refuse the log for fails."""
    found = [item["physicalLocation"] for result in log["results"] for item in result["locations"]]
    assert all(result["locations"] for result in log["results"])
    assert all(item["artifactLocation"]["uriBaseId"] == "%SRCROOT%" for item in found)
    assert not any(item["artifactLocation"]["uri"].startswith(("/", "..", "file:")) for item in found)
    return {(item["artifactLocation"]["uri"], item["region"]["startLine"]) for item in found}


def installed(desk: Desk, folder: str) -> None:
    desk.file(f"{folder}/demo_a-1.0.dist-info/METADATA", "Name: demo-a\nVersion: 1.0\n")


@pytest.fixture
def repository(desk: Desk) -> Desk:
    """A desk in a folder of a repository, with a file above it and one in it that includes another."""
    subprocess.run(["git", "init", "--quiet", desk.folder], check=True, timeout=30)
    desk.file("app/top.txt", "demo-b==2.0\n-r inc/more.txt\n")
    desk.file("app/inc/more.txt", "# first\n\ndemo-a==1.0\n")
    desk.file("app/uv.lock", UV)
    desk.file("app/pylock.toml", f'lock-version = "1.0"\ncreated-by = "x"\n{UV}'.replace("package", "packages"))
    (desk.folder / "dump.jsonl").rename(desk.folder / "app" / "dump.jsonl")
    desk.folder /= "app"
    return desk


def test_every_result_is_at_a_line_of_a_file_of_the_repository(repository: Desk) -> None:
    installed(repository, "v/lib/python3.12/site-packages")
    repository.file("v/pyvenv.cfg", "include-system-site-packages = false\n")

    code, log = run(
        repository,
        *("-r", "top.txt", "-r", "uv.lock", "-r", "pylock.toml", "-r", "../requirements.txt", "--venv", "v"),
    )

    assert code == VULNERABLE
    assert places(log) == {
        ("app/inc/more.txt", 3),
        ("app/uv.lock", 7),
        ("app/pylock.toml", 9),
        ("requirements.txt", 1),
        ("app/v/lib/python3.12/site-packages/demo_a-1.0.dist-info/METADATA", 1),
    }


def test_what_lies_outside_of_the_repository_is_shown_by_its_path(repository: Desk, tmp_path_factory: Any) -> None:
    outside: Path = tmp_path_factory.mktemp("outside")
    installed(repository, f"{outside}/root/usr/lib/python3/site-packages")
    (outside / "requirements.txt").write_text("\ndemo-a==1.0\n")

    _, log = run(repository, "-r", outside / "requirements.txt", "--root", outside / "root")

    path = str(outside).lstrip("/")
    assert places(log) == {
        (f"{path}/requirements.txt", 2),
        (f"{path}/root/usr/lib/python3/site-packages/demo_a-1.0.dist-info/METADATA", 1),
    }
    assert all("logicalLocations" in result["locations"][0] for result in log["results"])


def test_without_a_repository_addresses_begin_at_the_current_folder(desk: Desk) -> None:
    _, log = run(desk, "--project", desk.folder)

    assert places(log) == {("requirements.txt", 1)}


def test_a_waived_finding_opens_no_alert_and_stays_in_the_log(desk: Desk) -> None:
    desk.json("waivers.json", [WAIVER])

    code, log = run(desk, "-r", "requirements.txt", "--waivers", "waivers.json")
    counting, control = run(desk, "-r", "requirements.txt")

    assert (code, log["results"], log["tool"]["driver"]["rules"]) == (CLEAN, [], [])
    (note,) = log["invocations"][0]["toolExecutionNotifications"]
    assert (note["descriptor"]["id"], note["level"]) == ("tolerated", "note")
    assert "PYSEC-2099-1" in note["message"]["text"]
    assert "not reachable" in note["message"]["text"]
    assert (counting, [item["ruleId"] for item in control["results"]]) == (VULNERABLE, ["PYSEC-2099-1"])
