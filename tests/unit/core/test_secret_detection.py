"""What looks like a secret, and what does not. The values are made up, and put together here."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel, Secret, SecretBytes, SecretStr

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
        [{"name": "DB_USER", "value": "app"}, {"name": "DB_PASSWORD_FILE", "value": "app"}],
        {"properties": {"db_password": {"type": "string", "title": "Password of the database"}}},
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
    assert [item.at for item in find_secrets([Secret[int](12345)])] == ["[0]"]


def test_dataclasses_are_looked_into() -> None:
    @dataclass
    class Login:
        user: str
        password: str

    assert [item.at for item in find_secrets({"login": Login("u", "in clear text")})] == ["login.password"]
    assert find_secrets({"login": Login("u", "${PASSWORD}")}) == ()


@pytest.mark.parametrize(
    ("value", "at"),
    [
        ([{"name": "DB_PASSWORD", "value": "in clear text"}], "[0].value"),
        (
            {"properties": {"db_password": {"type": "string", "default": "in clear text"}}},
            "properties.db_password.default",
        ),
        ({"properties": {"env": {"default": {"API_KEY": "in clear text"}}}}, "properties.env.default.API_KEY"),
    ],
)
def test_a_value_is_called_what_it_is_the_value_of(value: object, at: str) -> None:
    assert [item.at for item in find_secrets(value)] == [at]


def test_a_secret_that_is_a_key_is_found_and_is_in_no_path() -> None:
    token = "hvs" + f".{A36}"
    found = find_secrets({"env": {token: {"password": "in clear text"}}})
    assert [item.at for item in found] == ["env.(a key)", "env.(a key).password"]
    assert token not in f"{found}"


def test_data_that_holds_itself_ends() -> None:
    loop: list[object] = []
    loop.append(loop)
    assert find_secrets(loop) == ()


@pytest.mark.parametrize(
    "path", ["prefect.yaml", "fleet/blocks.yaml", "fleet/environments/demo.yaml", "fleet/pulumi/demo/Pulumi.yaml"]
)
def test_the_projects_own_files_hold_none(path: str) -> None:
    assert find_secrets(yaml.safe_load((CHECKOUT / path).read_text())) == ()
