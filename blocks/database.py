"""Database logins that exist while a run needs them."""

from pydantic import Field

from blocks.reference import DOCUMENTATION, KEY_LOGO, Reference
from blocks.vault import VaultCredentials
from holdtrue.credentials import database


class VaultDatabaseCredentials(Reference, database.VaultDatabaseCredentials):
    """A database user that Vault's database engine creates for one run, renews meanwhile and drops at its end.

    Example:
        Connect as a user of this run:
        ```python
        from blocks.database import VaultDatabaseCredentials
        from sqlalchemy import create_engine

        vault_database_credentials_block = VaultDatabaseCredentials.load("BLOCK_NAME")
        engine = create_engine(vault_database_credentials_block.login().url.get_secret_value())
        ```
    """

    _block_type_name = "Vault Database Credentials"
    _block_type_slug = "holdtrue-vault-database-credentials"
    _logo_url = KEY_LOGO
    _documentation_url = DOCUMENTATION

    vault: VaultCredentials = Field(description="How to log in to Vault.")
