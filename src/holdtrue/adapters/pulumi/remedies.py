"""Commands that a person can run when only a person can decide. Pure; each is run by a test on the real CLI."""

import shlex
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit, urlunsplit

_OWN_STORAGE: Final = frozenset({"file", "s3", "gs", "azblob", "postgres"})
"""Schemes of backends that hold the state themselves: there a stack has the organization `organization`."""


@dataclass(frozen=True, slots=True)
class StackPlace:
    """Where a stack is."""

    backend_url: str
    project: str
    stack: str

    @property
    def qualified(self) -> str:
        """The name that the CLI understands in any folder; with Pulumi's service, in that of the project."""
        if "/" in self.stack or urlsplit(self.backend_url).scheme not in _OWN_STORAGE:
            return self.stack
        return f"organization/{self.project}/{self.stack}"


def cancel_command(place: StackPlace) -> str:
    """Removes every lock of the stack, whoever holds it."""
    return f"{_backend(place)} pulumi cancel --yes --stack {shlex.quote(place.qualified)}"


def forget_command(place: StackPlace) -> str:
    """Removes the unfinished operations from the state, and changes nothing else.

    `pulumi refresh --import-pending-creates` would be the way to take a resource over, but CLI 3.259 forgets the
    operation and does not import anything.
    """
    stack = shlex.quote(place.qualified)
    backend = _backend(place)
    return f"{backend} pulumi stack export --stack {stack} | {backend} pulumi stack import --stack {stack}"


def unprotect_command(place: StackPlace, urn: str) -> str:
    """Takes the protection off one resource, in the state."""
    stack = shlex.quote(place.qualified)
    return f"{_backend(place)} pulumi state unprotect {shlex.quote(urn)} --yes --stack {stack}"


def _backend(place: StackPlace) -> str:
    url, parts = place.backend_url, urlsplit(place.backend_url)
    if parts.password:
        host = parts.netloc.rpartition("@")[2]
        url = urlunsplit(parts._replace(netloc=f"{parts.username}:PASSWORD@{host}"))
    return f"PULUMI_BACKEND_URL={shlex.quote(url)}"
