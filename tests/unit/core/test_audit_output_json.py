"""The JSON contract, and that its document tells the truth about it."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest

from holdtrue.core.audit_output.json_report import AuditDocument, json_schema, to_json
from holdtrue.models.audit import AuditReport
from tests.unit.core.audit_output_samples import DOCUMENTED, INCOMPLETE, ORDINARY, SINKS, SOUND, hostile, many

DOCUMENT = (Path(__file__).parents[3] / "docs" / "audit-json.md").read_text(encoding="utf-8")


def test_the_promised_keys_are_there() -> None:
    document = json.loads(to_json(ORDINARY))

    assert document["verdict"] == "vulnerable"
    assert document["counts"]["audited"] == 7
    assert document["counts"]["not_audited"] == 3
    assert (
        document["findings"][0].items()
        >= {
            "package": "demo-web",
            "version": "1.0",
            "id": "PYSEC-2026-1",
            "aliases": ["CVE-2026-0001", "GHSA-aaaa-bbbb-cccc"],
            "severity": "critical",
            "fixed_in": ["1.1", "2.0"],
            "sources": ["osv", "pypi"],
        }.items()
    )
    assert document["not_audited"][2].items() >= {"name": "pypi", "reason": "refused the connection"}.items()
    assert document["schema_version"] == 1


def test_findings_holds_what_counts_and_tolerated_the_rest() -> None:
    document = json.loads(to_json(ORDINARY))

    assert [item["package"] for item in document["findings"]] == ["demo-web", "demo-fork"]
    assert [item["package"] for item in document["tolerated"]] == ["waived", "minor"]
    assert document["tolerated"][0]["waiver"]["owner"] == "platform team"
    assert all(item["tolerated"] for item in document["tolerated"])
    assert not any(item["tolerated"] for item in document["findings"])


@pytest.mark.parametrize("source", [SOUND, INCOMPLETE, ORDINARY])
def test_every_key_stands_there_whatever_was_found(source: AuditReport) -> None:
    document = json.loads(to_json(source))

    assert set(document) == set(AuditDocument.model_fields)
    assert document["verdict"] == source.verdict


def test_what_was_written_can_be_read_back() -> None:
    document = AuditDocument.model_validate_json(to_json(ORDINARY))

    assert (*document.findings, *document.tolerated) == ORDINARY.findings
    assert document.not_audited == ORDINARY.not_audited
    assert document.waivers == ORDINARY.waivers
    assert document.started_at == ORDINARY.started_at


def test_text_is_kept_as_it_was_given() -> None:
    text = "a\x1b[2J\n::error::| <b> \u202e\x00 ##[" + "z" * 100_000

    assert json.loads(to_json(hostile(text)))["findings"][0]["summary"] == text


def test_the_document_shows_what_is_really_written() -> None:
    (example,) = re.findall(r"```json\n(.*?)```", DOCUMENT, re.DOTALL)

    assert example.strip() == to_json(DOCUMENTED)


def test_the_document_describes_every_key() -> None:
    described = set(re.findall(r"^\| `([a-z_]+)` \|", DOCUMENT, re.MULTILINE))

    assert described == set(_keys(json.loads(json_schema())))


def test_the_schema_names_every_key_that_is_written() -> None:
    schema = json.loads(json_schema())

    assert set(schema["required"]) >= {"verdict", "counts", "findings", "tolerated", "not_audited"}
    assert set(schema["properties"]) == set(json.loads(to_json(ORDINARY)))


@pytest.mark.parametrize("name", SINKS)
def test_the_work_of_every_output_grows_with_the_findings_and_not_faster(name: str) -> None:
    sink = SINKS[name]
    sink(many(1))  # What is imported late and compiled once is no part of it.

    few, twice = _calls(sink, many(200)), _calls(sink, many(400))

    assert twice < 2.2 * few


def _calls(sink: Callable[[AuditReport], str], source: AuditReport) -> int:
    """How many functions are called, which, unlike time, is the same on every machine."""
    number = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal number
        number += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        sink(source)
    finally:
        sys.setprofile(None)
    return number


def _keys(schema: object) -> Iterator[str]:
    match schema:
        case {"properties": dict(properties), **others}:
            yield from properties
            yield from _keys(list(others.values()))
            yield from _keys(list(properties.values()))
        case dict():
            yield from _keys(list(schema.values()))
        case list():
            for item in schema:
                yield from _keys(item)
        case _:
            return
