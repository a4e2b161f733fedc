"""What looks like a secret, and what does not. The values are made up, and put together here."""

from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from time import process_time

import pytest
import yaml
from pydantic import BaseModel, Secret, SecretBytes, SecretStr

from holdtrue.core.secret_detection import find_secrets, format_of

CHECKOUT = Path(__file__).parents[3]
A20, A24, A36, A40 = "Ab1" * 7, "Ab1" * 8, "Ab1" * 12, "0a" * 20


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("-----BEGIN " + "OPENSSH PRIVATE KEY-----\nabc", "a private key"),
        ("hvs" + f".{A36}", "a Vault token"),
        ("hvb" + f".{A36}_-{A36}", "a Vault token"),
        ("s" + f".{A24}", "a Vault token"),
        ("s" + f".{A24}.ns1a2", "a Vault token"),
        ("b" + f".AAAAAQ{A36}{A36}", "a Vault token"),
        ("AKIA" + "ABCDEFGHIJKLMNOP", "an AWS access key"),
        ("ghp" + f"_{A36}", "a GitHub token"),
        ("glpat" + f"-{A20}", "a GitLab token"),
        ("glrt" + f"-{A20}.01.0w1a2b3c4", "a GitLab token"),
        ("xoxb" + "-123456789012-abc", "a Slack token"),
        ("sk_live" + f"_{A20}", "a Stripe key"),
        ("npm" + f"_{A36}", "an npm token"),
        ("pul" + f"-{A40}", "a Pulumi token"),
        ("pnu" + f"_{A36}", "a Prefect API key"),
        ("eyJ" + "hbGciOiJ9.eyJ" + "zdWIiOiIx.c2lnbmF0dXJl", "a JSON Web Token"),
        ("Bearer " + A36, "an Authorization header"),
        ("authorization: basic " + b64encode(b"app:a password").decode(), "an Authorization header"),
        ("postgresql://app:" + "pw@db/app", "a URL with a password"),
        ("redis://:" + "pw@cache:6379", "a URL with a password"),
        ("postgresql://app:" + "${NAME:-pw}@db/app", "a URL with a password"),
    ],
)
def test_known_formats_are_found_anywhere_in_a_text(text: str, kind: str) -> None:
    assert format_of(f"before {text}") == kind
    (found,) = find_secrets({"note": ["fine", {"text": text}]})
    assert found.at == "note[1].text"
    assert text not in f"{found}"


@pytest.mark.parametrize(
    "name",
    [
        *("password", "DB_PASSWORD", "PGPASSWORD", "dbPassword", "DBPassword", "db-password", "password2", "SSHPASS"),
        *("passphrase", "MYSQL_PWD", "api_key", "apiKey", "APIKey", "secret_id", "secretId", "clientSecret"),
        *("SECRET_KEY", "DJANGO_SECRET_KEY", "ENCRYPTION_KEY", "private_key", "AccountKey", "aws_secret_access_key"),
        *("auth.token", "accessToken", "GITHUB_TOKEN", "tokens", "X-Vault-Token", "db_credentials"),
    ],
)
def test_a_plain_text_under_a_secrets_name_is_found(name: str) -> None:
    (found,) = find_secrets({"env": {name: "a plain text"}})
    assert found.at == f"env.{name}"


@pytest.mark.parametrize(
    ("value", "at"),
    [
        ({"passwords": ["in clear text"]}, "passwords[0]"),
        ({"secrets": {"db": "in clear text"}}, "secrets.db"),
        ({"secrets": {"db": {"production": ["in clear text"]}}}, "secrets.db.production[0]"),
        ({"secrets": [{"name": "db", "value": "in clear text"}]}, "secrets[0].value"),
        ({"token": {"kind": "plain", "given": "in clear text"}}, "token.given"),
        ({"DB_PASSWORD": 12345678}, "DB_PASSWORD"),
        ({"secrets": {"pin": 123456}}, "secrets.pin"),
    ],
)
def test_what_stands_below_a_secrets_name_is_one_too(value: object, at: str) -> None:
    assert [item.at for item in find_secrets(value)] == [at]


RANDOM = "w/JalrXUtnFEMIK7MDENG/bPxRfiCYEXAMPLEKEY"


