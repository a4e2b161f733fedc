"""Reading the files that people hand to an audit."""

import gzip
import json
import os
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from holdtrue.adapters import audit_inputs
from holdtrue.adapters.audit_inputs import read_epss, read_judgement_files, read_kev, read_vex, read_waivers
from holdtrue.core.audit_policy import apply_policy
from holdtrue.errors import RejectedError
from holdtrue.models.audit import AuditPolicy, Finding

WAIVER = {"id": "CVE-2099-1", "reason": "not reachable", "owner": "somebody", "expires": "2030-12-31"}
YAML = """
- id: CVE-2099-1   # why
  reason: not reachable
  owner: somebody
  expires: 2030-12-31
"""
EPSS = b"#model_version:v1\ncve,epss,percentile\nCVE-2099-0001,0.5,0.5\n"
KEV = {"vulnerabilities": [{"cveID": "CVE-2099-0001"}]}
OPENVEX = {
    "@context": "https://openvex.dev/ns/v0.2.0",
    "author": "Demo",
    "timestamp": "2030-01-01T00:00:00Z",
    "statements": [
        {
            "vulnerability": {"name": "CVE-2099-1"},
            "products": [{"@id": "pkg:pypi/demo-a@1.0"}],
            "status": "not_affected",
            "impact_statement": "never called",
        }
    ],
}
CYCLONEDX = {
    "bomFormat": "CycloneDX",
    "vulnerabilities": [
        {
            "id": "CVE-2099-1",
            "analysis": {"state": "not_affected", "detail": "never called"},
            "affects": [{"ref": "pkg:pypi/demo-a@1.0"}],
        }
    ],
}

Read = Callable[[Path], Any]
READERS: list[Read] = [read_waivers, read_vex, read_epss, read_kev]


def written(folder: Path, content: object, name: str = "input") -> Path:
    path = folder / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def refused(read: Read, path: Path) -> RejectedError:
    with pytest.raises(RejectedError) as error:
        read(path)
    assert error.value.where == str(path)
    return error.value


@pytest.mark.parametrize(
    "content",
    [
        YAML,
        "waivers:" + YAML,
        YAML.replace("\n", "\r\n"),
        "\ufeff" + YAML,
        "waivers: [{id: CVE-2099-1, reason: not reachable, owner: somebody, expires: 2030-12-31}]",
        [WAIVER],
        {"waivers": [WAIVER]},
    ],
)
def test_waivers_in_yaml_and_json(tmp_path: Path, content: object) -> None:
    (waiver,) = read_waivers(written(tmp_path, content))

    assert (waiver.id, waiver.owner, str(waiver.expires)) == ("CVE-2099-1", "somebody", "2030-12-31")


def test_the_suffix_tells_yaml_from_json(tmp_path: Path) -> None:
    flow = "[{id: CVE-2099-1, reason: not reachable, owner: somebody, expires: 2030-12-31}]"

    assert len(read_waivers(written(tmp_path, flow, "waivers.yaml"))) == 1
    assert len(read_waivers(written(tmp_path, [WAIVER], "waivers.yml"))) == 1
    assert "JSON" in refused(read_waivers, written(tmp_path, YAML, "waivers.json")).what
    assert "JSON" in refused(read_waivers, written(tmp_path, flow)).what


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("a: &a [1]\nb: *a", "line 2"),
        ("waivers: []\nwaivers: []", "line 2"),
        ("- id: x\n  id: y", "line 2"),
        ("waivers: [", "line 1"),
        ("waivers: !!python/object:os.system x", "line 1"),
        ("- expires: 2030-13-45", "YAML"),
        ("--- 1\n--- 2", "line 2"),
        ("a: " + "[" * 5000, "deeply"),
        ("? [1, 2]\n: 3", "YAML"),
        ("\x07", "YAML"),
        ("", "list"),
        ("<html>log in</html>", "list"),
        ("{", "line 1"),
        ('{"waivers": ' + "[" * 200_000, "deeply"),
        ('[{"id": "x", "expires": "2999-01-01", "expires": "1999-01-01"}]', "expires"),
        ('{"waivers": [], "waivers": []}', "waivers"),
        ("[" + "9" * 5000 + "]", "number"),
        (YAML.replace("owner: somebody", "owner: ''"), "waivers[0].owner"),
    ],
)
def test_wrong_waivers_are_refused(tmp_path: Path, content: str, named: str) -> None:
    assert named in refused(read_waivers, written(tmp_path, content)).what


