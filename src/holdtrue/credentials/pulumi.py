"""Where Pulumi keeps its state, and the key in Vault that encrypts the secrets in it."""

from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

from pydantic import Field, SecretStr

from holdtrue.adapters.vault import VaultSession
from holdtrue.credentials.reference import CredentialReference
from holdtrue.credentials.vault import VaultCredentials
from holdtrue.models.credentials import StackAccess


class PulumiBackend(CredentialReference):
    """A Pulumi state backend whose stacks are encrypted by a key that never leaves Vault or a cloud's key service."""

    url: str = Field(
        pattern=r"^(file|s3|gs|azblob)://[^\s@]+$",
        description="State backend as in `pulumi login`: file:///path, s3://bucket, gs://bucket or azblob://container.",
    )
    secrets_provider: str = Field(
        pattern=r"^(hashivault|awskms|gcpkms|azurekeyvault)://\S+$",
        description="Key that encrypts secrets in the state, e.g. hashivault://pulumi for the transit key pulumi.",
    )
    vault: VaultCredentials = Field(description="How to log in to Vault.")

    def capabilities(self) -> dict[str, str]:
        """To encrypt and decrypt with the transit key; nothing in Vault when a cloud's key service does it.

        The URL's parts are those of gocloud.dev/secrets/hashivault, which the Pulumi CLI opens it with.
        """
        key = urlsplit(self.secrets_provider)
        if key.scheme != "hashivault":
            return {}
        engine = parse_qs(key.query).get("engine", ["transit"])[0].strip("/")
        return {f"{engine}/{operation}/{key.netloc}{key.path}": "update" for operation in ("encrypt", "decrypt")}

    def reading_capabilities(self) -> dict[str, str]:
        """To decrypt: transit encrypts one data key, when the stack is created."""
        return {path: need for path, need in self.capabilities().items() if "/encrypt/" not in path}

    def open(self, cloud: Mapping[str, SecretStr], *, operation_seconds: float) -> StackAccess:
        """What the engine needs for one operation.

        The Pulumi CLI keeps the token that it is started with, so this one lives as long as the operation may take, or
        as long as the role lets a token live; it is renewed meanwhile.

        Args:
            cloud: Variables with which the program and the backend reach the cloud (AWS_*).
            operation_seconds: How long the operation may take.

        Raises:
            HoldtrueError: what `SharedVault.session` raises.
        """
        session = self.vault.connect().session(operation_seconds)
        return StackAccess(
            backend_url=self.url,
            secrets_provider=self.secrets_provider,
            environment={**cloud, "PULUMI_BACKEND_URL": SecretStr(self.url), **_vault_variables(session)},
        )


def _vault_variables(session: VaultSession) -> dict[str, SecretStr]:
    """What Vault's Go client in the Pulumi CLI reads."""
    variables = {"VAULT_ADDR": SecretStr(session.server.address), "VAULT_TOKEN": session.token}
    if session.server.ca_file:
        variables["VAULT_CACERT"] = SecretStr(str(session.server.ca_file))
    if session.server.namespace:
        variables["VAULT_NAMESPACE"] = SecretStr(session.server.namespace)
    return variables
