"""A pasted secret is no name of a variable, and the refusal does not repeat it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from holdtrue.credentials.documents import load_documents
from holdtrue.credentials.logins import AppRoleAuth, JwtAuth, TokenAuth, UserpassAuth
from holdtrue.credentials.sources import EnvironmentSource, WrappedSource
from holdtrue.credentials.vault import VaultCredentials
from holdtrue.errors import ManifestError

PASTED = [
    "1f0c8a4e-0b55-4c8e-9d6a-3f1f6b1c2d3e",
    "hvs." + "Ab1" * 8,
    "a password",
    "p@ssw0rd",
    "NAME\n",
    "9NAME",
    "",
]


@pytest.mark.parametrize("pasted", PASTED)
@pytest.mark.parametrize(
    "build",
    [
        lambda given: EnvironmentSource(variable=given["variable"]),
        lambda given: WrappedSource.model_validate({"token": given}),
        lambda given: AppRoleAuth.model_validate({"role_id": "r", "secret_id": given}),
        lambda given: JwtAuth.model_validate({"role": "r", "token": given}),
        lambda given: UserpassAuth.model_validate({"username": "u", "password": given}),
        lambda given: TokenAuth.model_validate({"source": given}),
        lambda given: VaultCredentials.model_validate(
            {
                "address": "https://vault.example.org",
                "auth": {"kind": "approle", "role_id": "r", "secret_id": given},
            }
        ),
    ],
)
def test_a_pasted_secret_is_refused_and_not_repeated(build: Callable[[dict[str, str]], object], pasted: str) -> None:
    with pytest.raises(ValidationError) as refused:
        build({"kind": "environment", "variable": pasted})
    assert not pasted.strip() or pasted not in str(refused.value)


@pytest.mark.parametrize("text", ["1f0c8a4e-0b55-4c8e-9d6a-3f1f6b1c2d3e", "hvs." + "Ab1" * 8])
def test_a_pasted_secret_in_place_of_a_source_is_not_repeated(text: str) -> None:
    with pytest.raises(ValidationError) as refused:
        AppRoleAuth.model_validate({"role_id": "r", "secret_id": text})
    assert text not in str(refused.value)


def test_a_file_of_blocks_with_a_pasted_secret_is_refused_and_the_refusal_does_not_repeat_it(tmp_path: Path) -> None:
    (tmp_path / "blocks.yaml").write_text(
        "blocks:\n"
        "  - type: vault-credentials\n"
        "    name: demo\n"
        "    address: https://vault.example.org\n"
        "    auth:\n"
        "      kind: approle\n"
        "      role_id: r\n"
        f"      secret_id: {{ kind: environment, variable: {PASTED[0]} }}\n"
    )
    with pytest.raises(ManifestError) as refused:
        load_documents(tmp_path)
    assert "variable" in str(refused.value)
    assert PASTED[0] not in str(refused.value)


@pytest.mark.parametrize("name", ["HOLDTRUE_VAULT_SECRET_ID", "_x", "token2"])
def test_a_name_is_taken(name: str) -> None:
    assert EnvironmentSource(variable=name).variable == name
