"""Where to search and for what, as a command line says it: without a secret, because other users can see it."""

import os
import stat
import sys
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import httpx
from pydantic import SecretStr
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from holdtrue.core.leak_values import parse_values
from holdtrue.core.secret_detection import format_of
from holdtrue.errors import AccessDenied, RejectedError, ResourceMissing, SecretExposed
from holdtrue.models.leak import Database, KnownValue, PrefectApi

_MOST_BYTES: Final = 16 << 20
_STANDARD_INPUT: Final = Path("-")
_FROM_ENVIRONMENT: Final = "env:"


def read_values(source: Path) -> tuple[KnownValue, ...]:
    """The values to search for, from a file that nobody else can read, or from standard input for `-`.

    Raises:
        RejectedError: there is none, one cannot be searched for, or standard input is a terminal.
        SecretExposed: other users may read the file.
        ResourceMissing: there is no such file.
        AccessDenied: it cannot be read.
    """
    if source == _STANDARD_INPUT:
        if sys.stdin.isatty():
            raise RejectedError(
                "values that are typed can be seen", next_step="pipe them in, or name a file: --values FILE."
            )
        content = sys.stdin.buffer.read(_MOST_BYTES + 1)
    else:
        content = _read_private(source.expanduser())
    if len(content) > _MOST_BYTES:
        raise RejectedError(f"the values are more than {_MOST_BYTES >> 20} MiB", next_step="search in several turns.")
    try:
        return parse_values(content.decode())
    except UnicodeDecodeError:
        raise RejectedError(
            "the values are no UTF-8", where=str(source), next_step="search for the base64 or hex of binary ones."
        ) from None


def database_at(given: str, environment: Mapping[str, str]) -> Database:
    """The database of a URL, or of the variable that `env:NAME` names.

    Raises:
        SecretExposed: the URL itself holds a password.
        RejectedError: the variable is not set.
    """
    if not given.startswith(_FROM_ENVIRONMENT):
        if _holds_password(given):
            raise SecretExposed(
                "a command line can be seen by others, and this URL holds a password",
                where="--database",
                next_step="put the URL into a variable and say --database env:NAME.",
            )
        return Database(url=SecretStr(given))
    name = given.removeprefix(_FROM_ENVIRONMENT)
    if not environment.get(name):
        raise RejectedError("the variable with the database's URL is not set", where=name, next_step="set it.")
    return Database(url=SecretStr(environment[name]))


def prefect_api_at(url: str, environment: Mapping[str, str]) -> PrefectApi:
    """The API with the login that Prefect's own client would use: PREFECT_API_KEY or PREFECT_API_AUTH_STRING.

    Raises:
        SecretExposed: the URL itself holds a password.
        RejectedError: it is no URL.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        # Its text repeats what may be a password.
        raise RejectedError("this is no URL", where="--prefect-api", next_step="copy PREFECT_API_URL.") from None
    if parsed.password or format_of(url) is not None:
        raise SecretExposed(
            "a command line can be seen by others, and this URL holds a password",
            where="--prefect-api",
            next_step="set PREFECT_API_AUTH_STRING to user:password.",
        )
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise RejectedError("this is no http(s) URL", where="--prefect-api", next_step="copy PREFECT_API_URL.")
    if key := environment.get("PREFECT_API_KEY"):
        return PrefectApi(url=url, authorization=SecretStr(f"Bearer {key}"))
    if login := environment.get("PREFECT_API_AUTH_STRING"):
        return PrefectApi(url=url, authorization=SecretStr(f"Basic {b64encode(login.encode()).decode()}"))
    return PrefectApi(url=url)


def _holds_password(url: str) -> bool:
    """Also in the query, as drivers of databases take it, and where it has characters that a URL should not."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        return format_of(url) is not None
    return parsed.password is not None or any("pass" in name.lower() for name in parsed.query)


def _read_private(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise SecretExposed(
                    "other users may read the file with the values", where=str(path), next_step=f"chmod 600 {path}."
                )
            return file.read(_MOST_BYTES + 1)
    except FileNotFoundError as error:
        raise ResourceMissing("there is no file with values", where=str(path), next_step="name another.") from error
    except OSError as error:
        raise AccessDenied(
            f"the file with the values cannot be read: {error.strerror}", where=str(path), next_step="name another."
        ) from error
