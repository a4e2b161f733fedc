"""Base addresses of services, without anything that reports must not repeat."""

from typing import Final

from holdtrue.errors import RejectedError

_HIGHEST_PORT: Final = 65_535


def parse_base_address(text: str, *, next_step: str) -> str:
    """An http(s) address to put paths behind, without trailing slash.

    Raises:
        RejectedError: it is none, or has a user, a password, a query or a fragment, which reports would repeat.
    """
    import httpx  # noqa: PLC0415 - it takes longer than a whole audit that asks nobody

    try:
        address = httpx.URL(text)
    except (httpx.InvalidURL, TypeError):
        address = httpx.URL()
    is_place = address.scheme in {"http", "https"} and bool(address.host)
    has_port = address.port is None or 0 < address.port <= _HIGHEST_PORT
    if not is_place or not has_port or address.userinfo or address.query or address.fragment:
        raise RejectedError(
            "the advisory source needs an http(s) base address without user, password and query", next_step=next_step
        )
    return str(address).rstrip("/")
