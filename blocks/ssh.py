"""SSH without long-lived keys: a key pair for one run, signed by Vault's SSH CA."""

from pydantic import Field

from blocks.reference import DOCUMENTATION, KEY_LOGO, Reference
from blocks.vault import VaultCredentials
from holdtrue.credentials import ssh


class VaultSshCertificates(Reference, ssh.VaultSshCertificates):
    """Short-lived SSH certificates from one CA in Vault, and the CA that the hosts' own keys are signed by.

    Example:
        Get a key pair that the hosts accept for a while:
        ```python
        from blocks.ssh import VaultSshCertificates

        vault_ssh_certificates_block = VaultSshCertificates.load("BLOCK_NAME")
        identity = vault_ssh_certificates_block.issue()
        ```
    """

    _block_type_name = "Vault SSH Certificates"
    _block_type_slug = "holdtrue-vault-ssh-certificates"
    _logo_url = KEY_LOGO
    _documentation_url = DOCUMENTATION

    vault: VaultCredentials = Field(description="How to log in to Vault.")