@pytest.mark.parametrize(
    "text",
    [
        *(RANDOM, "/JalrXUtnFEMIK7MDENG/bPxRfiCYEXAMPLEKEY1", b64encode(b"/" * 32).decode(), "/hunter2hunter2"),
        *("~hunter2", ".hunter2", "~/hunter2", "./hunter2", "/my$ecret!/or not", "C:hunter2", "${NAME:-hunter2}"),
        *("{{ a }}hunter2", "$ecret99", "*hunter2*", "**", "1234", "\\hunter2\\hunter2"),
    ],
)
def test_what_only_begins_like_a_reference_is_a_secret(text: str) -> None:
    assert [item.at for item in find_secrets({"secret_access_key": text})] == ["secret_access_key"]


@pytest.mark.parametrize(
    "text",
    [
        "export DB_PASSWORD=hunter2hunter2",
        "docker run -e PGPASSWORD='hunter2 hunter2' app",
        "run --db-password hunter2",
        "run --dbPassword=hunter2",
        "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=" + b64encode(b"\xff" * 64).decode() + ";Suffix=x",
        "Server=db;User Id=app;Password=hunter2;Encrypt=yes",
        "https://storage.example.org/a?expires=1&token=hunter2hunter2",
        '{"user": "app", "password": "hunter2"}',
        "sh -c \"PASSWORD_FILE=/run/x TOKEN='hunter2'\"",
    ],
)
def test_what_a_text_gives_to_a_secrets_name_is_found(text: str) -> None:
    (found,) = find_secrets({"command": text})
    assert found.at == "command"
    assert "hunter2" not in found.why


