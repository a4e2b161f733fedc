"""The fleet's references as saved blocks: only what differs is saved, and only what is asked is deleted."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from blocks.loading import load_block
from blocks.publish import BlockDifference, Difference, compare, main, publish
from blocks.vault import VaultCredentials, VaultSecret
from holdtrue.credentials.documents import Documents, load_documents
from holdtrue.errors import BlockMissing

FILE = """
blocks:
  - type: vault-credentials
    name: publish-test
    address: https://vault.example.org:8200
    auth: {kind: approle, role_id: first}
  - type: vault-secret
    name: publish-test
    vault: publish-test
    path: app
    field: word
"""


@pytest.fixture
def declared(tmp_path: Path) -> Documents:
    (tmp_path / "blocks.yaml").write_text(FILE)
    return load_documents(tmp_path)


def differences(documents: Documents) -> dict[str, str]:
    return {item.block_type: item.difference for item in compare(documents) if item.name == "publish-test"}


def test_twice_is_once_a_change_is_shown_and_nothing_else_is_touched(
    declared: Documents, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    login, secret = "holdtrue-vault-credentials", "holdtrue-vault-secret"
    VaultCredentials(address="https://other.example.org", auth={"kind": "kubernetes", "role": "r"}).save("undeclared")
    assert differences(declared) == {login: Difference.MISSING, secret: Difference.MISSING}
    publish(declared)
    assert differences(declared) == {login: Difference.SAME, secret: Difference.SAME}
    assert load_block(VaultSecret, "publish-test").vault.address == "https://vault.example.org:8200"

    (tmp_path / "blocks.yaml").write_text(FILE.replace("role_id: first", "role_id: second"))
    monkeypatch.setenv("HOLDTRUE_FLEET", str(tmp_path))
    assert main(["--dry-run"]) == 1
    shown = capsys.readouterr().out
    assert "changed" in shown
    assert "first" in shown
    assert "second" in shown
    assert "undeclared" in shown
    assert load_block(VaultCredentials, "publish-test").auth.role_id == "first"  # type: ignore[union-attr]
    assert main([]) == 0
    assert load_block(VaultSecret, "publish-test").vault.auth.role_id == "second"  # type: ignore[union-attr]
    assert load_block(VaultCredentials, "undeclared").address == "https://other.example.org"

    assert main(["--prune"]) == 0
    with pytest.raises(BlockMissing):
        load_block(VaultCredentials, "undeclared")
    assert load_block(VaultCredentials, "publish-test").auth.role_id == "second"  # type: ignore[union-attr]


def test_a_wrong_file_saves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "blocks.yaml").write_text(
        FILE.replace("publish-test", "never-saved").replace("field: word", "fields: 1")
    )
    monkeypatch.setenv("HOLDTRUE_FLEET", str(tmp_path))
    assert main([]) == 2
    assert "blocks.yaml:" in capsys.readouterr().err
    with pytest.raises(BlockMissing):
        load_block(VaultCredentials, "never-saved")


@pytest.mark.parametrize("arguments", [[], ["--dry-run"]])
def test_an_api_that_is_not_there_is_one_line_and_exit_three(
    declared: Documents,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
) -> None:
    assert declared.entries
    monkeypatch.setenv("HOLDTRUE_FLEET", str(tmp_path))
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        assert main(arguments) == 3
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err.splitlines()) == 1
    assert "127.0.0.1:9" in told.err


def test_what_differs_is_shown_before_anything_is_saved(declared: Documents) -> None:
    shown: list[str] = []

    def refuse(found: Sequence[BlockDifference]) -> None:
        shown.extend(item.name for item in found if item.name == "never-saved")
        raise RuntimeError("the reader interrupts")

    renamed = tuple(replace(entry, name="never-saved") for entry in declared.entries)
    with pytest.raises(RuntimeError, match="interrupts"):
        publish(replace(declared, entries=renamed), show=refuse)
    assert shown == ["never-saved", "never-saved"]
    with pytest.raises(BlockMissing):
        load_block(VaultCredentials, "never-saved")


@pytest.mark.parametrize(("method", "path"), [("GET", "/block_types/slug/"), ("POST", "/block_documents/")])
def test_a_server_that_is_busy_for_a_moment_is_asked_again(
    declared: Documents, monkeypatch: pytest.MonkeyPatch, method: str, path: str
) -> None:
    send = httpx.Client.send
    refused: list[httpx.Request] = []

    def busy_once(client: httpx.Client, request: httpx.Request, **options: Any) -> httpx.Response:
        if not refused and request.method == method and path in request.url.path:
            refused.append(request)
            return httpx.Response(503, request=request)
        return send(client, request, **options)

    name = f"publish-busy-{method.lower()}"
    renamed = tuple(replace(entry, name=name) for entry in declared.entries[:1])
    monkeypatch.setattr(httpx.Client, "send", busy_once)

    publish(replace(declared, entries=renamed), show=lambda _: None)

    assert len(refused) == 1
    assert load_block(VaultCredentials, name).address == "https://vault.example.org:8200"
