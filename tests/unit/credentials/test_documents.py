"""The fleet's blocks.yaml: what it declares, and how a wrong one is refused."""

from pathlib import Path

import pytest

from holdtrue.credentials.documents import load_documents
from holdtrue.credentials.vault import VaultCredentials, VaultSecret
from holdtrue.errors import BlockMissing, ManifestError

LOGIN = """
  - type: vault-credentials
    name: production
    address: ${ADDRESS}
    auth: {kind: approle, role_id: "${ROLE}"}
"""
SECRET = """
  - type: vault-secret
    name: app
    vault: production
    path: app
    field: word
"""
VARIABLES = {"ADDRESS": "https://vault.example.org:8200", "ROLE": "the-role"}


def fleet(folder: Path, text: str) -> Path:
    (folder / "blocks.yaml").write_text(text)
    return folder


def test_references_are_found_by_kind_and_name_wherever_their_login_stands(tmp_path: Path) -> None:
    documents = load_documents(fleet(tmp_path, f"blocks:{SECRET}{LOGIN}"), VARIABLES)
    assert [entry.name for entry in documents.entries] == ["production", "app"]
    secret = documents.load(VaultSecret, "app")
    assert secret.vault == documents.load(VaultCredentials, "production")
    assert secret.vault.address == VARIABLES["ADDRESS"]
    with pytest.raises(BlockMissing, match="VaultSecret named 'other'"):
        documents.load(VaultSecret, "other")


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        ("blocks: {}", "blocks.yaml:1", "list"),
        ("blocks: []\nmore: 1", "blocks.yaml:1", "nothing else"),
        ("blocks: [text]", "blocks.0", "mapping"),
        (f"blocks:{LOGIN.replace('vault-credentials', 'vault')}", "blocks.0.type", "vault-credentials"),
        (f"blocks:{LOGIN.replace('production', 'Production!')}", "blocks.0.name", "lower-case"),
        (f"blocks:{LOGIN}{LOGIN}", "blocks.1.name", "twice"),
        (f"blocks:{LOGIN.replace('ADDRESS', 'NO_SUCH')}", "blocks.0.address", "NO_SUCH"),
        (f"blocks:{LOGIN}    extra: 1\n", "blocks.0.extra", "Extra"),
        (f"blocks:{SECRET}", "blocks.0.vault", "declared: none"),
        (f"blocks:{LOGIN}{SECRET.replace('path: app', 'path: ../app')}", "blocks.1.path", ".."),
    ],
)
def test_what_is_wrong_is_named_with_line_and_field(tmp_path: Path, text: str, place: str, problem: str) -> None:
    with pytest.raises(ManifestError) as caught:
        load_documents(fleet(tmp_path, text), VARIABLES)
    assert place in caught.value.where
    assert problem in caught.value.what


def test_a_pasted_secret_is_refused_and_not_repeated(tmp_path: Path) -> None:
    token = "hvs." + "CAESIJ" * 6
    for text in (LOGIN.replace("${ROLE}", token), f"{LOGIN}    secret_id: {'pasted' * 4}\n"):
        with pytest.raises(ManifestError, match="looks like a secret") as caught:
            load_documents(fleet(tmp_path, f"blocks:{text}"), VARIABLES)
        assert token not in str(caught.value)
        assert "pastedpasted" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="cannot be read"):
        load_documents(tmp_path, VARIABLES)


def test_a_link_that_leads_out_of_the_fleet_is_refused(tmp_path: Path) -> None:
    root = fleet(tmp_path, f"blocks:{SECRET}{LOGIN}")
    moved = (root / "blocks.yaml").rename(root / "moved.yaml")
    (root / "blocks.yaml").symlink_to("moved.yaml")
    assert load_documents(root, VARIABLES).entries
    outside = moved.rename(tmp_path.parent / f"{tmp_path.name}-blocks.yaml")
    (root / "blocks.yaml").unlink()
    (root / "blocks.yaml").symlink_to(outside)
    with pytest.raises(ManifestError, match="leads out of the fleet"):
        load_documents(root, VARIABLES)
