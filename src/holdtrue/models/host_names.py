"""The names, addresses and users of hosts. None of them can be an option, a second line, a pattern or a path."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Annotated, Final

from pydantic import AfterValidator, Field

_NAME: Final = r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$"
"""Never starts with `-`: a host named `-oProxyCommand=...` would be an option to ssh."""

_OF_ANSIBLE: Final = frozenset({"localhost", "127.0.0.1", "all", "ungrouped"})
"""To Ansible the first two are the worker itself, the others are groups."""

_LIKE_A_NUMBER: Final = re.compile(r"(.*\.)?(\d+|0[xX][0-9A-Fa-f]*)")
"""Names that resolvers read as an IPv4 address in another spelling: `2130706433` is 127.0.0.1."""

_METADATA: Final = frozenset(
    map(ip_address, ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16"))
)
"""Instance metadata outside the link-local ranges: EC2 and Google Compute Engine by IPv6, Alibaba Cloud, Oracle Cloud
(classic), and the host agent of Azure."""

_EMBEDDING: Final = (
    (ip_network("64:ff9b::/96"), 0),
    (ip_network("::/96"), 0),
    (ip_network("::ffff:0:0:0/96"), 0),
    (ip_network("2002::/16"), 80),
)
"""Networks whose IPv6 addresses contain an IPv4 address, and at which bit: NAT64 (RFC 6052), IPv4-compatible
(RFC 4291), IPv4-translated (RFC 2765) and 6to4 (RFC 3056)."""


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
    return any(
        plain.is_link_local or plain.is_multicast or plain.is_unspecified or plain in _METADATA
        for plain in _forms(address)
    )


def _forms(address: IPv4Address | IPv6Address) -> list[IPv4Address | IPv6Address]:
    """The address, and the IPv4 address that it contains: a gateway may lead to that one."""
    if isinstance(address, IPv4Address):
        return [address]
    if address.ipv4_mapped:
        return [address.ipv4_mapped]
    within = [bit for network, bit in _EMBEDDING if address in network]
    return [address, *(IPv4Address((int(address) >> bit) & 0xFFFFFFFF) for bit in within)]


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
