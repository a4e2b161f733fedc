"""How far the clocks of two machines may differ before a date is taken to be wrong."""

from datetime import datetime, timedelta
from typing import Final

_TOLERANCE: Final = timedelta(days=1)


def is_from_the_future(moment: datetime, now: datetime) -> bool:
    """Whether a date is further in the future than clocks and time zones can explain."""
    return moment - now > _TOLERANCE
