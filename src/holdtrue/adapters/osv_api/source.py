"""OsvApi: asks a live OSV API about all pins at once, and fetches each advisory that it does not know yet."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import quote

from holdtrue.adapters.osv_api.cache import AdvisoryCache
from holdtrue.core.osv_record import NotAnAdvisory, parse_record, read_moment
from holdtrue.core.version_match import match
from holdtrue.errors import ServiceNotReady, TransientError
from holdtrue.models.dependency import Pin
from holdtrue.models.osv import AdvisoryRecord, Certainty, Match, SourceAnswer
from holdtrue.runtime.http_address import parse_base_address
from holdtrue.runtime.http_retry import PATIENT, RetryPolicy
from holdtrue.runtime.json_client import NOT_THE_SERVICE, JsonClient
from holdtrue.runtime.osv_batch import Named, name_advisories

_BODY_LIMIT_BYTES: Final = 4 << 20
_LISTED_ONLY: Final = "OSV lists it, its ranges do not"
_GAPS_SHOWN: Final = 3


class OsvApi:
    """The OSV API at `base_url`.

    One batch question for each 1,000 pins and page, then one request for each advisory whose date of change is not in
    the cache. What the API names is a finding: possible where the advisory's own ranges do not hold the version, or
    where its text cannot be had, in which case the pin is unanswered too. A name that the API does not know is
    indistinguishable from one without advisories: it answers both alike.

    Args:
        base_url: http(s), without user, password and query.
        cache_folder: Where advisories are kept between runs; None keeps them in memory, as does a folder that cannot be
            written.
        timeout_seconds: How long it may be silent.
        retries: How long to insist when it fails.
        connections: How many requests are under way at once.
        sleep: What waits between attempts.

    Raises:
        RejectedError: `base_url` is not such an address.
    """

    def __init__(
        self,
        base_url: str,
        *,
        cache_folder: Path | None,
        timeout_seconds: float = 15.0,
        retries: RetryPolicy = PATIENT,
        connections: int = 80,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self._address = parse_base_address(
            base_url, next_step="set HOLDTRUE_OSV_URL (or --osv-url), for example to https://api.osv.dev"
        )
        self._cache = AdvisoryCache(cache_folder, self._address)
        self._timeout_seconds = timeout_seconds
        self._retries = retries
        self._connections = connections
        self._sleep = sleep
        self._known: dict[tuple[str, str], AdvisoryRecord] = {}

    @property
    def name(self) -> str:
        """`osv`."""
        return "osv"

    @property
    def location(self) -> str:
        """The base address."""
        return self._address

    def ask(self, pins: Sequence[Pin]) -> SourceAnswer:
        """See `AdvisorySource`."""
        if not pins:
            return SourceAnswer()
        client = JsonClient(
            self._address,
            service="the advisory source",
            timeout_seconds=self._timeout_seconds,
            retries=self._retries,
            connections=self._connections,
            sleep=self._sleep,
        )
        with client:
            named = name_advisories(client, tuple(dict.fromkeys(pins)))
            modified = {advisory_id: when for item in named.values() for advisory_id, when in item.modified.items()}
            return _join(named, self._read_advisories(client, modified))

    def _read_advisories(
        self, client: JsonClient, modified: Mapping[str, str]
    ) -> dict[str, AdvisoryRecord | TransientError]:
        """The advisory of each id, or why it cannot be had."""
        unknown = {name: when for name, when in modified.items() if (name, when) not in self._known}
        for advisory_id, text in self._cache.read(unknown).items():
            record = _read_kept(advisory_id, text)
            if record is not None:
                self._known[advisory_id, unknown[advisory_id]] = record
        found: dict[str, AdvisoryRecord | TransientError] = {
            name: record for name, when in modified.items() if (record := self._known.get((name, when)))
        }
        to_keep: list[tuple[str, str, bytes]] = []
        missing = [name for name in modified if name not in found]
        for advisory_id, outcome in client.gather(missing, lambda name: _fetch(client, name)).items():
            if isinstance(outcome, TransientError):
                found[advisory_id] = outcome
                continue
            record, text = outcome
            found[advisory_id] = record
            when = modified[advisory_id]
            if _is_as_new(record.modified, when):
                self._known[advisory_id, when] = record
                to_keep.append((advisory_id, when, text))
        self._cache.write(to_keep)
        return found


def _fetch(client: JsonClient, advisory_id: str) -> tuple[AdvisoryRecord, bytes]:
    """The advisory, and the JSON that it is read from."""
    path = f"/v1/vulns/{quote(advisory_id, safe='')}"
    document, text = client.ask_for_text("GET", path, limit_bytes=_BODY_LIMIT_BYTES)
    record = _read(advisory_id, document)
    if record is None:
        raise ServiceNotReady(
            "the advisory source answered something that is not this advisory",
            where=client.where(path),
            next_step=NOT_THE_SERVICE,
        )
    return record, text


def _read_kept(advisory_id: str, text: bytes) -> AdvisoryRecord | None:
    try:
        return _read(advisory_id, json.loads(text))
    except (ValueError, TypeError, RecursionError):
        return None


def _read(advisory_id: str, document: object) -> AdvisoryRecord | None:
    try:
        record = parse_record(document)
    except NotAnAdvisory:
        return None
    return record if record.id == advisory_id else None


def _is_as_new(modified: str, named: str) -> bool:
    """Whether a text is not older than the batch said: an API of several servers may serve yesterday's for a while."""
    have, want = read_moment(modified), read_moment(named)
    return have is not None and want is not None and have >= want


def _listed_only(pin: Pin, advisory: AdvisoryRecord) -> Match:
    """What the API names and the advisory's own versions do not hold, with the fixes as if they held it."""
    affected = tuple(replace(entry, versions=(*entry.versions, pin.version)) for entry in advisory.affected)
    known = match(pin, replace(advisory, affected=affected))
    return Match(advisory, Certainty.POSSIBLE, _LISTED_ONLY, known.fixed_in if known else ())


def _join(named: Mapping[Pin, Named], advisories: Mapping[str, AdvisoryRecord | TransientError]) -> SourceAnswer:
    matches: dict[Pin, tuple[Match, ...]] = {}
    unanswered: dict[Pin, str] = {}
    for pin, item in named.items():
        found: list[Match] = []
        gaps = [item.gap] if item.gap else []
        for advisory_id, when in item.modified.items():
            advisory = advisories[advisory_id]
            if isinstance(advisory, TransientError):
                gaps.append(f"{advisory_id}: {advisory.what} ({advisory.where})")
                advisory = parse_record({"id": advisory_id, "modified": when})
                found.append(Match(advisory, Certainty.POSSIBLE, "OSV lists it, its text cannot be had"))
            else:
                found.append(match(pin, advisory) or _listed_only(pin, advisory))
        if found:
            matches[pin] = tuple(found)
        if gaps:
            more = f"; and {len(gaps) - _GAPS_SHOWN} more" if len(gaps) > _GAPS_SHOWN else ""
            unanswered[pin] = "; ".join(gaps[:_GAPS_SHOWN]) + more
    return SourceAnswer(matches, unanswered)
