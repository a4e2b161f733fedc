"""One search over several places, which first proves that it finds what is there."""

import gzip
import secrets
import sqlite3
import subprocess
import sys
import tempfile
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, assert_never

from pydantic import SecretStr

from holdtrue.adapters.leaks.databases import search_database
from holdtrue.adapters.leaks.files import search_files
from holdtrue.adapters.leaks.prefect_api import search_prefect_api
from holdtrue.adapters.leaks.processes import search_processes
from holdtrue.adapters.leaks.record import SearchRecord
from holdtrue.core.leak_report import conclude
from holdtrue.core.leak_values import check_values
from holdtrue.core.leaks import NeedleIndex
from holdtrue.errors import RejectedError, UnavailableError
from holdtrue.models.leak import Database, Files, Form, KnownValue, LeakReport, Place, PrefectApi, Processes

_WAITING_CHILD: Final = (sys.executable, "-ISc", "import sys; sys.stdin.read()")


def search(values: Sequence[KnownValue], places: Sequence[Place]) -> LeakReport:
    """Look for every form of the values in the places, after a search for a made-up one where it is known to be.

    Nothing is written but that made-up value, into a temporary folder that is gone when the search begins.

    Raises:
        RejectedError: there is no value or no place, or a value cannot be searched for.
        UnavailableError: the made-up value was not found, so that a search would say nothing.
    """
    if not values or not places:
        missing = "place" if values else "value"
        raise RejectedError(f"no {missing} to search was named", next_step="see holdtrue leaks --help.")
    check_values(values)
    control = KnownValue(name=f"control {secrets.token_hex(8)}", value=SecretStr(secrets.token_urlsafe(36)))
    index = NeedleIndex([*values, control])
    _prove(index, control, places)
    record = SearchRecord(index)
    for place in places:
        _search(record, place)
    return conclude(
        values,
        record.leaks,
        record.not_searched,
        record.left_out,
        searched=record.searched,
        searched_bytes=record.searched_bytes,
    )


def _search(record: SearchRecord, place: Place) -> None:
    match place:
        case Files():
            search_files(record, place)
        case Database():
            search_database(record, place)
        case Processes():
            search_processes(record, place)
        case PrefectApi():
            search_prefect_api(record, place)
        case _:
            assert_never(place)


def _prove(index: NeedleIndex, control: KnownValue, places: Sequence[Place]) -> None:
    text = control.value.get_secret_value()
    with tempfile.TemporaryDirectory(prefix="holdtrue-leaks-") as folder:
        files, database = Path(folder, "files"), Path(folder, "database")
        files.mkdir()
        (files / "plain").write_text(f"before {text} after")
        with gzip.open(files / "packed.gz", "wb") as packed:
            packed.write(b64encode(f"user:{text}".encode()))
        _expect(index, control, Files(path=files), {Form.PLAIN, Form.BASE64})
        if any(isinstance(place, Database) for place in places):
            with closing(sqlite3.connect(database)) as connection, connection:
                connection.execute("CREATE TABLE control (value TEXT)")
                connection.execute("INSERT INTO control VALUES (?)", (text,))
            _expect(index, control, Database(url=SecretStr(f"sqlite:///{database}")), {Form.PLAIN})
    if any(isinstance(place, Processes) for place in places):
        with _process_that_knows(text):
            _expect(index, control, Processes(), {Form.PLAIN})


def _expect(index: NeedleIndex, control: KnownValue, place: Place, forms: set[Form]) -> None:
    record = SearchRecord(index)
    _search(record, place)
    if not forms <= {leak.form for leak in record.leaks if leak.name == control.name}:
        raise UnavailableError(
            "a value that was put there on purpose was not found, so the search would say nothing",
            where=place.kind,
            next_step="see what forbids this user to read its own files and processes.",
        )


@contextmanager
def _process_that_knows(text: str) -> Iterator[None]:
    with subprocess.Popen(_WAITING_CHILD, stdin=subprocess.PIPE, env={"CONTROL": text}) as child:
        try:
            yield
        finally:
            child.communicate()
