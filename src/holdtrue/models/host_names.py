"""The names, addresses and users of hosts. None of them can be an option, a second line, a pattern or a path."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Annotated, Final

from pydantic import AfterValidator, Field

_NAME: Final = r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$"
"""Never starts with `-`: a host named `-oProxyCommand=...` would be an option to ssh."""

_OF_ANSIBLE: Final = frozenset({"localhost", "127.0.0.1", "all", "ungrouped"})
"""To Ansible the first two are the worker itself, the others are groups."""

_LIKE_A_NUMBER: Final = re.compile(r"(.*\.)?(\d+|0[xX][0-9A-Fa-f]*)")
"""Names that resolvers read as an IPv4 address in another spelling: `2130706433` is 127.0.0.1."""

_METADATA: Final = frozenset({IPv6Address("fd00:ec2::254")})
"""Instance metadata outside the link-local ranges (EC2 user guide, "Access instance metadata")."""


def require_host_name(name: str) -> None:
    """Check that a text is a name or an IPv4 address.

    Raises:
        ValueError: it is not.
    """
    if not re.fullmatch(_NAME, name):
        raise ValueError("must be a name of letters, digits, and `.`, `_` or `-` inside, of at most 253 characters")


def _not_of_ansible(name: str) -> str:
    if name in _OF_ANSIBLE:
        raise ValueError(f"'{name}' means something else to Ansible: choose another name")
    return name


def _address(address: str) -> str:
    if ":" in address or _LIKE_A_NUMBER.fullmatch(address):
        _require_ip_address(address)
    else:
        require_host_name(address)
    return address


def _require_ip_address(address: str) -> None:
    try:
        found = ip_address(address)
    except ValueError:
        raise ValueError("must be an IPv4 address, an IPv6 address or a DNS name") from None
    if isinstance(found, IPv6Address) and found.scope_id is not None:
        raise ValueError("must not have a scope (`%`), which differs from machine to machine")
    if is_reserved(found):
        raise ValueError("must be an address that a host can have, not a link-local, metadata or multicast address")


def is_reserved(address: IPv4Address | IPv6Address) -> bool:
    """Whether no host of a fleet can have the address. A loopback address can be right, for example behind a tunnel."""
    plain = address.ipv4_mapped if isinstance(address, IPv6Address) and address.ipv4_mapped else address
    return plain.is_link_local or plain.is_multicast or plain.is_unspecified or plain in _METADATA


def names_no_host(name: str) -> bool:
    """Whether the host of a URL is a reserved address, or a number that a resolver would read as some address."""
    name = name.rstrip(".")
    try:
        return is_reserved(ip_address(name))
    except ValueError:
        return _LIKE_A_NUMBER.fullmatch(name) is not None


HostName = Annotated[str, Field(pattern=_NAME), AfterValidator(_not_of_ansible)]
"""What Ansible, ssh, Testinfra and the load balancer call the host."""

HostAddress = Annotated[str, AfterValidator(_address)]
"""IPv4, IPv6 or a DNS name."""

HostUser = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_-]{0,31}$")]
"""Who logs in on the host."""
