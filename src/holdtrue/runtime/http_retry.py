"""How long to insist on an answer over HTTP, and when to ask again."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

MAY_PASS: Final = frozenset({429, 500, 502, 503, 504})
"""HTTP statuses of a service that may answer next time."""

_YEAR_SECONDS: Final = 365 * 86_400.0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to insist.

    Attributes:
        attempts: How often one question is put at most.
        first_pause_seconds: The pause after the first failure; it doubles each time, and up to half of it is random.
        longest_pause_seconds: No pause is longer, whatever Retry-After says.
        total_seconds: All questions of one client together; also how long one slow answer may take.
    """

    attempts: int = 4
    first_pause_seconds: float = 0.5
    longest_pause_seconds: float = 30.0
    total_seconds: float = 300.0

    def pause_seconds(self, attempt: int, asked_seconds: float = 0.0) -> float:
        """How long to wait after the `attempt`-th failure, counted from one, at least what the service asked for."""
        doubled = self.first_pause_seconds * 2.0 ** (attempt - 1)
        spread = doubled * random.uniform(0.5, 1.0)  # noqa: S311 - it keeps clients apart and hides nothing
        return min(max(spread, asked_seconds), self.longest_pause_seconds)


PATIENT: Final = RetryPolicy()


def parse_retry_after(text: str, now: datetime) -> float:
    """Seconds to wait, from a number of seconds or an HTTP date (RFC 9110 section 10.2.3); 0 for anything else.

    Nobody means more than a year.
    """
    if text.isascii() and text.strip().isdigit():
        return min(float(text), _YEAR_SECONDS)
    try:
        return max(0.0, (parsedate_to_datetime(text).astimezone(UTC) - now).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return 0.0
