"""The files of a fix: their lines, what uv is asked about them, the patch, and what people read."""

from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.version import Version

from holdtrue.core.fix_lines import Line, change_line, index_options, requirement_text, split_lines
from holdtrue.core.fix_patch import make_patch
from holdtrue.core.fix_proposal import decline
from holdtrue.core.fix_report import summary_lines
from holdtrue.core.fix_requirements import (
    assign_releases,
    preference_lines,
    read_releases,
    rewrite_lines,
    source_lines,
)
from holdtrue.core.fix_resolution import FileChange, NoSolution, Wish
from holdtrue.errors import RejectedError
from holdtrue.models.audit import Finding, NotAudited
from holdtrue.models.fix import Bump, FixProposal


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("demo==1.0", "demo==2.0"),
        ("demo == 1.0\r\n", "demo == 2.0\r\n"),
        ("\ufeffDemo_A[x, y]===1.0 ; os_name=='nt'  # ==1.0\n", "\ufeffDemo_A[x, y]===2.0 ; os_name=='nt'  # ==1.0\n"),
        ("demo>=0.5,==1.0,<3\n", "demo>=0.5,==2.0,<3\n"),
        ("demo==1.0 --hash=sha256:aa\n", "demo==2.0 --hash=sha256:01 --hash=sha256:02\n"),
        (
            "demo==1.0 \\\n    --hash=sha256:aa # why\n",
            "demo==2.0 \\\n    --hash=sha256:01 \\\n    --hash=sha256:02 # why\n",
        ),
        (
            "demo==1.0 \\\r\n  --hash=sha256:aa \\\r\n  --hash=sha256:bb\r\n",
            "demo==2.0 \\\r\n  --hash=sha256:01 \\\r\n  --hash=sha256:02\r\n",
        ),
    ],
)
def test_a_changed_line_keeps_all_but_version_and_hashes(line: str, expected: str) -> None:
    (read,) = split_lines(line)

    assert change_line(read, "2.0", ["sha256:01", "sha256:02"]) == expected


@pytest.mark.parametrize(
    "line",
    [
        "demo>=1",
        "demo==1.*",
        "demo",
        "# demo==1.0",
        "-r x.txt",
        "-e .",
        "demo @ https://h.example/demo-1.0.tar.gz",
        "?",
    ],
)
def test_what_is_no_pin_is_never_changed(line: str) -> None:
    (read,) = split_lines(line)

    assert read.pin is None
    with pytest.raises(ValueError, match="pins nothing"):
        change_line(read, "2.0", ())


TEXTS = st.lists(
    st.sampled_from(
        ["a==1.0", "b == 2", "\\", "\n", "\r\n", "#", " --hash=sha256:00", ";", ",", "\ufeff", "\x0c", " ", "==", "[x]"]
    ),
    max_size=12,
).map("".join) | st.text(max_size=60)


@settings(deadline=None, max_examples=200)
@given(TEXTS)
def test_cutting_a_text_loses_nothing_and_no_change_changes_nothing(text: str) -> None:
    lines = split_lines(text)

    assert "".join(line.raw for line in lines) == text
    assert rewrite_lines(lines, {}, {}) == text
    for line in lines:
        if line.pin and line.version_at:
            assert Version(line.raw[slice(*line.version_at)]) == Version(line.pin.version)


GIT = "git+https://h.example/g.git#egg=g"


def test_the_question_to_uv_loosens_pins_only() -> None:
    text = (
        "-i https://user:pw@h.example/\n--pre\n--find-links wheels\n-r more.txt\n--require-hashes\n"
        "A[x]==1.0,<4 --hash=sha256:00\nb==1.0+cpu ; os_name=='nt'\nc>=3 # why\nd==2rc1\n-e ./here\n.[dev]\n-e git+https://h.example/g.git#egg=g\ne==5\n"
    )
    lines = split_lines(text)
    wishes = {"a": Wish("2.0", frozenset({"2.1"})), "e": Wish(exact="5")}

    assert index_options(lines, "/base") == (["-i https://user:pw@h.example/", "--find-links /base/wheels"], True)
    assert source_lines(lines, wishes, is_near=True) == [
        "A[x]<4,!=2.1,>=2.0", 'b>=1.0 ; os_name == "nt"', "c>=3", "d>=2rc1", GIT, "e==5",
    ]  # fmt: skip
    assert source_lines(lines, {}, is_near=False) == ["A[x]<4", 'b ; os_name == "nt"', "c>=3", "d>=2rc1", GIT, "e"]
    assert preference_lines(lines, wishes) == ["a==2.0", 'b==1.0+cpu ; os_name == "nt"', "d==2rc1", "e==5"]


