"""Fixing requirements files with the real uv, against an index of hand-made wheels on this machine."""

from pathlib import Path

import pytest

from holdtrue.adapters.uv_resolver import propose_fix
from holdtrue.core.fix_proposal import Limits
from holdtrue.models.dependency import Pin
from holdtrue.models.fix import Obstacle
from tests.integration.fix_desk import (
    address,
    advisory,
    auditor,
    below,
    digest,
    fix,
    moves,
    only_this_index,
    patched,
    write,
)

__all__ = ["address", "only_this_index"]


def test_a_single_bump_changes_one_line_and_keeps_the_rest(tmp_path: Path) -> None:
    path = write(tmp_path, "\ufeff# ours\r\nbeta==1.0\r\nAlpha[x] == 1.0  # keep me\r\n\r\ntop==1.0")

    proposal = fix(path, below("PYSEC-1", "alpha", "1.1"))
    patched(proposal, tmp_path)

    assert path.read_bytes().decode() == "\ufeff# ours\r\nbeta==1.0\r\nAlpha[x] == 1.1  # keep me\r\n\r\ntop==1.0"
    assert moves(proposal) == {"alpha": ("1.0", "1.1")}
    assert (proposal.is_verified, proposal.unfixed, proposal.bumps[0].removes) == (True, (), ("PYSEC-1",))


def test_a_fix_that_is_not_on_the_index_goes_to_the_next_version(tmp_path: Path) -> None:
    proposal = fix(write(tmp_path, "alpha==1.0\n"), below("PYSEC-1", "alpha", "1.2"))

    assert moves(proposal) == {"alpha": ("1.0", "1.2.5")}
    assert proposal.is_verified


def test_another_package_moves_only_as_far_as_it_must(tmp_path: Path) -> None:
    proposal = fix(write(tmp_path, "alpha==1.0\nbeta==1.0\ntop==1.0\n"), below("PYSEC-1", "alpha", "2.0.1"))

    assert moves(proposal) == {"alpha": ("1.0", "2.0.1"), "beta": ("1.0", "2.0")}
    assert proposal.is_verified


def test_a_package_goes_down_when_nothing_else_resolves(tmp_path: Path) -> None:
    proposal = fix(write(tmp_path, "downer==1.0\nbeta==3.0\n"), below("PYSEC-1", "downer", "1.1"))

    assert moves(proposal) == {"downer": ("1.0", "1.1"), "beta": ("3.0", "2.1")}


def test_a_moved_package_must_not_bring_its_own_findings(tmp_path: Path) -> None:
    proposal = fix(
        write(tmp_path, "alpha==1.0\nbeta==1.0\n"),
        below("PYSEC-1", "alpha", "2.0.1"),
        advisory("PYSEC-2", "beta", versions=["2.0"]),
    )

    assert moves(proposal) == {"alpha": ("1.0", "2.0.1"), "beta": ("1.0", "2.1")}
    assert (proposal.is_verified, proposal.introduced) == (True, ())


def test_fix_branches_of_two_findings_meet_at_a_version_that_has_neither(tmp_path: Path) -> None:
    branches = advisory(
        "PYSEC-1", "alpha", (("introduced", "0"), ("fixed", "1.2.5"), ("introduced", "1.3.0"), ("fixed", "2.0.1"))
    )

    proposal = fix(write(tmp_path, "alpha==1.0\nbeta==2.0\n"), branches, below("PYSEC-2", "alpha", "1.3.0"))

    assert moves(proposal) == {"alpha": ("1.0", "2.0.1")}
    assert set(proposal.bumps[0].removes) == {"PYSEC-1", "PYSEC-2"}


def test_a_vulnerable_fix_is_passed_over(tmp_path: Path) -> None:
    own = advisory("PYSEC-2", "alpha", (("introduced", "1.1"), ("fixed", "1.2.5")))

    proposal = fix(write(tmp_path, "alpha==1.0\n"), below("PYSEC-1", "alpha", "1.1"), own)

    assert moves(proposal) == {"alpha": ("1.0", "1.2.5")}
    assert proposal.is_verified


