"""Fixing a uv.lock with the real uv, against an index of hand-made wheels on this machine."""

from pathlib import Path

from holdtrue.adapters.uv_resolver import UvResolver, propose_fix
from holdtrue.core.lockfiles import parse_uv_lock
from holdtrue.models.dependency import Pin
from holdtrue.models.fix import Obstacle
from tests.integration.fix_desk import address, auditor, below, lock, moves, only_this_index, patched, state

__all__ = ["address", "only_this_index"]


def locked(path: Path) -> dict[str, str]:
    return {item.name: item.version for item in parse_uv_lock(path.read_text(), "uv.lock").dependencies}


def test_a_uv_lock_is_locked_anew_with_a_transitive_fix(tmp_path: Path) -> None:
    path = lock(tmp_path, "top", "beta", pinned=["alpha==1.0", "beta==1.0", "top==1.0"])
    records = (below("PYSEC-1", "alpha", "2.0.1"),)
    audit, before = auditor(*records), state(tmp_path)
    findings = audit([Pin(name, version) for name, version in locked(path).items()])

    proposal = propose_fix(path, findings, audit=audit)

    assert state(tmp_path) == before
    patched(proposal, tmp_path)
    assert locked(path) == {"alpha": "2.0.1", "beta": "3.0", "top": "1.0"}
    assert proposal.is_verified
    assert UvResolver().run(["lock", "--check"], tmp_path) == ""


def test_a_uv_lock_whose_project_forbids_the_fix_has_no_solution(tmp_path: Path) -> None:
    path = lock(tmp_path, "alpha<1.1")
    audit = auditor(below("PYSEC-1", "alpha", "1.1"))

    proposal = propose_fix(path, audit([Pin("alpha", "1.0")]), audit=audit)

    assert (proposal.patch, [item.obstacle for item in proposal.unfixed]) == ("", [Obstacle.NO_SOLUTION])


def test_a_fork_that_cannot_have_the_version_wished_for_sends_nothing_else_to_the_newest(tmp_path: Path) -> None:
    forks = (
        '[project.optional-dependencies]\na = ["beta<{limit}"]\nb = ["beta==3.0"]\n'
        '[tool.uv]\nconflicts = [[{{ extra = "a" }}, {{ extra = "b" }}]]\n'
    )
    lock(tmp_path, "alpha", "grown", pinned=["alpha==1.0", "grown==1.0"], more=forks.format(limit=2))
    path = lock(tmp_path, "alpha", "grown", more=forks.format(limit=3))
    audit = auditor(below("PYSEC-1", "alpha", "1.1"), below("PYSEC-2", "beta", "2.0"), below("PYSEC-3", "grown", "1.1"))
    held = [Pin("alpha", "1.0"), Pin("beta", "1.0"), Pin("beta", "3.0"), Pin("grown", "1.0")]

    proposal = propose_fix(path, audit(held), audit=audit)
    patched(proposal, tmp_path)

    assert (moves(proposal)["alpha"], moves(proposal)["grown"]) == (("1.0", "1.1"), ("1.0", "1.1"))
    assert moves(proposal)["beta"] == ("1.0", "2.1")
    assert (proposal.is_verified, proposal.unfixed) == (True, ())
    assert UvResolver().run(["lock", "--check"], tmp_path) == ""


def test_a_patch_for_a_folder_above_names_the_lock_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "svc").mkdir()
    path = lock(tmp_path / "svc", "alpha", pinned=["alpha==1.0"])
    audit = auditor(below("PYSEC-1", "alpha", "1.1"))

    proposal = propose_fix(path, audit([Pin("alpha", "1.0")]), audit=audit, patch_folder=tmp_path)
    patched(proposal, tmp_path)

    assert locked(path) == {"alpha": "1.1"}