def test_a_continued_requirement_is_one_line_to_uv() -> None:
    (line,) = split_lines("demo>=1, \\\n  <2 --hash=sha256:00 # why\n")

    assert requirement_text(line) == "demo>=1,   <2"


def test_a_backslash_in_a_comment_joins_no_lines() -> None:
    text = "demo==1.0 # why \\\nother==2.0\n"

    assert [line.pin.name for line in split_lines(text) if line.pin] == ["demo", "other"]


def test_more_versions_than_pins_are_no_solution() -> None:
    lines = split_lines("a==1\n")
    releases = read_releases("a==2 ; os_name == 'nt'\na==3 ; os_name != 'nt'\n")

    assert isinstance(assign_releases([lines], releases, frozenset()), NoSolution)


def test_a_pin_with_hashes_does_not_go_to_a_version_without() -> None:
    lines = split_lines("a==1 --hash=sha256:00\n")
    assigned = assign_releases([lines], read_releases("a==2\n"), frozenset())

    assert not isinstance(assigned, NoSolution)
    assert isinstance(rewrite_lines(lines, assigned, {}), NoSolution)


def test_added_packages_stand_in_order_with_the_files_line_ends() -> None:
    lines = split_lines("b==1 --hash=sha256:00\r\nd==1 --hash=sha256:00")
    added = read_releases("a==1 --hash=sha256:01\nc==1 --hash=sha256:02\n    # via b\nz==1\n")

    assert rewrite_lines(lines, {}, added) == (
        "a==1 --hash=sha256:01\r\nb==1 --hash=sha256:00\r\nc==1 --hash=sha256:02\r\nd==1 --hash=sha256:00\r\nz==1\r\n"
    )


def test_a_patch_keeps_line_ends_and_says_where_the_last_one_is_missing() -> None:
    patch = make_patch([FileChange("a.txt", "x\r\ny", "x\r\nz"), FileChange("b.txt", "same", "same")])

    assert patch == (
        "--- a/a.txt\n+++ b/a.txt\n@@ -1,2 +1,2 @@\n x\r\n"
        "-y\n\\ No newline at end of file\n+z\n\\ No newline at end of file\n"
    )


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("svc/a.txt", "a/svc/a.txt"),
        ("my svc/a.txt", "a/my svc/a.txt\t"),
        ("caf\xe9/a.txt", "a/caf\xe9/a.txt"),
        ('"\\/a.txt', '"a/\\042\\134/a.txt"'),
        ("x\n--- a/y/a.txt", '"a/x\\012--- a/y/a.txt"'),
        ("\udcff.txt", '"a/\\377.txt"'),
    ],
)
def test_a_patch_names_each_file_so_that_git_and_patch_read_it(name: str, header: str) -> None:
    assert make_patch([FileChange(name, "x\n", "y\n")]).split("\n@@")[0] == (
        f"--- {header}\n+++ {header.replace('a/', 'b/', 1)}"
    )


def test_the_summary_is_harmless_and_complete() -> None:
    found = Finding(package="a", version="1", id="X\x1b[31m\n::error::", sources=("osv",))
    declined = decline("app", [found], "poetry.lock")
    full = FixProposal(
        project="app",
        bumps=(
            Bump(package="a", from_version="1", to_version="2", removes=("X",)),
            Bump(package="b", from_version="1", to_version="2"),
            Bump(package="c", from_version="", to_version="2"),
            Bump(package="d", from_version="1", to_version=""),
        ),
        introduced=declined.unfixed,
        doubt="it failed",
        is_bounded=True,
        notes=("a note",),
        not_audited=(NotAudited(name="e\x1b[31m", reason="not pinned"), NotAudited(name="osv", reason="down")),
    )

    assert all(line.isprintable() for line in (*summary_lines(declined), *summary_lines(full)))
    assert "nothing to propose" in summary_lines(declined)[0]
    assert len(summary_lines(full)) == 11
    assert "not verified" in summary_lines(full)[0]


def test_a_line_of_options_that_cannot_be_read_is_not_left_out() -> None:
    started = process_time()
    for text in (f"--index-url https://h.example/{'x' * 1_000_000}\n", "--index-url 'https://h.example/\n"):
        with pytest.raises(RejectedError):
            index_options([Line(text)], "/base")

    assert process_time() - started < 1
