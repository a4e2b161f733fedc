"""Who brought in whom, duplicates, and internal names."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdtrue.core.lockfiles import mark_internal
from holdtrue.core.lockfiles.inventories import Entry, link, merge_duplicates
from holdtrue.models.dependency import Dependency, Inventory, Origin

NAMES = [f"p{number}" for number in range(9)]
GRAPHS = st.lists(st.lists(st.integers(0, 8), max_size=4), min_size=9, max_size=9)


def entries_of(graph: list[list[int]]) -> list[Entry]:
    return [
        Entry(Dependency(name, "1"), tuple((NAMES[child], "") for child in children))
        for name, children in zip(NAMES, graph, strict=True)
    ]


def distances(graph: list[list[int]], direct: set[int]) -> dict[int, int]:
    """By relaxation until nothing changes: slow, and plain."""
    found = dict.fromkeys(direct, 0)
    for _ in graph:
        for parent, children in enumerate(graph):
            for child in children:
                if parent in found:
                    found[child] = min(found.get(child, 99), found[parent] + 1)
    return found


@given(GRAPHS, st.sets(st.integers(0, 8), max_size=3))
@settings(deadline=None, max_examples=100)
def test_each_chain_is_a_shortest_path_from_a_direct_dependency(graph: list[list[int]], direct: set[int]) -> None:
    linked = link(entries_of(graph), [(NAMES[index], "") for index in direct])

    expected = distances(graph, direct)
    for index, item in enumerate(linked):
        assert item.is_direct is (index in direct if index in expected else None)
        assert len(item.chain) == expected.get(index, 0)
        path = [*(NAMES.index(name) for name in item.chain), index]
        assert all(child in graph[parent] for parent, child in pairwise(path))
        assert not item.chain or path[0] in direct


def test_a_very_long_chain_keeps_its_start_and_the_parent() -> None:
    count = 300
    entries = [Entry(Dependency(f"p{index}", "1"), ((f"p{index + 1}", ""),)) for index in range(count)]

    last = link(entries, [("p0", "")])[-1]

    assert len(last.chain) == 64
    assert last.chain[:2] == ("p0", "p1")
    assert last.chain[-1] == "p298"


def test_many_versions_of_one_name_that_all_need_each_other_cost_no_more_than_others() -> None:
    # A walk along every edge would take 16 million steps for these and end after the test suite's patience.
    entries = [Entry(Dependency("p", str(index)), (("p", ""),)) for index in range(4000)]

    assert all(item.is_direct for item in link(entries, [("p", "")]))


def test_one_version_is_brought_in_only_by_who_asks_for_that_one() -> None:
    entries = [
        Entry(Dependency("a", "1"), (("num", "1.0"),)),
        Entry(Dependency("num", "1.0")),
        Entry(Dependency("num", "2.0")),
    ]

    assert [item.chain for item in link(entries, [("a", "")])] == [(), ("a",), ()]


def test_duplicates_unite_what_they_say() -> None:
    merged = merge_duplicates(
        [
            Dependency("a", "1", place="line 1", marker="x", is_direct=False, chain=("b", "c")),
            Dependency("a", "1", place="line 2", marker="y", is_direct=False, chain=("d",)),
            Dependency("a", "2", place="line 3"),
            Dependency("a", "1", Origin.VCS, place="line 4"),
        ]
    )

    assert merged == (
        Dependency("a", "1", place="line 1", marker="x or y", is_direct=False, chain=("d",)),
        Dependency("a", "2", place="line 3"),
        Dependency("a", "1", Origin.VCS, place="line 4"),
    )


@pytest.mark.parametrize(("others", "expected"), [([True, False], True), ([None, False], None), ([False], False)])
def test_a_duplicate_is_direct_when_one_of_it_is(others: list[bool | None], expected: bool | None) -> None:  # noqa: FBT001 - a table
    (merged,) = merge_duplicates(Dependency("a", "1", is_direct=item, chain=("b",)) for item in others)

    assert merged.is_direct is expected
    assert (merged.chain == ()) is (expected is True)


@given(
    st.lists(st.builds(Dependency, st.sampled_from("ab"), st.sampled_from(["1", "2"]), marker=st.sampled_from("xy")))
)
@settings(deadline=None, max_examples=100)
def test_no_package_is_lost_among_duplicates(items: list[Dependency]) -> None:
    merged = merge_duplicates(items)

    assert [(item.name, item.version) for item in merged] == list(
        dict.fromkeys((item.name, item.version) for item in items)
    )


def test_only_names_that_match_are_internal() -> None:
    inventory = Inventory(
        "app",
        "uv.lock",
        (
            Dependency("acme-core", "1"),
            Dependency("acme-tool", "1", Origin.VCS),
            Dependency("acme-broken", "", reason="the file gives no version"),
            Dependency("acmelib", "1"),
            Dependency("flask", "1"),
        ),
    )

    core, tool, broken, library, flask = mark_internal(inventory, ["Acme_*", "none"]).dependencies

    assert core.origin is Origin.INTERNAL
    assert core.reason
    assert tool.origin is Origin.VCS
    assert tool.reason, "no name of the organisation is sent to anyone"
    assert broken.reason == "the file gives no version"
    assert (library.reason, flask.reason) == ("", "")
    assert flask.origin is Origin.INDEX
    assert mark_internal(inventory, []) == inventory