def test_a_vulnerable_fix_that_nothing_mends_is_passed_over_too(tmp_path: Path) -> None:
    own = advisory("PYSEC-2", "alpha", versions=["1.1"])

    proposal = fix(write(tmp_path, "alpha==1.0\n"), below("PYSEC-1", "alpha", "1.1"), own)

    assert moves(proposal) == {"alpha": ("1.0", "1.2.5")}


def test_a_conflict_is_no_solution_and_spares_the_other_fixes(tmp_path: Path) -> None:
    proposal = fix(
        write(tmp_path, "alpha==1.0\nbeta==1.0\ngamma==1.0\ngrown==1.0\n"),
        below("PYSEC-1", "alpha", "1.2.5"),
        below("PYSEC-2", "alpha", "1.1"),
        below("PYSEC-3", "beta", "2.0"),
        below("PYSEC-4", "grown", "9"),
        advisory("PYSEC-5", "gamma", (("introduced", "0"),)),
        advisory("PYSEC-6", "beta"),
    )

    assert moves(proposal) == {"alpha": ("1.0", "1.1"), "beta": ("1.0", "2.0")}
    assert {(item.id, item.obstacle) for item in proposal.unfixed} == {
        ("PYSEC-1", Obstacle.NO_SOLUTION),
        ("PYSEC-4", Obstacle.NO_SOLUTION),
        ("PYSEC-5", Obstacle.NO_FIX),
        ("PYSEC-6", Obstacle.POSSIBLE),
    }
    assert "gamma" in next(item.detail for item in proposal.unfixed if item.id == "PYSEC-1")
    assert proposal.is_verified


def test_hashes_are_replaced_and_a_new_dependency_is_added(tmp_path: Path) -> None:
    text = (
        f"beta==1.0 \\\n    --hash={digest('beta', '1.0')}\n    # via app\n"
        f"grown==1.0 \\\n    --hash={digest('grown', '1.0')} \\\n    --hash=sha256:{'0' * 64}\n    # via app\n"
        f"top==1.0 \\\n    --hash={digest('top', '1.0')}\n    # via app\n"
    )
    path = write(tmp_path, text + f"alpha==1.0 --hash={digest('alpha', '1.0')}\n")

    proposal = fix(path, below("PYSEC-1", "grown", "1.1"))
    patched(proposal, tmp_path)

    assert moves(proposal) == {"grown": ("1.0", "1.1"), "newcomer": ("", "5.0")}
    assert path.read_text() == (
        f"beta==1.0 \\\n    --hash={digest('beta', '1.0')}\n    # via app\n"
        f"grown==1.1 \\\n    --hash={digest('grown', '1.1')}\n    # via app\n"
        f"newcomer==5.0 \\\n    --hash={digest('newcomer', '5.0')}\n    # via grown\n"
        f"top==1.0 \\\n    --hash={digest('top', '1.0')}\n    # via app\n"
        f"alpha==1.0 --hash={digest('alpha', '1.0')}\n"
    )


def test_a_pin_in_an_included_file_is_changed_there(tmp_path: Path) -> None:
    path = write(tmp_path, "-r base.txt\n-c limits.txt\ntop\n")
    write(tmp_path, "beta==1.0\n", "base.txt")
    limits = write(tmp_path, "alpha==1.0\n", "limits.txt")

    proposal = fix(path, below("PYSEC-1", "alpha", "1.1"))
    patched(proposal, tmp_path)

    assert limits.read_text() == "alpha==1.1\n"
    assert path.read_text() == "-r base.txt\n-c limits.txt\ntop\n"


