"""Vault: how to log in, and one field of one secret."""

from pydantic import Field

from blocks.reference import DOCUMENTATION, KEY_LOGO, Reference
from holdtrue.credentials import vault


class VaultCredentials(Reference, vault.VaultCredentials):
    """Log in to HashiCorp Vault or OpenBao, once for a whole run; the token is renewed, and revoked at its end.

    Example:
        Read a secret:
        ```python
        from blocks.vault import VaultCredentials

        vault_credentials_block = VaultCredentials.load("BLOCK_NAME")
        fields = vault_credentials_block.connect().read_secret("secret", "holdtrue/app")
        ```
    """

    _block_type_name = "Vault Credentials"
    _block_type_slug = "holdtrue-vault-credentials"
    _logo_url = KEY_LOGO
    _documentation_url = DOCUMENTATION


class VaultSecret(Reference, vault.VaultSecret):
    """One field of one secret in Vault's KV engine, read where it is used.

    Example:
        Read it where it is used:
        ```python
        from blocks.vault import VaultSecret

        vault_secret_block = VaultSecret.load("BLOCK_NAME")
        password = vault_secret_block.get()
        ```
    """

    _block_type_name = "Vault Secret"
    _block_type_slug = "holdtrue-vault-secret"
    _logo_url = KEY_LOGO
    _documentation_url = DOCUMENTATION

    vault: VaultCredentials = Field(description="How to log in to Vault.")