def test_aliases_do_not_blow_up(tmp_path: Path) -> None:
    levels = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30))]

    assert "alias" in refused(read_waivers, written(tmp_path, "\n".join(levels))).what


def test_much_yaml_is_refused(tmp_path: Path) -> None:
    assert "1 MiB" in refused(read_waivers, written(tmp_path, "#" * (1 << 20) + "\n[]")).what


@pytest.mark.parametrize("content", [OPENVEX, CYCLONEDX])
def test_vex_of_both_formats(tmp_path: Path, content: object) -> None:
    (statement,) = read_vex(written(tmp_path, content))

    assert (statement.names, statement.product.package, statement.reason) == (
        ("CVE-2099-1",), "demo-a", "never called",
    )  # fmt: skip


@pytest.mark.parametrize("content", ["[]", "null", '{"spdxVersion": "SPDX-2.3"}', "<html>", "", {"statements": {}}])
def test_what_is_no_vex_is_refused(tmp_path: Path, content: object) -> None:
    refused(read_vex, written(tmp_path, content))


def test_a_vex_document_with_a_field_twice_is_refused(tmp_path: Path) -> None:
    twice = json.dumps(OPENVEX).replace('"status": ', '"status": "affected", "status": ')

    assert "status" in refused(read_vex, written(tmp_path, twice)).what


def test_what_takes_a_statement_back_may_stand_in_another_document(tmp_path: Path) -> None:
    later = {**OPENVEX, "timestamp": "2030-06-01T00:00:00Z", "statements": [
        {"vulnerability": "GHSA-x", "products": ["pkg:pypi/demo-a@1.0.0"], "status": "affected"}
    ]}  # fmt: skip
    own = written(tmp_path, [{**WAIVER, "id": "CVE-2099-2"}], "w.json")
    paths = [written(tmp_path, CYCLONEDX, "a.json"), written(tmp_path, later, "b.json")]
    finding = Finding(package="demo-a", version="1.0", id="CVE-2099-1", aliases=("GHSA-x",), sources=("osv",))

    def tolerated(*vex: Path) -> bool:
        waivers, exploitation = read_judgement_files(waivers=[own], vex=vex)
        (judged,), uses = apply_policy([finding], AuditPolicy(), waivers, date(2030, 7, 1))
        assert exploitation is None
        assert [use.waiver.id for use in uses] == ["CVE-2099-2", "CVE-2099-1"]
        return bool(judged.tolerated)

    assert tolerated(paths[0])
    assert not tolerated(*paths)


@pytest.mark.parametrize(
    "content",
    [EPSS, gzip.compress(EPSS), gzip.compress(EPSS[:18]) + gzip.compress(EPSS[18:])],
    ids=["plain", "packed", "packed in parts"],
)
def test_scores_packed_and_not(tmp_path: Path, content: bytes) -> None:
    assert read_epss(written(tmp_path, content)).epss == {"CVE-2099-0001": 0.5}


def test_a_catalogue(tmp_path: Path) -> None:
    assert read_kev(written(tmp_path, KEV)).exploited == {"CVE-2099-0001"}


@pytest.mark.parametrize("content", ["[]", "<html>", {"vulnerabilities": []}])
def test_what_is_no_catalogue_is_refused(tmp_path: Path, content: object) -> None:
    refused(read_kev, written(tmp_path, content))


@pytest.mark.parametrize(
    "content",
    [gzip.compress(EPSS)[:-12], gzip.compress(EPSS)[:-4] + b"\0\0\0\0", b"\x1f\x8brubbish", b"\x1f\x8b"],
    ids=["cut", "another length", "no gzip", "a beginning"],
)
def test_damaged_packing_is_refused(tmp_path: Path, content: bytes) -> None:
    assert "gzip" in refused(read_epss, written(tmp_path, content)).what


@pytest.mark.parametrize("packed", [False, True])
def test_what_is_too_large_is_refused(tmp_path: Path, packed: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    monkeypatch.setattr(audit_inputs, "_SIZE_LIMIT_BYTES", 1 << 20)
    content = EPSS + b"\n" * (1 << 20)

    assert "1 MiB" in refused(read_epss, written(tmp_path, gzip.compress(content) if packed else content)).what


@pytest.mark.parametrize("read", READERS)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, read: Read) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    os.mkfifo(tmp_path / "pipe")

    refused(read, tmp_path / "missing")
    refused(read, tmp_path)
    refused(read, loop)
    refused(read, tmp_path / "pipe")
    refused(read, Path("/dev/zero"))
    refused(read, written(tmp_path, b"\xff\xfe\x00\x01"))
