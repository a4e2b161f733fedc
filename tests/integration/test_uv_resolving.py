"""Resolving unpinned requirements with the real uv, against an index of hand-made wheels on this machine."""

from pathlib import Path

import pytest

from holdtrue.adapters.uv_resolver import KIND, read_resolved, resolve_requirements
from holdtrue.errors import AccessDenied, RejectedError, ServiceNotReady, ServiceUnreachable
from tests.integration.fix_desk import address, only_this_index, state, write

__all__ = ["address", "only_this_index"]


def test_unpinned_requirements_become_an_inventory_with_chains(tmp_path: Path) -> None:
    path = write(tmp_path, "top\ngamma\n", "app.in")
    before = state(tmp_path)

    inventory = read_resolved(path)

    assert (inventory.label, inventory.kind, inventory.gaps) == (str(path), KIND, ())
    assert {item.name: (item.version, item.chain) for item in inventory.dependencies} == {
        "alpha": ("1.1", ("gamma",)),
        "gamma": ("1.1", ()),
        "top": ("2.0", ()),
    }
    assert state(tmp_path) == before


def test_pip_index_variables_are_honoured(tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UV_DEFAULT_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", f"{address}/simple")

    assert "newcomer==5.0" in resolve_requirements(write(tmp_path, "grown\n"))


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, AccessDenied), (403, AccessDenied), (404, RejectedError), (429, ServiceNotReady), (503, ServiceNotReady)],
)
def test_an_index_that_refuses_is_no_missing_package(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch, status: int, kind: type[Exception]
) -> None:
    with_secret = address.replace("//", "//user:s3cr3t@")
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"{with_secret}/status/{status}/simple")

    with pytest.raises(kind) as caught:
        resolve_requirements(write(tmp_path, "alpha\n"))

    assert type(caught.value) is kind
    assert "s3cr3t" not in str(caught.value)


def test_no_index_at_all_is_unreachable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://user:s3cr3t@127.0.0.1:9/simple")

    with pytest.raises(ServiceUnreachable) as caught:
        resolve_requirements(write(tmp_path, "alpha\n"))

    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("gamma\nalpha>=2\n", "gamma"),
        ("alpha==\n", "version"),
        ("--index-url http://user:s3/cr3t@host.example/\nalpha\n", "uv"),
        ("-r absent.txt\n", "cannot be read"),
        ("-e ./built\n", "build"),
    ],
)
def test_what_cannot_be_resolved_is_rejected_without_secrets(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "built").mkdir()
    write(tmp_path / "built", "raise SystemExit('built')\n", "setup.py")

    with pytest.raises(RejectedError, match=told) as caught:
        resolve_requirements(write(tmp_path, text))

    assert "cr3t" not in str(caught.value)


def test_a_local_project_that_tells_all_is_resolved_without_a_trace(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    write(tmp_path / "own", '[project]\nname = "own"\nversion = "1"\ndependencies = ["grown"]\n', "pyproject.toml")
    path = write(tmp_path, "-e ./own\n")
    before = state(tmp_path)

    assert {item.name for item in read_resolved(path).dependencies} == {"own", "grown", "newcomer"}
    assert state(tmp_path) == before
