"""PipAuditSource: runs pip-audit, and checks what it says and what it leaves out."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from packaging.utils import is_normalized_name

from holdtrue.adapters.pip_audit_source.answer import Answer, read_dependencies
from holdtrue.adapters.pip_audit_source.command import Choked, run_pip_audit
from holdtrue.core.osv_record import NotAnAdvisory, parse_record
from holdtrue.core.version_match import read_version
from holdtrue.errors import ServiceUnreachable, TransientError
from holdtrue.models.dependency import Pin
from holdtrue.models.osv import SourceAnswer
from holdtrue.runtime.http_address import parse_base_address
from holdtrue.runtime.http_retry import PATIENT, RetryPolicy
from holdtrue.runtime.json_client import JsonClient
from holdtrue.runtime.osv_batch import Named, name_advisories

_LONGEST_SILENCE_SECONDS: Final = 15.0
_BODY_LIMIT_BYTES: Final = 4 << 20
_UNREADABLE_LIMIT: Final = 4
"""Each package whose answer kills pip-audit costs a run of its own; beyond this the source is broken, not a record."""

_NO_REQUIREMENT: Final = "pip-audit takes names of PEP 503 and versions of PEP 440 only"


class PipAuditSource:
    """pip-audit 2.10, asking the OSV API at `osv_url`.

    One batch question of ours for each 1,000 pins and, by pip-audit, one request for each, all within
    `timeout_seconds`. Unanswered are: what pip-audit skipped or left out, a pin whose answer it could not read, and one
    for which the API names an advisory that it did not report (it reads one page, and schema 1 only), unless that was
    withdrawn.

    Args:
        osv_url: http(s), without user, password and query.
        timeout_seconds: For everything together.
        retries: How often and with what pauses a run is repeated that met a failure which may pass; its total is not
            used.
        sleep: What waits between attempts.

    Raises:
        RejectedError: `osv_url` is not such an address.
    """

    def __init__(
        self,
        osv_url: str,
        *,
        timeout_seconds: float = 300.0,
        retries: RetryPolicy = PATIENT,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self._address = parse_base_address(
            osv_url, next_step="set HOLDTRUE_OSV_URL (or --osv-url), for example to https://api.osv.dev"
        )
        self._timeout_seconds = timeout_seconds
        self._retries = replace(retries, total_seconds=timeout_seconds)
        self._sleep = sleep

    @property
    def name(self) -> str:
        """`pip-audit`."""
        return "pip-audit"

    @property
    def location(self) -> str:
        """The base address of the API that it asks."""
        return self._address

    def ask(self, pins: Sequence[Pin]) -> SourceAnswer:
        """See `AdvisorySource`.

        Raises:
            ToolMissing: pip-audit is not installed beside this Python.
            UnavailableError: it ended in a way that is not known here.
        """
        answer = Answer(reasons={pin: _NO_REQUIREMENT for pin in pins if not _is_requirement(pin)})
        asked = tuple(pin for pin in dict.fromkeys(pins) if pin not in answer.reasons)
        if not asked:
            return SourceAnswer(unanswered=answer.reasons)
        deadline = time.monotonic() + self._timeout_seconds
        client = JsonClient(
            self._address,
            service="the advisory source",
            timeout_seconds=min(_LONGEST_SILENCE_SECONDS, self._timeout_seconds),
            retries=self._retries,
            sleep=self._sleep,
        )
        with client:
            named = name_advisories(client, asked)
            answer = answer.joined(self._run_all(asked, deadline))
            answer = answer.joined(_read_silence(answer, named, client))
        return SourceAnswer({pin: found for pin, found in answer.matches.items() if found}, answer.reasons)

    def _run_all(self, pins: Sequence[Pin], deadline: float) -> Answer:
        """Ask in as many runs as there are versions of one package; pip-audit refuses two versions in one."""
        total = Answer()
        failures: list[TransientError] = []
        for distinct in _split_by_name(pins):
            try:
                total = total.joined(self._run_patiently(distinct, deadline))
            except TransientError as error:
                failures.append(error)
                total = total.joined(Answer(reasons=dict.fromkeys(distinct, f"{error.what} ({error.where})")))
        if failures and not total.matches:
            raise failures[0]
        return total

    def _run_patiently(self, pins: Sequence[Pin], deadline: float) -> Answer:
        attempt = 0
        while True:
            attempt += 1
            try:
                return self._run(pins, deadline)
            except TransientError:
                pause = self._retries.pause_seconds(attempt)
                if attempt >= self._retries.attempts or pause >= deadline - time.monotonic():
                    raise
            (self._sleep or time.sleep)(pause)

    def _run(self, pins: Sequence[Pin], deadline: float) -> Answer:
        """One run, and again without the package on whose answer it died: the others must not be lost with it."""
        choked: dict[Pin, str] = {}
        remaining = list(pins)
        while remaining and len(choked) <= _UNREADABLE_LIMIT:
            outcome = run_pip_audit(remaining, osv_url=self._address, timeout_seconds=self._seconds_left(deadline))
            if not isinstance(outcome, Choked):
                return read_dependencies(remaining, outcome).joined(Answer(reasons=choked))
            remaining.remove(outcome.pin)
            choked[outcome.pin] = f"pip-audit cannot read the source's advisories on it ({outcome.exception})"
        given_up = f"not asked: pip-audit cannot read the source's advisories on {len(choked)} other packages"
        return Answer(reasons=dict.fromkeys(remaining, given_up) | choked)

    def _seconds_left(self, deadline: float) -> float:
        left = deadline - time.monotonic()
        if left <= 0:
            raise ServiceUnreachable(
                f"pip-audit did not end within {self._timeout_seconds:g} s",
                where=self._address,
                next_step="raise the timeout",
            )
        return left


def _read_silence(answer: Answer, named: Mapping[Pin, Named], client: JsonClient) -> Answer:
    """The reasons that lie in what the API names and pip-audit did not say."""
    judged = {pin: item for pin, item in named.items() if pin not in answer.reasons}
    unreported = {pin: item.modified.keys() - answer.reported(pin) for pin, item in judged.items()}
    ids = sorted({advisory_id for some in unreported.values() for advisory_id in some})
    withdrawn = {
        name
        for name, answered in client.gather(ids, lambda name: _is_withdrawn(client, name)).items()
        if answered is True
    }
    dropped = {pin: ", ".join(sorted(some - withdrawn)) for pin, some in unreported.items() if some - withdrawn}
    reasons = {pin: f"what it leaves out cannot be told: {item.gap}" for pin, item in judged.items() if item.gap}
    reasons |= {pin: f"pip-audit did not report what its source names: {names}" for pin, names in dropped.items()}
    return Answer(reasons=reasons)


def _is_withdrawn(client: JsonClient, advisory_id: str) -> bool:
    """Whether the API itself says that it no longer stands."""
    document = client.ask("GET", f"/v1/vulns/{quote(advisory_id, safe='')}", limit_bytes=_BODY_LIMIT_BYTES)
    try:
        return not parse_record(document).stands(datetime.now(UTC))
    except NotAnAdvisory:
        return False


def _is_requirement(pin: Pin) -> bool:
    """Whether it can stand in a requirements file as it is; one line that cannot costs the whole run."""
    return is_normalized_name(pin.name) and read_version(pin.version) is not None


def _split_by_name(pins: Sequence[Pin]) -> tuple[tuple[Pin, ...], ...]:
    """Groups in which every package occurs once."""
    groups: list[dict[str, Pin]] = []
    for pin in pins:
        group = next((item for item in groups if pin.name not in item), None)
        if group is None:
            group = {}
            groups.append(group)
        group[pin.name] = pin
    return tuple(tuple(group.values()) for group in groups)
