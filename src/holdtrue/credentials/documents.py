"""The fleet's credential references as a file: what becomes Prefect's blocks, and what works without Prefect.

    blocks:
      - type: vault-credentials
        name: production
        address: https://vault.example.org:8200
        auth: {kind: approle, role_id: "${ROLE_ID}"}
      - type: vault-secret
        name: app-password
        vault: production
        path: app
        field: password

`vault` names another document. `${NAME}` is a variable of the environment in which the file is read.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar, cast

from pydantic import JsonValue

from holdtrue.adapters.manifest import require_inside
from holdtrue.core.secret_detection import find_secrets
from holdtrue.credentials.aws import VaultAwsCredentials
from holdtrue.credentials.database import VaultDatabaseCredentials
from holdtrue.credentials.pki import VaultPki
from holdtrue.credentials.pulumi import PulumiBackend
from holdtrue.credentials.reference import CredentialReference
from holdtrue.credentials.ssh import VaultSshCertificates
from holdtrue.credentials.transit import VaultTransit
from holdtrue.credentials.vault import VaultCredentials, VaultSecret
from holdtrue.errors import BlockMissing
from holdtrue.models.environment import Credentials, Environment
from holdtrue.runtime.yaml_document import FieldPath, YamlDocument, read_yaml

R = TypeVar("R", bound=CredentialReference)

FILE_NAME: Final = "blocks.yaml"

KINDS: Final[Mapping[str, type[CredentialReference]]] = {
    "vault-credentials": VaultCredentials,
    "vault-secret": VaultSecret,
    "vault-aws-credentials": VaultAwsCredentials,
    "vault-ssh-certificates": VaultSshCertificates,
    "vault-database-credentials": VaultDatabaseCredentials,
    "vault-pki": VaultPki,
    "vault-transit": VaultTransit,
    "pulumi-backend": PulumiBackend,
}
"""Kinds by the name a file gives them; the Prefect block type is called the same with holdtrue- before it."""

_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Document:
    """One reference as the file declares it."""

    kind: str
    name: str
    reference: CredentialReference
    login: str
    """Name of the vault-credentials document that it logs in with; empty for a login itself."""


@dataclass(frozen=True, slots=True)
class Documents:
    """All references of a fleet, logins before what uses them."""

    path: Path
    entries: tuple[Document, ...]

    def load(self, kind: type[R], name: str, /) -> R:
        """The reference of this kind and name.

        Raises:
            BlockMissing: the file declares none.
        """
        for entry in self.entries:
            if type(entry.reference) is kind and entry.name == name:
                return entry.reference
        raise BlockMissing(
            f"no {kind.__name__} named {name!r} is declared",
            where=str(self.path),
            next_step="declare it there, or name another one in the environment's manifest",
        )


def load_references(documents: Documents, names: Credentials) -> tuple[CredentialReference, ...]:
    """The references that an environment names.

    Raises:
        BlockMissing: one is not declared.
    """
    return (
        documents.load(VaultCredentials, names.vault),
        documents.load(VaultAwsCredentials, names.aws),
        documents.load(VaultSshCertificates, names.ssh),
        documents.load(PulumiBackend, names.pulumi),
    )


def load_secrets(documents: Documents, environment: Environment) -> tuple[VaultSecret, ...]:
    """The references to the secrets of its playbook that are read with the environment's own login, each once.

    Raises:
        BlockMissing: one is not declared.
    """
    own = documents.load(VaultCredentials, environment.credentials.vault)
    blocks = dict.fromkeys(environment.configuration.secrets.values())
    secrets = [documents.load(VaultSecret, block) for block in blocks]
    return tuple(secret for secret in secrets if secret.vault.is_same_login(own))


def load_documents(fleet: Path, environment: Mapping[str, str] = os.environ) -> Documents:
    """Read `blocks.yaml` of the fleet.

    Raises:
        ManifestError: it is missing or wrong, is a link that leads out of the fleet, a variable is not set, or
            something in it looks like a secret.
    """
    require_inside(fleet, fleet / FILE_NAME)
    document = read_yaml(fleet / FILE_NAME, help="fix the file; docs/vault.md shows what it may say")
    declared = document.values.get("blocks")
    if set(document.values) != {"blocks"} or not isinstance(declared, list):
        raise document.error((), "must hold a list called blocks, and nothing else")
    # Logins first, wherever they stand: the others name them.
    order = sorted(range(len(declared)), key=lambda index: _kind_of(declared[index]) != "vault-credentials")
    logins: dict[str, CredentialReference] = {}
    entries: list[Document] = []
    for index in order:
        entry = _parse(document, ("blocks", index), declared[index], logins, environment)
        if any((entry.kind, entry.name) == (other.kind, other.name) for other in entries):
            raise document.error(("blocks", index, "name"), f"{entry.kind} {entry.name!r} is declared twice")
        if isinstance(entry.reference, VaultCredentials):
            logins[entry.name] = entry.reference
        entries.append(entry)
    return Documents(path=document.path, entries=tuple(entries))


def _parse(
    document: YamlDocument,
    at: FieldPath,
    declared: JsonValue,
    logins: Mapping[str, CredentialReference],
    environment: Mapping[str, str],
) -> Document:
    if not isinstance(declared, dict):
        raise document.error(at, "must be a mapping with type and name")
    kind, name = _kind_of(declared), declared.get("name")
    if kind not in KINDS:
        raise document.error((*at, "type"), f"must be one of: {', '.join(KINDS)}")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise document.error((*at, "name"), "must be lower-case letters, digits and dashes, as Prefect names blocks")
    fields = {field: value for field, value in declared.items() if field not in ("type", "name")}
    suspects = find_secrets(fields)
    if suspects:
        raise document.error(at, f"looks like a secret at {suspects[0].at}: {suspects[0].why}; name where it is kept")
    filled = {field: _fill(document, (*at, field), value, environment) for field, value in fields.items()}
    login = ""
    if kind != "vault-credentials":
        login = _login(document, at, fields.get("vault"), logins)
        filled["vault"] = cast("JsonValue", logins[login])
    return Document(kind, name, document.parse(KINDS[kind].model_validate, at, filled), login)


def _login(document: YamlDocument, at: FieldPath, name: JsonValue, logins: Mapping[str, CredentialReference]) -> str:
    if not isinstance(name, str) or name not in logins:
        declared = ", ".join(sorted(logins)) or "none"
        raise document.error((*at, "vault"), f"must name a vault-credentials document; declared: {declared}")
    return name


def _kind_of(declared: JsonValue) -> str:
    return str(declared.get("type")) if isinstance(declared, dict) else ""


def _fill(document: YamlDocument, at: FieldPath, value: JsonValue, environment: Mapping[str, str]) -> JsonValue:
    """The value with its variables replaced."""
    match value:
        case str():
            missing = [name for name in _VARIABLE.findall(value) if not environment.get(name)]
            if missing:
                raise document.error(at, f"the variable {missing[0]} is not set where this file is read")
            return _VARIABLE.sub(lambda found: environment[found.group(1)], value)
        case list():
            return [_fill(document, (*at, index), item, environment) for index, item in enumerate(value)]
        case dict():
            return {name: _fill(document, (*at, name), item, environment) for name, item in value.items()}
        case _:
            return value