def test_a_pin_outside_of_the_folder_is_noted(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    write(tmp_path, "alpha==1.0\n", "base.txt")
    path = write(tmp_path / "inner", "-r ../base.txt\n-e ./absent\n")
    audit = auditor(below("PYSEC-1", "alpha", "1.1"))

    proposal = propose_fix(path, audit([Pin("alpha", "1.0")]), audit=audit)

    assert moves(proposal) == {"alpha": ("1.0", "1.1")}
    assert any("outside" in note for note in proposal.notes)
    assert any("folders of this machine" in note for note in proposal.notes)


def test_markers_are_kept_and_a_pin_that_is_not_installed_here_is_told(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        'alpha==1.0 ; python_version < "3.9"\nalpha==1.1 ; python_version >= "3.9"\nbeta==1.0 ; os_name == "nt"\n',
    )

    proposal = fix(path, below("PYSEC-1", "alpha", "1.2.5"), below("PYSEC-2", "beta", "2.0"))
    patched(proposal, tmp_path)

    assert path.read_text() == (
        'alpha==1.0 ; python_version < "3.9"\nalpha==1.2.5 ; python_version >= "3.9"\nbeta==2.0 ; os_name == "nt"\n'
    )
    assert [(item.version, item.obstacle) for item in proposal.unfixed] == [("1.0", Obstacle.NOT_RESOLVED)]


def test_the_bound_on_resolver_runs_is_told(tmp_path: Path) -> None:
    path = write(tmp_path, "alpha==1.0\ngamma==1.0\nbeta==1.0\n")

    proposal = fix(
        path, below("PYSEC-1", "alpha", "1.2"), below("PYSEC-2", "beta", "2.0"), limits=Limits(resolver_runs=2)
    )

    assert proposal.is_bounded
    assert {item.obstacle for item in proposal.unfixed} == {Obstacle.NOT_TRIED}
    assert proposal.resolver_runs == 2


def test_other_formats_are_declined_in_words(tmp_path: Path) -> None:
    audit = auditor(below("PYSEC-1", "alpha", "1.1"))

    proposal = propose_fix(write(tmp_path, "", "poetry.lock"), audit([Pin("alpha", "1.0")]), audit=audit)

    (item,) = proposal.unfixed
    assert (item.obstacle, item.detail.startswith("not proposed: ")) == (Obstacle.FORMAT, True)


@pytest.mark.parametrize(
    ("text", "constraint", "expected"),
    [
        ("alpha==1.0\n-c limits.txt\n", "alpha==1.0.0\n", ["alpha==1.1\n-c limits.txt\n", "alpha==1.1\n"]),
        ("alpha==1.0.0\n-c limits.txt\n", "alpha==1\n", ["alpha==1.1\n-c limits.txt\n", "alpha==1.1\n"]),
        ("alpha==1.0\nalpha==1.0.0\n", "", ["alpha==1.1\nalpha==1.1\n"]),
        ("alpha==1\nbeta==1\nbeta==1.0\nalpha==1.0\n", "", ["alpha==1.1\nbeta==1\nbeta==1.0\nalpha==1.1\n"]),
        (
            "alpha==1.0 ; python_version < '3.9'\nalpha==1.0 ; python_version >= '3.9'\nalpha==1.0.0\n",
            "",
            ["alpha==1.1 ; python_version < '3.9'\nalpha==1.1 ; python_version >= '3.9'\nalpha==1.1\n"],
        ),
    ],
)
def test_one_version_that_is_written_in_two_ways_is_changed_everywhere(
    tmp_path: Path, text: str, constraint: str, expected: list[str]
) -> None:
    path = write(tmp_path, text)
    if constraint:
        write(tmp_path, constraint, "limits.txt")

    proposal = fix(path, below("PYSEC-1", "alpha", "1.1"))

    assert proposal.is_verified
    assert {(bump.package, bump.to_version) for bump in proposal.bumps} == {("alpha", "1.1")}
    patched(proposal, tmp_path)
    assert [path.read_text(), *([(tmp_path / "limits.txt").read_text()] if constraint else [])] == expected
