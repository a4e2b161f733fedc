"""An address on a command line holds no password, however a driver would take it."""

import pytest
from pydantic import SecretStr

from holdtrue.adapters.leaks import database_at, prefect_api_at
from holdtrue.errors import RejectedError, SecretExposed

PASSWORD = "hunter2-of-the-database"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://user:{PASSWORD}@db.example.org/prefect",
        f"POSTGRESQL+PSYCOPG://user:{PASSWORD}@db.example.org/prefect",
        f"postgresql://user:a/b{PASSWORD}@db.example.org/prefect",
        f"postgresql://db.example.org/prefect?user=u&password={PASSWORD}",
        f"postgresql://db.example.org/prefect?sslkey=a&sslpassword={PASSWORD}",
    ],
)
def test_a_password_in_the_address_of_a_database_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(SecretExposed) as caught:
        database_at(url, {})
    assert PASSWORD not in str(caught.value)
    assert database_at("env:LEDGER", {"LEDGER": url}).url == SecretStr(url)


@pytest.mark.parametrize("url", ["sqlite:////var/lib/prefect.db", "postgresql://user@db.example.org/prefect"])
def test_an_address_without_a_password_is_taken(url: str) -> None:
    assert database_at(url, {}).url.get_secret_value() == url


@pytest.mark.parametrize("url", [f"https://u:{PASSWORD}@prefect.example.org/api", f"http://:{PASSWORD}@[::1/api"])
def test_a_password_in_the_address_of_the_prefect_api_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(RejectedError) as caught:
        prefect_api_at(url, {})
    assert PASSWORD not in str(caught.value)