@pytest.mark.parametrize(
    "value",
    [
        {"password_file": "/run/secrets/password"},
        {"token": "/run/identity/token"},
        {"token": "/token"},
        {"token": "~/.vault-token"},
        {"password": "~/.pgpass"},
        {"private_key": "./id.pem"},
        {"private_key": "../keys/id_ed25519"},
        {"private_key": "C:\\keys\\id.pem"},
        {"token": "${CREDENTIALS_DIRECTORY}/token"},
        {"token": "/var/run/secrets/kubernetes.io/serviceaccount/token"},
        {"token": "/" + "var/" * 9 + "abc"},
        {"secret": "${FROM_ENVIRONMENT}"},
        {"secret": "${FROM_ENVIRONMENT:?must be set}"},
        {"secret": "$FROM_ENVIRONMENT"},
        {"secret": "${{ secrets.X }}"},
        {"password": "{{ prefect.blocks.secret.x }}"},
        {"password": "<password>"},
        {"password": "{password}"},
        {"password": "**********"},
        {"password": ""},
        {"password": None},
        {"ask_password": True},
        {"use_password": "true"},
        {"tokens": 100},
        {"secret_arn": "arn:aws:secretsmanager:eu-central-1:1:secret:x"},
        {"secret": "arn:aws:secretsmanager:eu-central-1:1:secret:x"},
        {"secret_id": {"kind": "environment", "variable": "HOLDTRUE_VAULT_SECRET_ID"}},
        {"token": {"kind": "file", "path": "/run/token", "ttl_seconds": 3600}},
        {"role_id": "1f0c8a4e-0b55-4c8e-9d6a-3f1f6b1c2d3e"},
        {"digest": "sha256:" + "ab" * 32},
        {"address": "https://vault.example.org:8200"},
        {"url": "https://user@example.org/path"},
        {"image": "registry.example.org:5000/team/app@sha256:" + "ab" * 32},
        [{"name": "DB_USER", "value": "app"}, {"name": "DB_PASSWORD_FILE", "value": "app"}],
        [{"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}],
        {"properties": {"db_password": {"type": "string", "title": "Password of the database", "format": "password"}}},
        {"job": "glue-etl-customer-orders-daily"},
        {"endpoint": "global-accelerator-production-eu"},
        {"job": "glagent-for-the-production-cluster"},
        {"note": "Basic infrastructure-as-code run"},
        {"note": "a bearer of-good-news-for-2024-and-2025"},
        {"url": "https://s.internal-load-balancer-1.example.org"},
        {"url": "https://hvs.internal-load-balancer-production-eu.example.org"},
        {"host": "s.internalloadbalancer12345"},
        {"url": "postgresql://app:$DB_PASSWORD@db/app"},
        {"url": "postgresql://app:$db_password@db/app"},
        {"url": "postgresql://app:${DB_PASSWORD}@db/app"},
        {"url": "postgresql://app:{{ password }}@db/app"},
        {"url": "postgresql://{user}:{password}@{host}/app"},
        {"url": "postgresql://app:<password>@db/app"},
        {"url": "postgresql://app:%(password)s@db/app"},
        {"url": "postgresql://app:***@db/app"},
        {"url": "postgresql://app:...@db/app"},
        {"definitions": {"AwsCredentials": {"secret_fields": ["aws_secret_access_key"], "type": "object"}}},
        {"url": "postgresql://USER:PASSWORD@HOST/app"},
        {"aws_credentials": "production"},
        {"credentials": "production-eu-1"},
        {"credentials": {"vault": "demo", "aws": "demo", "pulumi": "demo-eu"}},
        {"next_token": "abc"},
        {"NextToken": "eyJ2IjoiMiIsImMiOiJ"},
        {"page_token": "CAUQAA"},
        {"nextContinuationToken": "1ueGcxLPRx1Tr"},
        {"max_tokens": 4096},
        {"bypass": "maintenance"},
        {"tokenizer": "words"},
        {"public_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA"},
        {"sort_key": "created"},
        {"command": "TOKEN=$(cat /run/token) run --token $token --token-file /run/token --password-stdin"},
        {"command": "docker build --secret id=token,src=/run/token --secret id=other ."},
        {"url": "https://api.example.org/items?next_token=abcdef&limit=10"},
        {"url": "https://api.example.org/callback?token={token}"},
        {"note": "the password is kept in Vault, and the token too"},
    ],
)
def test_references_are_no_secrets(value: object) -> None:
    assert find_secrets(value) == ()


def test_a_uuid_is_no_name_of_a_block() -> None:
    assert find_secrets({"vault_credentials": "1f0c8a4e-0b55-4c8e-9d6a-3f1f6b1c2d3e"})


def test_secret_types_are_found_in_models_too() -> None:
    class Login(BaseModel):
        user: str
        word: SecretStr

    assert [item.at for item in find_secrets({"login": Login(user="u", word=SecretStr("x"))})] == ["login.word"]
    assert [item.at for item in find_secrets([SecretBytes(b"x")])] == ["[0]"]
    assert [item.at for item in find_secrets([Secret[int](12345)])] == ["[0]"]


def test_fields_that_a_model_does_not_declare_are_found() -> None:
    class Open(BaseModel, extra="allow"):
        user: str

    given = Open.model_validate({"user": "u", "password": "in clear text"})
    assert [item.at for item in find_secrets({"login": given})] == ["login.password"]


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


def test_what_is_nested_too_deeply_or_in_itself_is_not_taken_for_clean() -> None:
    loop: list[object] = []
    loop += [loop, loop]
    deep: object = "in clear text"
    for _ in range(100):
        deep = {"a": deep}
    assert [item.at for item in find_secrets({"loop": loop})] == ["loop[0]", "loop[1]"]
    (found,) = find_secrets({"deep": deep})
    assert "too deeply" in found.why
    assert find_secrets([[], [[]]]) == ()


@pytest.mark.parametrize("part", ["*", "`", "$A", "{a}", "a-", "://a:", "/a", "--a ", "a=", "bearer ", '"a": '])
def test_a_long_text_of_anything_takes_no_long_time(part: str) -> None:
    began = process_time()
    find_secrets({"password": part * 20_000, "url": "https://a:" + part * 20_000, "text": part * 20_000 + "!"})
    assert process_time() - began < 5


@pytest.mark.parametrize(
    "path", ["prefect.yaml", "fleet/blocks.yaml", "fleet/environments/demo.yaml", "fleet/pulumi/demo/Pulumi.yaml"]
)
def test_the_projects_own_files_hold_none(path: str) -> None:
    assert find_secrets(yaml.safe_load((CHECKOUT / path).read_text())) == ()
