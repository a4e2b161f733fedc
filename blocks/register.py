"""All block types of this collection, made known to the Prefect server: `python -m blocks.register`."""

from typing import Final

from blocks.aws import VaultAwsCredentials
from blocks.database import VaultDatabaseCredentials
from blocks.pki import VaultPki
from blocks.pulumi import PulumiBackend
from blocks.reference import Reference
from blocks.ssh import VaultSshCertificates
from blocks.transit import VaultTransit
from blocks.vault import VaultCredentials, VaultSecret
from holdtrue.credentials.reference import CredentialReference

BLOCK_TYPES: Final[tuple[type[Reference], ...]] = (
    VaultCredentials,
    VaultSecret,
    VaultAwsCredentials,
    VaultSshCertificates,
    VaultDatabaseCredentials,
    VaultPki,
    VaultTransit,
    PulumiBackend,
)
"""Inner blocks before the blocks that hold them."""


def block_type_of(kind: type[CredentialReference]) -> type[Reference]:
    """The block type that saves this kind of reference."""
    bases: dict[type, type[Reference]] = {base: block for block in BLOCK_TYPES for base in block.__mro__}
    return bases[kind]


def register_blocks() -> tuple[str, ...]:
    """Register every type and its schema, or bring them up to date; returns their slugs."""
    for block_type in BLOCK_TYPES:
        # `_sync`, which the signature hides: without it this is a coroutine when an event loop runs.
        block_type.register_type_and_schema(_sync=True)  # type: ignore[call-arg]
    return tuple(block_type.get_block_type_slug() for block_type in BLOCK_TYPES)


if __name__ == "__main__":
    print("\n".join(register_blocks()))  # noqa: T201 - a command's output
