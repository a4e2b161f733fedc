"""Database logins that exist while a run needs them."""

from urllib.parse import quote

from pydantic import Field, SecretStr

from holdtrue.credentials.reference import CredentialReference
from holdtrue.credentials.vault import VaultCredentials, VaultPath, pick
from holdtrue.models.credentials import DatabaseLogin

_LEASE_PATHS = ("sys/leases/renew", "sys/leases/revoke")


class VaultDatabaseCredentials(CredentialReference):
    """A database user that Vault's database engine creates for one run, renews meanwhile and drops at its end."""

    vault: VaultCredentials = Field(description="How to log in to Vault.")
    mount: VaultPath = Field(default="database", description="Path that the database engine is mounted at.")
    role: VaultPath = Field(description="Role of that engine.")
    host: str = Field(min_length=1, pattern=r"^[^\s/@?#]+$", description="Host name or address of the server.")
    port: int = Field(default=5432, ge=1, le=65_535, description="Port of the server.")
    database: str = Field(min_length=1, description="Name of the database.")
    driver: str = Field(
        default="postgresql",
        pattern=r"^[a-z][a-z0-9]*(\+[a-z0-9]+)?$",
        description="Scheme of the connection URL: postgresql, postgresql+psycopg, mysql+pymysql.",
    )

    def capabilities(self) -> dict[str, str]:
        """To have a user made, and to renew and revoke its lease."""
        return {f"{self.mount}/creds/{self.role}": "read", **dict.fromkeys(_LEASE_PATHS, "update")}

    def login(self) -> DatabaseLogin:
        """A new user of the database; it is dropped when the scope ends, or when its lease runs out before.

        Raises:
            AccessDenied: the policy lacks the path.
            ResourceMissing: there is no such role.
            HoldtrueError: what `VaultSession.database_credentials` raises.
        """
        path = f"{self.mount}/creds/{self.role}"
        leased = self.vault.connect().lease(
            path,
            lambda session: session.database_credentials(self.mount, self.role),
            public=frozenset({"username"}),
        )
        where = f"{self.vault.address}, path {path}"
        username = pick(leased.fields, "username", where=where).get_secret_value()
        password = pick(leased.fields, "password", where=where)
        userinfo = f"{quote(username, safe='')}:{quote(password.get_secret_value(), safe='')}"
        return DatabaseLogin(
            username=username,
            password=password,
            url=SecretStr(f"{self.driver}://{userinfo}@{self.host}:{self.port}/{quote(self.database, safe='')}"),
            ttl_seconds=leased.ttl_seconds,
        )
