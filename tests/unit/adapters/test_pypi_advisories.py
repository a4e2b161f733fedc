"""Reading the page of one version of an index."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdtrue.adapters.pypi_advisories.page import NotAVersionPage, read_page
from holdtrue.models.dependency import Pin
from holdtrue.models.osv import Certainty

PIN = Pin("demo-a", "1.0")
ENTRY = {"id": "PYSEC-2099-1", "aliases": ["CVE-2099-1"], "fixed_in": ["1.2"], "summary": "made up", "withdrawn": None}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*ENTRY, "info", "name", "version", "vulnerabilities"]), inner, max_size=4)
    ),
    max_leaves=20,
)


def page(*entries: Any, **info: Any) -> dict[str, Any]:
    return {"info": {"name": "Demo_A", "version": "1.0.0"} | info, "vulnerabilities": list(entries)}


def test_an_entry_is_a_finding_on_the_version_of_the_page() -> None:
    read = read_page(PIN, page(ENTRY))

    (item,) = read.matches
    assert (item.advisory.id, item.advisory.aliases, item.advisory.summary) == (
        "PYSEC-2099-1", ("CVE-2099-1",), "made up",
    )  # fmt: skip
    assert (item.certainty, item.doubt, item.fixed_in, read.unreadable) == (Certainty.AFFECTED, "", ("1.2",), 0)


@pytest.mark.parametrize(
    ("fixed_in", "expected"),
    [
        (["10.0", "9.0", "0.9", "1.0"], ("9.0", "10.0")),
        (["odd", "1.1"], ("1.1", "odd")),
        ([None, 7, "1.1"], ("1.1",)),
        ("1.1", ()),
        (None, ()),
    ],
)
def test_fixes_are_those_above_the_version_in_order(fixed_in: Any, expected: tuple[str, ...]) -> None:
    (item,) = read_page(PIN, page(ENTRY | {"fixed_in": fixed_in})).matches

    assert item.fixed_in == expected


def test_what_was_withdrawn_has_its_time_and_what_cannot_be_read_is_counted() -> None:
    read = read_page(PIN, page(ENTRY | {"withdrawn": "2099-01-01T00:00:00Z"}, ENTRY, None, {}))

    assert [item.advisory.withdrawn for item in read.matches] == [datetime(2099, 1, 1, tzinfo=UTC), None]
    assert read.unreadable == 2


@pytest.mark.parametrize("info", [{"name": "demo-b"}, {"version": "1.0.1"}])
def test_a_page_about_something_else_is_no_answer(info: dict[str, str]) -> None:
    with pytest.raises(NotAVersionPage):
        read_page(PIN, page(ENTRY, **info))


@settings(deadline=None, max_examples=200)
@given(st.lists(JSON, max_size=4))
def test_every_entry_is_a_finding_or_counted(entries: list[Any]) -> None:
    read = read_page(PIN, page(*entries))

    has_id = [
        item for item in entries if isinstance(item, dict) and isinstance(item.get("id"), str) and item["id"].strip()
    ]
    assert read.unreadable == len(entries) - len(has_id)
    assert len(read.matches) == len(has_id)


@settings(deadline=None, max_examples=200)
@given(JSON | JSON.map(lambda entries: {"vulnerabilities": entries}))
def test_any_document_is_a_page_or_refused(document: Any) -> None:
    try:
        read_page(PIN, document)
    except NotAVersionPage:
        return
    assert isinstance(document["vulnerabilities"], list)
