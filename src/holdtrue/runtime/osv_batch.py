"""The batch question of the OSV API: which advisories does it name for many pins, page after page?

API: https://google.github.io/osv.dev/post-v1-querybatch/ (ids and dates of change only, a page token for each result,
`{}` where nothing is known); a call of more than 1,000 queries is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from holdtrue.errors import ServiceNotReady, TransientError
from holdtrue.models.dependency import Pin
from holdtrue.runtime.json_client import NOT_THE_SERVICE, JsonClient

_PATH: Final = "/v1/querybatch"
_QUERIES_PER_CALL: Final = 1000
_ANSWER_LIMIT_BYTES: Final = 16 << 20
_PAGE_LIMIT: Final = 100
_LONGEST_ID: Final = 200


@dataclass(frozen=True, slots=True)
class BatchEntry:
    """What one answer says of one pin.

    Attributes:
        modified: The ids it names, each with the date of its last change as it stands there; empty when unreadable.
        next_page_token: Where it goes on; empty on the last page.
        gap: What of it could not be read; empty when all could.
        is_readable: Whether it is an answer at all.
    """

    modified: dict[str, str] = field(default_factory=dict)
    next_page_token: str = ""
    gap: str = ""
    is_readable: bool = True


@dataclass(slots=True)
class Named:
    """All that the source names for one pin.

    Attributes:
        modified: Ids, with the date of their last change.
        gap: Why there may be more; empty when this is all.
    """

    modified: dict[str, str] = field(default_factory=dict)
    gap: str = ""


_Question: TypeAlias = tuple[Pin, str]
"""A pin and the token of the page; empty for the first."""


def name_advisories(client: JsonClient, pins: Sequence[Pin]) -> dict[Pin, Named]:
    """Ask about all pins, each once; what failed for some of them is their gap.

    Raises:
        ServiceUnreachable, ServiceNotReady: no pin was answered.
    """
    survey = _Survey(client, {pin: Named() for pin in pins})
    questions: list[_Question] = [(pin, "") for pin in pins]
    seen: set[_Question] = set()
    for _ in range(_PAGE_LIMIT):
        seen.update(questions)
        further = survey.ask(questions)
        survey.note([item for item in further if item in seen], "the source's pages of advisories on it never end")
        questions = [item for item in further if item not in seen]
        if not questions:
            break
    survey.note(questions, f"the source has more than {_PAGE_LIMIT} pages of advisories on it")
    if pins and not survey.answered:
        raise survey.failure or _no_answer(client.where(_PATH), "no entry of it can be read")
    return survey.named


class _Survey:
    """The answers so far."""

    def __init__(self, client: JsonClient, named: dict[Pin, Named]) -> None:
        self.named = named
        self.answered: set[Pin] = set()
        self.failure: TransientError | None = None
        self._client = client

    def ask(self, questions: Sequence[_Question]) -> list[_Question]:
        """Put these, and return those for the pages after them."""
        further: list[_Question] = []
        calls = [tuple(questions[at : at + _QUERIES_PER_CALL]) for at in range(0, len(questions), _QUERIES_PER_CALL)]
        for call, outcome in self._client.gather(calls, lambda call: _ask(self._client, call)).items():
            if isinstance(outcome, TransientError):
                self.failure = self.failure or outcome
                self.note(call, f"{outcome.what} ({outcome.where})")
                continue
            for (pin, _), entry in zip(call, outcome, strict=True):
                self._take(pin, entry)
                if entry.next_page_token:
                    further.append((pin, entry.next_page_token))
        return further

    def note(self, questions: Sequence[_Question], gap: str) -> None:
        """Say why the answers to these are not whole; what was said first stands."""
        for pin, _ in questions:
            self.named[pin].gap = self.named[pin].gap or gap

    def _take(self, pin: Pin, entry: BatchEntry) -> None:
        self.named[pin].modified |= entry.modified
        self.named[pin].gap = self.named[pin].gap or entry.gap
        if entry.is_readable:
            self.answered.add(pin)


def read_batch(document: object, *, asked: int, where: str) -> tuple[BatchEntry, ...]:
    """The entries of an answer to `asked` queries, in their order.

    Raises:
        ServiceNotReady: it is no answer to them.
    """
    results = document.get("results") if isinstance(document, dict) else None
    if not isinstance(results, list):
        raise _no_answer(where, "it has no list of results")
    if len(results) != asked:
        raise _no_answer(where, f"{len(results)} results for {asked} queries")
    return tuple(_read_entry(entry) for entry in results)


def _ask(client: JsonClient, call: Sequence[_Question]) -> tuple[BatchEntry, ...]:
    queries = [_query(pin, token) for pin, token in call]
    document = client.ask("POST", _PATH, body={"queries": queries}, limit_bytes=_ANSWER_LIMIT_BYTES)
    return read_batch(document, asked=len(call), where=client.where(_PATH))


def _query(pin: Pin, token: str) -> dict[str, object]:
    query: dict[str, object] = {"package": {"name": pin.name, "ecosystem": "PyPI"}, "version": pin.version}
    return query | {"page_token": token} if token else query


def _read_entry(raw: object) -> BatchEntry:
    """Everything of it that can be read. An object of other fields only is no way to say that nothing is known."""
    if not isinstance(raw, dict) or (raw and not {"vulns", "next_page_token"} & raw.keys()):
        return BatchEntry(gap="the source's answer on it cannot be read", is_readable=False)
    token, vulnerabilities = raw.get("next_page_token") or "", raw.get("vulns", [])
    items = vulnerabilities if isinstance(vulnerabilities, list) else [None]
    names = [_read_name(item) for item in items]
    is_whole = isinstance(token, str) and None not in names
    gap = "" if is_whole else "a part of the source's answer on it cannot be read"
    return BatchEntry(dict(filter(None, names)), token if isinstance(token, str) else "", gap)


def _read_name(item: object) -> tuple[str, str] | None:
    """Id and date of change; None when there is no id that can be asked about."""
    if not isinstance(item, dict):
        return None
    advisory_id, modified = item.get("id"), item.get("modified")
    if not isinstance(advisory_id, str) or not _is_id(advisory_id):
        return None
    return advisory_id, modified if isinstance(modified, str) and modified.isascii() else ""


def _is_id(text: str) -> bool:
    """Whether it can stand in a path and in a report."""
    return bool(text) and text.isprintable() and not text.startswith(".") and len(text) <= _LONGEST_ID


def _no_answer(where: str, what: str) -> ServiceNotReady:
    return ServiceNotReady(
        f"the advisory source answered something that is no OSV batch: {what}", where=where, next_step=NOT_THE_SERVICE
    )
