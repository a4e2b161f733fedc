"""PypiAdvisories: asks an index's JSON API about every pin by itself."""

from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import quote

from holdtrue.adapters.pypi_advisories.page import NotAVersionPage, VersionPage, read_page
from holdtrue.errors import ServiceNotReady, TransientError
from holdtrue.models.dependency import Pin
from holdtrue.models.osv import SourceAnswer
from holdtrue.runtime.http_address import parse_base_address
from holdtrue.runtime.http_retry import PATIENT, RetryPolicy
from holdtrue.runtime.json_client import NOT_THE_SERVICE, JsonClient, NotFound

_PAGE_LIMIT_BYTES: Final = 16 << 20
"""The pages of projects with thousands of files a version are that large."""

_UNKNOWN: Final = {
    True: "no such version, or no page of it",
    False: "no such project",
    None: "no such project or version",
}
"""What is missing behind a 404, by whether the project is there."""


class PypiAdvisories:
    """The index at `base_url`, as PyPI serves it at /pypi/NAME/VERSION/json.

    One request for each pin, and one for each project whose version the index does not know, to tell a mistyped or
    internal name from a version that is missing. Mirrors often serve no such pages; then every pin is unanswered.

    Args:
        base_url: http(s), without user, password and query.
        timeout_seconds: How long it may be silent.
        retries: How long to insist when it fails.
        connections: How many requests are under way at once.
        sleep: What waits between attempts.

    Raises:
        RejectedError: `base_url` is not such an address.
    """

    def __init__(
        self,
        base_url: str = "https://pypi.org",
        *,
        timeout_seconds: float = 15.0,
        retries: RetryPolicy = PATIENT,
        connections: int = 16,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self._address = parse_base_address(base_url, next_step="give the index's root, for example https://pypi.org")
        self._timeout_seconds = timeout_seconds
        self._retries = retries
        self._connections = connections
        self._sleep = sleep

    @property
    def name(self) -> str:
        """`pypi`."""
        return "pypi"

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
            service="the index",
            timeout_seconds=self._timeout_seconds,
            retries=self._retries,
            connections=self._connections,
            sleep=self._sleep,
        )
        with client:
            pages = client.gather(dict.fromkeys(pins), lambda pin: _fetch(client, pin))
            failures = [page for page in pages.values() if isinstance(page, TransientError)]
            if len(failures) == len(pages) and not any(isinstance(failure, NotFound) for failure in failures):
                raise failures[0]
            unknown = dict.fromkeys(pin.name for pin, page in pages.items() if isinstance(page, NotFound))
            projects = client.gather(unknown, lambda name: client.exists(f"/pypi/{quote(name, safe='')}/json"))
        missing = {name: _UNKNOWN[project] for name, project in projects.items() if isinstance(project, bool)}
        return SourceAnswer(
            {pin: page.matches for pin, page in pages.items() if isinstance(page, VersionPage) and page.matches},
            {pin: gap for pin, page in pages.items() if (gap := _gap(page, missing.get(pin.name, _UNKNOWN[None])))},
        )


def _fetch(client: JsonClient, pin: Pin) -> VersionPage:
    path = f"/pypi/{quote(pin.name, safe='')}/{quote(pin.version, safe='')}/json"
    document = client.ask("GET", path, limit_bytes=_PAGE_LIMIT_BYTES)
    try:
        return read_page(pin, document)
    except NotAVersionPage as error:
        raise ServiceNotReady(
            f"the index does not answer: {error}", where=client.where(path), next_step=NOT_THE_SERVICE
        ) from error


def _gap(page: VersionPage | TransientError, missing: str) -> str:
    """Why a pin is not, or not wholly, answered; empty when it is."""
    match page:
        case VersionPage(unreadable=0):
            return ""
        case VersionPage(unreadable=unreadable):
            return f"{unreadable} of the index's entries on it cannot be read"
        case NotFound():
            return f"unknown to the index ({missing})"
        case _:
            return f"{page.what} ({page.where})"
