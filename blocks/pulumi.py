"""Where Pulumi keeps its state, and the key in Vault that encrypts the secrets in it."""

from pydantic import Field

from blocks.reference import DOCUMENTATION, KEY_LOGO, Reference
from blocks.vault import VaultCredentials
from holdtrue.credentials import pulumi


class PulumiBackend(Reference, pulumi.PulumiBackend):
    """A Pulumi state backend whose stacks are encrypted by a key that never leaves Vault or a cloud's key service.

    Example:
        Open it for one operation:
        ```python
        from blocks.pulumi import PulumiBackend

        pulumi_backend_block = PulumiBackend.load("BLOCK_NAME")
        access = pulumi_backend_block.open(cloud={}, operation_seconds=600)
        ```
    """

    _block_type_name = "Pulumi Backend"
    _block_type_slug = "holdtrue-pulumi-backend"
    _logo_url = KEY_LOGO
    _documentation_url = DOCUMENTATION

    vault: VaultCredentials = Field(description="How to log in to Vault.")
