"""What a person can do when only a person can decide: commands for the Pulumi CLI, and the next provision. Pure."""

import shlex
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit, urlunsplit

PROVISION_AGAIN: Final = (
    "run `provision` again and review the new plan; if it needs approval, set `approved_plan` to its digest"
)

_OWN_STORAGE: Final = frozenset({"file", "s3", "gs", "azblob", "postgres"})
"""Schemes of backends that store the state themselves. All of their stacks have the organization `organization`."""


@dataclass(frozen=True, slots=True)
class StackPlace:
    """Where a stack is."""

    backend_url: str
    project: str
    stack: str

    @property
    def qualified(self) -> str:
        """The name that the CLI understands in any folder.

        With Pulumi Cloud it is the short name, which works only in the project's folder.
        """
        if "/" in self.stack or urlsplit(self.backend_url).scheme not in _OWN_STORAGE:
            return self.stack
        return f"organization/{self.project}/{self.stack}"


def cancel_command(place: StackPlace) -> str:
    """Removes every lock of the stack, whichever process holds it."""
    return f"{_backend(place)} pulumi cancel --yes --stack {shlex.quote(place.qualified)}"


def forget_command(place: StackPlace) -> str:
    """Removes the pending operations from the state, and changes nothing else.

    `pulumi refresh --import-pending-creates` is meant to import such a resource, but CLI 3.259 removes the operation
    without importing anything.
    """
    stack = shlex.quote(place.qualified)
    backend = _backend(place)
    return f"{backend} pulumi stack export --stack {stack} | {backend} pulumi stack import --stack {stack}"


def unprotect_command(place: StackPlace, urn: str) -> str:
    """Removes the protection of one resource in the state."""
    stack = shlex.quote(place.qualified)
    return f"{_backend(place)} pulumi state unprotect {shlex.quote(urn)} --yes --stack {stack}"


def export_command(place: StackPlace) -> str:
    """Reads the state, and shows the CLI's error if that fails."""
    return f"{_backend(place)} pulumi stack export --stack {shlex.quote(place.qualified)} --file /dev/null"


def create_command(place: StackPlace, secrets_provider: str) -> str:
    """Creates an empty stack, and its settings file if it is run in the project's folder."""
    key = f" --secrets-provider {shlex.quote(secrets_provider)}" if secrets_provider else ""
    return f"{_backend(place)} pulumi stack init {shlex.quote(place.stack)}{key}"


def configure_command(place: StackPlace, name: str, *, secret: bool) -> str:
    """Sets one value in the stack's settings file, in the project's folder; it asks for a secret one."""
    value = f"--secret {shlex.quote(name)}" if secret else f"{shlex.quote(name)} <value>"
    return f"{_backend(place)} pulumi config set {value} --stack {shlex.quote(place.stack)}"


def change_key_command(place: StackPlace, secrets_provider: str) -> str:
    """Encrypts state and settings with another key, in the project's folder; it asks for the old passphrase."""
    key = shlex.quote(secrets_provider)
    return f"{_backend(place)} pulumi stack change-secrets-provider {key} --stack {shlex.quote(place.stack)}"


def _backend(place: StackPlace) -> str:
    url, parts = place.backend_url, urlsplit(place.backend_url)
    if parts.password:
        host = parts.netloc.rpartition("@")[2]
        url = urlunsplit(parts._replace(netloc=f"{parts.username}:PASSWORD@{host}"))
    return f"PULUMI_BACKEND_URL={shlex.quote(url)}"
