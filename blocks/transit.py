"""Encryption by a key that never leaves Vault, for what has to be stored."""

from pydantic import Field

from blocks.reference import DOCUMENTATION, KEY_LOGO, Reference
from blocks.vault import VaultCredentials
from holdtrue.credentials import transit


class VaultTransit(Reference, transit.VaultTransit):
    """A key of Vault's transit engine: encrypts what must be stored, and Pulumi's secrets.

    Example:
        Encrypt before storing:
        ```python
        from blocks.transit import VaultTransit
        from pydantic import SecretStr

        vault_transit_block = VaultTransit.load("BLOCK_NAME")
        ciphertext = vault_transit_block.encrypt(SecretStr("what must be stored"))
        ```
    """

    _block_type_name = "Vault Transit"
    _block_type_slug = "holdtrue-vault-transit"
    _logo_url = KEY_LOGO
    _documentation_url = DOCUMENTATION

    vault: VaultCredentials = Field(description="How to log in to Vault.")
