"""Known values, the places where they must not be, and what a search of these places found."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from holdtrue.models.base import Value


class KnownValue(Value):
    """A secret that is searched for."""

    name: str = Field(description="What the report calls it: the name it was given, or its number.")
    value: SecretStr


class Files(Value):
    """A file, or a folder with everything below it."""

    kind: Literal["files"] = "files"
    path: Path
    exclude: tuple[Path, ...] = Field(default=(), description="Files and folders that are left out.")


class Database(Value):
    """Every table of a database."""

    kind: Literal["database"] = "database"
    url: SecretStr = Field(description="SQLAlchemy URL, which may hold a password.")


class Processes(Value):
    """Command lines of all processes, environments of those that this user may read."""

    kind: Literal["processes"] = "processes"
    exclude: frozenset[int] = Field(default=frozenset(), description="Process ids that are left out.")


class PrefectApi(Value):
    """What a Prefect server tells everyone who may use its API."""

    kind: Literal["prefect-api"] = "prefect-api"
    url: str = Field(description="As in PREFECT_API_URL.")
    authorization: SecretStr = Field(default=SecretStr(""), description="Value of the Authorization header, if any.")


Place = Annotated[Files | Database | Processes | PrefectApi, Field(discriminator="kind")]


class Form(StrEnum):
    """In which form a value was found."""

    PLAIN = "plain"
    LINE = "one of its lines"
    JSON = "escaped for JSON"
    URL = "escaped for URLs"
    SHELL = "quoted for a shell"
    BASE64 = "base64"
    BASE64_WRAPPED = "base64, wrapped"
    HEX = "hex"
    UTF16 = "UTF-16"
    ESCAPED = "escaped"
    HEAD = "its first characters"
    TAIL = "its last characters"

    @property
    def is_partial(self) -> bool:
        """Whether only a part of the value is there."""
        return self in (Form.LINE, Form.HEAD, Form.TAIL)


class Leak(Value):
    """One value in one form in one place."""

    name: str = Field(description="Of the value.")
    place: str
    form: Form
    offset: int = Field(description="Bytes before the first occurrence, counted in what is unpacked or stored there.")
    count: int = Field(ge=1, description="Occurrences in this place.")


class NotSearched(Value):
    """A place that was not looked at, or not to its end."""

    place: str
    reason: str


class LeakVerdict(StrEnum):
    """What the search says. Unknown is never good."""

    CLEAN = "clean"
    LEAKED = "leaked"
    INCOMPLETE = "incomplete"


class LeakReport(Value):
    """What a search found, and what it could not look at. Holds no value."""

    verdict: LeakVerdict
    leaks: tuple[Leak, ...]
    not_searched: tuple[NotSearched, ...] = Field(description="What could not be looked at; makes it incomplete.")
    left_out: tuple[NotSearched, ...] = Field(description="What was not to be looked at.")
    values: int = Field(description="How many values were searched for.")
    searched: int = Field(
        description="How many files, archive members, batches of rows, processes and records were read."
    )
    searched_bytes: int
