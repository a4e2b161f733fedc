"""How bad a vulnerability is: from CVSS vectors of any version, or from a database's own word.

Scores and their words: the CVSS specifications of FIRST (https://www.first.org/cvss/), by the `cvss` package; for
version 2, which names no words, those of NVD (https://nvd.nist.gov/vuln-metrics/cvss).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from holdtrue.models.audit import Severity

_VECTOR_LENGTH_LIMIT: Final = 1000
"""Every metric of CVSS 4.0 together takes about 250 characters."""

_WORDS: Final = {"moderate": Severity.MEDIUM} | {word.value: word for word in Severity if word is not Severity.UNKNOWN}

_RANKS: Final = {
    Severity.NONE: 0, Severity.LOW: 1, Severity.MEDIUM: 2, Severity.HIGH: 3, Severity.CRITICAL: 4,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rating:
    """A severity, with the base score and the vector that it is from; both empty when it is a database's word."""

    severity: Severity = Severity.UNKNOWN
    score: float | None = None
    vector: str = ""


@dataclass(frozen=True, slots=True)
class _Scored:
    generation: int
    rating: Rating


def rate(vectors: Iterable[str], words: Iterable[str] = ()) -> Rating:
    """The severity that the vectors and words of one record give together.

    The newest generation of CVSS decides (4, then 3.0 and 3.1, which share their scale, then 2), and within it the
    highest score. Words (GHSA's `MODERATE` is medium) only count where no vector can be read, and then the highest.
    Vectors and words that cannot be read are passed over; with nothing readable it is unknown.
    """
    scored = [item for vector in vectors if (item := _score(vector)) is not None]
    if scored:
        best = max(scored, key=lambda item: (item.generation, item.rating.score or 0.0, item.rating.vector))
        return best.rating
    known = [_WORDS[word] for text in words if (word := text.strip().casefold()) in _WORDS]
    return Rating(max(known, key=_RANKS.__getitem__, default=Severity.UNKNOWN))


def gravest(ratings: Iterable[Rating]) -> Rating:
    """The gravest of several records' ratings, of equal severities the one with the highest score; unknown for none.

    Records differ in whom they ask and when they were written, so none of them outweighs a graver one.
    """
    known = (item for item in ratings if item.severity is not Severity.UNKNOWN)
    return max(known, key=_gravity, default=Rating())


def is_below(severity: Severity, threshold: Severity) -> bool:
    """Whether it is known to be lower. An unknown severity is below nothing, and no severity is below an unknown."""
    if severity is Severity.UNKNOWN or threshold is Severity.UNKNOWN:
        return False
    return _RANKS[severity] < _RANKS[threshold]


def _gravity(rating: Rating) -> tuple[int, float, str]:
    return _RANKS[rating.severity], -1.0 if rating.score is None else rating.score, rating.vector


def _score(vector: str) -> _Scored | None:
    text = vector.strip() if len(vector) <= _VECTOR_LENGTH_LIMIT else ""
    return _score_text(text) if text else None


@lru_cache(maxsize=1 << 16)
def _score_text(vector: str) -> _Scored | None:
    # Its import takes 40 ms, which an audit without findings need not wait for.
    from cvss import CVSS2, CVSS3, CVSS4, CVSSError  # type: ignore[import-untyped]  # noqa: PLC0415

    try:
        if vector.startswith("CVSS:4"):
            generation, scored = 4, CVSS4(vector)
        elif vector.startswith("CVSS:3"):
            generation, scored = 3, CVSS3(vector)
        else:
            generation, scored = 2, CVSS2(vector.removeprefix("CVSS:2.0/").removeprefix("(").removesuffix(")"))
    except CVSSError:
        return None
    return _Scored(generation, Rating(Severity(scored.severities()[0].lower()), float(scored.scores()[0]), vector))
