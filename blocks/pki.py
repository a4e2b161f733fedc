"""TLS client certificates from Vault's PKI engine."""

from pydantic import Field

from blocks.reference import DOCUMENTATION, KEY_LOGO, Reference
from blocks.vault import VaultCredentials
from holdtrue.credentials import pki


class VaultPki(Reference, pki.VaultPki):
    """A client certificate that Vault's PKI engine issues for one run and revokes at its end.

    Example:
        Ask a server that wants to know its clients:
        ```python
        import httpx
        from blocks.pki import VaultPki

        vault_pki_block = VaultPki.load("BLOCK_NAME")
        answer = httpx.get("https://internal.example.org", verify=vault_pki_block.ssl_context())
        ```
    """

    _block_type_name = "Vault PKI"
    _block_type_slug = "holdtrue-vault-pki"
    _logo_url = KEY_LOGO
    _documentation_url = DOCUMENTATION

    vault: VaultCredentials = Field(description="How to log in to Vault.")
