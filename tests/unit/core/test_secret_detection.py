"""What looks like a secret, and what does not. The values are made up, and put together here."""

from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel, SecretBytes, SecretStr

from holdtrue.core.secret_detection import find_secrets, format_of

CHECKOUT = Path(__file__).parents[3]
A20, A36, A40 = "Ab1" * 7, "Ab1" * 12, "0a" * 20


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("-----BEGIN " + "OPENSSH PRIVATE KEY-----\nabc", "a private key"),
        ("hvs" + f".{A36}", "a Vault token"),
        ("s" + f".{A36}", "a Vault token"),
        ("AKIA" + "ABCDEFGHIJKLMNOP", "an AWS access key"),
        ("ghp" + f"_{A36}", "a GitHub token"),
        ("glpat" + f"-{A20}", "a GitLab token"),
        ("xoxb" + "-123456789012-abc", "a Slack token"),
        ("sk_live" + f"_{A20}", "a Stripe key"),
        ("npm" + f"_{A36}", "an npm token"),
        ("pul" + f"-{A40}", "a Pulumi token"),
        ("pnu" + f"_{A36}", "a Prefect API key"),
        ("eyJ" + "hbGciOiJ9.eyJ" + "zdWIiOiIx.c2lnbmF0dXJl", "a JSON Web Token"),
        ("Bearer " + A36, "an Authorization header"),
        ("postgresql://app:" + "pw@db/app", "a URL with a password"),
    ],
)
def test_known_formats_are_found_anywhere_in_a_text(text: str, kind: str) -> None:
    assert format_of(f"before {text}") == kind
    (found,) = find_secrets({"note": ["fine", {"text": text}]})
    assert found.at == "note[1].text"
    assert text not in f"{found}"


@pytest.mark.parametrize("name", ["password", "DB_PASSWORD", "api_key", "secret_id", "auth.token", "private_key"])
def test_a_plain_text_under_a_secrets_name_is_found(name: str) -> None:
    (found,) = find_secrets({"env": {name: "a plain text"}})
    assert found.at == f"env.{name}"


@pytest.mark.parametrize(
    "value",
    [
        {"password_file": "/run/secrets/password"},
        {"token": "/run/identity/token"},
        {"secret": "${FROM_ENVIRONMENT}"},
        {"password": "{{ prefect.blocks.secret.x }}"},
        {"password": ""},
        {"password": None},
        {"secret_id": {"kind": "environment", "variable": "HOLDTRUE_VAULT_SECRET_ID"}},
        {"role_id": "1f0c8a4e-0b55-4c8e-9d6a-3f1f6b1c2d3e"},
        {"digest": "sha256:" + "ab" * 32},
        {"address": "https://vault.example.org:8200"},
        {"url": "https://user@example.org/path"},
    ],
)
def test_references_are_no_secrets(value: object) -> None:
    assert find_secrets(value) == ()


def test_secret_types_are_found_in_models_too() -> None:
    class Login(BaseModel):
        user: str
        word: SecretStr

    assert [item.at for item in find_secrets({"login": Login(user="u", word=SecretStr("x"))})] == ["login.word"]
    assert [item.at for item in find_secrets([SecretBytes(b"x")])] == ["[0]"]


def test_data_that_holds_itself_ends() -> None:
    loop: list[object] = []
    loop.append(loop)
    assert find_secrets(loop) == ()


@pytest.mark.parametrize(
    "path", ["prefect.yaml", "fleet/blocks.yaml", "fleet/environments/demo.yaml", "fleet/pulumi/demo/Pulumi.yaml"]
)
def test_the_projects_own_files_hold_none(path: str) -> None:
    assert find_secrets(yaml.safe_load((CHECKOUT / path).read_text())) == ()
