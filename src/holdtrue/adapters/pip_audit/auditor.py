"""PipAudit: the DependencyAuditor that runs pip-audit and checks what it says and what it leaves out."""

import time
from collections.abc import Sequence
from typing import Final, assert_never

import httpx

from holdtrue.adapters.pip_audit.answer import Answer, read_dependencies, to_advisory, unreported_ids
from holdtrue.adapters.pip_audit.command import Choked, run_pip_audit
from holdtrue.adapters.pip_audit.inventory import list_installed, read_requirements
from holdtrue.adapters.pip_audit.source import Named, find_withdrawn, name_advisories
from holdtrue.core.requirements import Inventory, Pin
from holdtrue.errors import RejectedError, ServiceNotReady, ServiceUnreachable
from holdtrue.models.advisory import AuditTarget, InventoryKind, NotAudited, TargetAudit

_LONGEST_QUESTION_SECONDS: Final = 15.0
_UNREADABLE_LIMIT: Final = 4
"""Each package whose answer kills pip-audit costs a run of its own; beyond this the source is broken, not a record."""


class PipAudit:
    """Audits pinned requirements files and installed environments against the OSV API at `osv_url`.

    A target takes one batch question of ours and, by pip-audit, one request per package, all within
    `timeout_seconds`. Nothing is retried here: the task that calls it is the retry layer.

    Never taken for clean, and each with its reason in `not_audited`: what has no exact version or did not come from an
    index, what pip-audit skipped or left out, a package whose answer it could not read, a package with more than one
    page of advisories (it reads the first only; those findings are kept), and a package for which the source names
    an advisory that it dropped, unless that was withdrawn. `audited` counts the packages without such an entry.
    A name that the source does not know is indistinguishable from one without advisories: OSV answers both alike.
    """

    def __init__(self, *, osv_url: str, timeout_seconds: float) -> None:
        self._osv_url = _parse_base_address(osv_url)
        self._timeout_seconds = timeout_seconds

    def audit(self, target: AuditTarget) -> TargetAudit:
        """List the target's packages and ask about every one; see `DependencyAuditor` for what it raises."""
        inventory = _list_packages(target)
        gaps = [NotAudited(name=item.name, reason=item.reason, found_in=target.label) for item in inventory.unjudged]
        if not inventory.pins:
            gaps = gaps or [NotAudited(name=target.label, reason="holds no packages", found_in=target.label)]
            return TargetAudit(target=target.label, audited=0, not_audited=tuple(gaps))
        answer = self._ask(inventory.pins)
        gaps += [
            NotAudited(name=pin.name, reason=f"{reason} (version {pin.version})", found_in=target.label)
            for pin, reason in answer.reasons.items()
        ]
        found = (to_advisory(pin, item, target.label) for pin, items in answer.found.items() for item in items)
        return TargetAudit(
            target=target.label,
            audited=len(inventory.pins) - len(answer.reasons),
            advisories=tuple(found),
            not_audited=tuple(gaps),
        )

    def _ask(self, pins: Sequence[Pin]) -> Answer:
        deadline = time.monotonic() + self._timeout_seconds
        longest = min(_LONGEST_QUESTION_SECONDS, self._timeout_seconds)
        with httpx.Client(base_url=self._osv_url, timeout=longest) as client:
            named = name_advisories(client, pins)
            answer = self._run_all(pins, deadline)
            return _with_gaps_of_silence(answer, named, client)

    def _run_all(self, pins: Sequence[Pin], deadline: float) -> Answer:
        """Ask in as many runs as there are versions of one package; pip-audit refuses two versions in one."""
        total = Answer()
        for distinct in _split_by_name(pins):
            total = total.joined(self._run(distinct, deadline))
        return total

    def _run(self, pins: Sequence[Pin], deadline: float) -> Answer:
        """One run, and again without the package on whose answer it died: the others must not be lost with it."""
        choked: dict[Pin, str] = {}
        remaining = list(pins)
        while remaining and len(choked) <= _UNREADABLE_LIMIT:
            outcome = run_pip_audit(remaining, osv_url=self._osv_url, timeout_seconds=self._seconds_left(deadline))
            if not isinstance(outcome, Choked):
                return read_dependencies(remaining, outcome).joined(Answer(reasons=choked))
            remaining.remove(outcome.pin)
            choked[outcome.pin] = f"pip-audit cannot read the source's advisories on it ({outcome.exception})"
        if remaining:
            raise ServiceNotReady(
                f"pip-audit cannot read the advisories of {len(choked)} packages, the last {[*choked][-1].name}",
                where=self._osv_url,
                next_step="check that the source serves OSV records of schema 1",
            )
        return Answer(reasons=choked)

    def _seconds_left(self, deadline: float) -> float:
        left = deadline - time.monotonic()
        if left <= 0:
            raise ServiceUnreachable(
                f"the audit did not end within {self._timeout_seconds:g} s",
                where=self._osv_url,
                next_step="raise the timeout, or audit fewer packages per target",
            )
        return left


def _with_gaps_of_silence(answer: Answer, named: dict[Pin, Named], client: httpx.Client) -> Answer:
    """Add what the source names and pip-audit did not say."""
    unreported = {
        pin: ids
        for pin, item in named.items()
        if pin not in answer.reasons and (ids := unreported_ids(answer, pin, item))
    }
    withdrawn = find_withdrawn(client, sorted({name for ids in unreported.values() for name in ids}))
    dropped = {pin: ", ".join(sorted(ids - withdrawn)) for pin, ids in unreported.items() if ids - withdrawn}
    reasons = {pin: f"pip-audit did not report what the source names: {ids}" for pin, ids in dropped.items()}
    reasons |= {
        pin: "the source has further pages of advisories, and pip-audit reads only the first"
        for pin, item in named.items()
        if item.has_more_pages
    }
    return answer.joined(Answer(reasons=reasons))


def _list_packages(target: AuditTarget) -> Inventory:
    match target.kind:
        case InventoryKind.REQUIREMENTS:
            return read_requirements(target.path)
        case InventoryKind.INSTALLED:
            return list_installed(target.path)
        case _:
            assert_never(target.kind)


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


def _parse_base_address(text: str) -> str:
    """Without trailing slash. Credentials in it would reach the command line, where every user can read them."""
    try:
        address = httpx.URL(text)
    except (httpx.InvalidURL, TypeError):
        address = httpx.URL()
    if address.scheme not in {"http", "https"} or not address.host or address.userinfo or address.query:
        raise RejectedError(
            "the advisory source needs an http(s) base address without user, password and query",
            next_step="set HOLDTRUE_OSV_URL (or --osv-url), for example to https://api.osv.dev",
        )
    return str(address).rstrip("/")
