"""Base addresses of services, without anything that reports must not repeat."""

from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

from holdtrue.errors import RejectedError


def parse_base_address(text: str, *, next_step: str) -> str:
    """An http(s) address to put paths behind, without trailing slash.

    Raises:
        RejectedError: it is none, or has a user, a password, a query or a fragment, which reports would repeat.
    """
    try:
        address = parse_url(text)
    except LocationParseError:
        address = Url()
    is_place = address.scheme in {"http", "https"} and address.host and address.port != 0
    if not is_place or address.auth is not None or address.query is not None or address.fragment is not None:
        raise RejectedError(
            "the advisory source needs an http(s) base address without user, password and query", next_step=next_step
        )
    return address.url.rstrip("/")
