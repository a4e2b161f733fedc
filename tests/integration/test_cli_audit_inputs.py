"""`holdtrue audit`: every format of lock file with a vulnerable package in it, and many files at once."""

import json
import sys

import pytest

from tests.integration.audit_desk import BAD_INPUT, THE_FINDING, VULNERABLE, Desk, Ended, desk, server, shared_desk
from tests.integration.osv_fault_server import FaultServer

__all__ = ["desk", "server", "shared_desk"]

_TOML_PACKAGES = '[[package]]\nname = "demo-a"\nversion = "1.0"\n[[package]]\nname = "demo-b"\nversion = "2.0"\n'
_REGISTRY = 'source = { registry = "https://index.example/simple" }\n'
_FOR_A_SCRIPT = '[manifest]\nrequirements = [{ name = "demo-a" }]\n'
_PURLS = ["pkg:pypi/demo-a@1.0", "pkg:pypi/demo-b@2.0"]
_COMPONENTS = [{"type": "library", "name": "demo", "purl": purl} for purl in _PURLS]
_SPDX_PACKAGES = [
    {
        "name": "demo",
        "SPDXID": f"SPDXRef-{number}",
        "externalRefs": [
            {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl},
        ],
    }
    for number, purl in enumerate(_PURLS)
]
LOCKS = {
    "requirements.txt": "demo-a==1.0 --hash=sha256:00\ndemo-b==2.0 ; os_name == 'nt'\n",
    "requirements.in": "demo-a==1.0\ndemo-b==2.0\n",
    "uv.lock": f"version = 1\n{_TOML_PACKAGES}".replace('0"\n', f'0"\n{_REGISTRY}') + _FOR_A_SCRIPT,
    "tool.py.lock": f"version = 1\n{_TOML_PACKAGES}".replace('0"\n', f'0"\n{_REGISTRY}') + _FOR_A_SCRIPT,
    "poetry.lock": f'{_TOML_PACKAGES}[metadata]\nlock-version = "2.1"\n',
    "pdm.lock": f'[metadata]\ngroups = ["default"]\nlock_version = "4.5.0"\n{_TOML_PACKAGES}',
    "Pipfile.lock": json.dumps(
        {
            "_meta": {"pipfile-spec": 6},
            "default": {"demo-a": {"version": "==1.0"}},
            "develop": {"demo-b": {"version": "==2.0"}},
        }
    ),
    "pylock.toml": f'lock-version = "1.0"\ncreated-by = "tests"\n{_TOML_PACKAGES}'.replace("package", "packages"),
    "pylock.web.toml": f'lock-version = "1.0"\ncreated-by = "tests"\n{_TOML_PACKAGES}'.replace("package", "packages"),
    "conda-list.json": json.dumps(
        [
            {"name": "demo-a", "version": "1.0", "channel": "pypi"},
            {"name": "demo-b", "version": "2.0", "channel": "pypi"},
        ]
    ),
    "environment.yml": "dependencies:\n  - pip:\n      - demo-a==1.0\n      - demo-b==2.0\n",
    "app.cdx.json": json.dumps({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": _COMPONENTS}),
    "app.spdx.json": json.dumps({"spdxVersion": "SPDX-2.3", "packages": _SPDX_PACKAGES}),
}


@pytest.fixture(scope="module")
def by_name(shared_desk: Desk) -> dict[str, Ended]:
    """A run for each."""
    for name, text in LOCKS.items():
        shared_desk.file(name, text)
    ended = shared_desk.run_together(*(("-r", name, "--osv-db", "dump.jsonl", "--json") for name in LOCKS))
    return dict(zip(LOCKS, ended, strict=True))


@pytest.mark.parametrize("name", LOCKS)
def test_each_format_is_read_to_its_end(by_name: dict[str, Ended], name: str) -> None:
    ended = by_name[name]

    assert (ended.code, ended.found) == (VULNERABLE, THE_FINDING)
    assert (ended.document.counts.audited, ended.document.not_audited) == (2, ())
    assert {item.inventory for item in ended.document.findings[0].occurrences} == {name}


def test_many_files_projects_and_environments_are_one_batch(desk: Desk, server: FaultServer) -> None:
    desk.file("one/uv.lock", LOCKS["uv.lock"])
    desk.file("two/requirements/base.txt", "demo-a==1.0\n")
    desk.file("root/usr/lib/python3/site-packages/demo_a-1.0.dist-info/METADATA", "Name: demo-a\nVersion: 1.0\n")

    ended = desk.run(
        *("-r", "requirements.txt", "--project", "one", "--project", "two", "--root", "root"),
        *("--environment", sys.executable, "--osv-url", server.url, "--json"),
    )

    places = {item.inventory for item in ended.document.findings[0].occurrences}
    assert {"requirements.txt", "one/uv.lock", "two/requirements/base.txt"} < places
    assert len(places) == 4
    assert server.counts() == {"querybatch": 1, "vulns": 1}
    assert len({query["package"]["name"] for query in server.asked[0].body["queries"]}) > 20


def test_marks_line_ends_and_duplicates_are_no_bad_input(desk: Desk) -> None:
    text = "\ufeffdemo-a==1.0 ; os_name == 'nt'\r\ndemo-a==1.0 ; os_name != 'nt'\r\nDemo_B==2.0\r\n"
    desk.file("utf-8.txt", text)
    desk.file("utf-16.txt", text[1:].encode("utf-16"))

    one, other = desk.run_together(
        *(("-r", name, "--osv-db", "dump.jsonl", "--json") for name in ("utf-8.txt", "utf-16.txt"))
    )

    assert (one.code, one.found) == (other.code, other.found) == (VULNERABLE, THE_FINDING)
    assert one.document.counts == other.document.counts
    assert one.document.counts.audited == 2


def test_a_file_of_another_tool_in_a_project_is_a_gap_and_hides_no_finding(desk: Desk) -> None:
    (desk.folder / "environment.yml").write_text("production: {url: x}\n")

    ended = desk.run("--project", ".", "--osv-db", "dump.jsonl", "--json")

    assert (ended.code, ended.found) == (VULNERABLE, THE_FINDING)
    assert [item.inventory for item in ended.document.not_audited] == ["environment.yml"]
    named = desk.run("-r", "environment.yml", "--osv-db", "dump.jsonl", "--json")
    assert named.code == BAD_INPUT
