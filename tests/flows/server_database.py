"""What the Prefect server of these tests has kept, in whatever table."""

import json
import time
from collections.abc import Iterable
from pathlib import Path

from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import get_current_settings

from tests.unit.core.encoders import ENCODERS


def content() -> bytes:
    """All files of its database, journal included. Events come into it some seconds after they were sent."""
    APILogWorker.drain_all()
    EventsWorker.drain_all()
    url = get_current_settings().server.database.connection_url
    assert url is not None
    path = Path(url.get_secret_value().partition("///")[2])
    return b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*") if file.is_file())


def content_with(*texts: str) -> bytes:
    """The same, as soon as all these texts are in it."""
    deadline = time.monotonic() + 60
    while (missing := missing_in(kept := content(), texts)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not missing, f"Prefect has kept {len(missing)} of {len(texts)} texts"
    return kept


def missing_in(kept: bytes, texts: Iterable[str]) -> set[str]:
    return {text for text in texts if text.encode() not in kept}


def forms_of(value: str) -> set[str]:
    """The value and its lines, in every form in which a tool writes them."""
    return {encode(text) for encode in ENCODERS.values() for text in (value, *value.splitlines())}


def forms_in(kept: bytes, value: str) -> set[str]:
    """Forms of the value in what was kept, which is JSON for the most part, so that a form may be escaped once more."""
    forms = {*forms_of(value), *(json.dumps(form)[1:-1] for form in forms_of(value))}
    return {form for form in forms if form.encode() in kept}
