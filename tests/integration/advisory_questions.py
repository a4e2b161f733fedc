"""How the tests of the advisory sources ask them."""

from pathlib import Path

from holdtrue.adapters.osv_api import OsvApi
from holdtrue.models.dependency import Pin
from holdtrue.models.osv import SourceAnswer
from holdtrue.runtime.http_retry import RetryPolicy
from tests.integration.osv_fault_server import FaultServer

A, B, C = Pin("demo-a", "1.0"), Pin("demo-b", "2.0"), Pin("demo-c", "3.0")
BATCH = "/v1/querybatch"
POLICY = RetryPolicy(attempts=3, total_seconds=20)


class Clock:
    """Sleeps for no time, and remembers for how long it should have."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.pauses.append(seconds)


def ask(
    server: FaultServer, *pins: Pin, cache: Path | None = None, timeout: float = 5, policy: RetryPolicy = POLICY
) -> SourceAnswer:
    """What a new client of the OSV API says of the pins, by default of all three."""
    source = OsvApi(server.url, cache_folder=cache, timeout_seconds=timeout, retries=policy, sleep=Clock())
    return source.ask(pins or (A, B, C))


def found(answer: SourceAnswer, pin: Pin) -> list[str]:
    """Ids of the advisories on the pin."""
    return [item.advisory.id for item in answer.matches.get(pin, ())]


def many(count: int) -> list[Pin]:
    """Pins of as many packages."""
    return [Pin(f"demo-{number}", "1.0") for number in range(count)]
