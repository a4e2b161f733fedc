"""Encryption by a key that never leaves Vault, for what has to be stored."""

from pydantic import Field, SecretStr

from holdtrue.credentials.reference import CredentialReference
from holdtrue.credentials.vault import VaultCredentials, VaultPath
from holdtrue.runtime.redaction import register_secret


class VaultTransit(CredentialReference):
    """A key of Vault's transit engine: encrypts what must be stored, and Pulumi's secrets."""

    vault: VaultCredentials = Field(description="How to log in to Vault.")
    mount: VaultPath = Field(default="transit", description="Path that the transit engine is mounted at.")
    key: VaultPath = Field(description="Name of the key.")

    def capabilities(self) -> dict[str, str]:
        """To encrypt and decrypt."""
        return {f"{self.mount}/{operation}/{self.key}": "update" for operation in ("encrypt", "decrypt")}

    @property
    def secrets_provider(self) -> str:
        """What `PulumiBackend.secrets_provider` takes for this key (gocloud.dev/secrets/hashivault)."""
        return f"hashivault://{self.key}" + ("" if self.mount == "transit" else f"?engine={self.mount}")

    def encrypt(self, plaintext: SecretStr) -> str:
        """Ciphertext as `vault:v1:...`, which may be stored anywhere.

        Raises:
            HoldtrueError: what `VaultSession.encrypt` raises.
        """
        return self.vault.connect().call(lambda session: session.encrypt(self.mount, self.key, plaintext))

    def decrypt(self, ciphertext: str) -> SecretStr:
        """What was encrypted, by any version of the key that is still allowed to.

        Raises:
            RejectedError: it is no ciphertext of this key.
            HoldtrueError: what `VaultSession.decrypt` raises.
        """
        plaintext = self.vault.connect().call(lambda session: session.decrypt(self.mount, self.key, ciphertext))
        register_secret(plaintext, name=f"plaintext of {self.mount}/{self.key}")
        return plaintext

    def rewrap(self, ciphertext: str) -> str:
        """The same plaintext under the newest version of the key, without showing it to this worker.

        Raises:
            HoldtrueError: what `VaultSession.rewrap` raises; the policy needs `update` on `<mount>/rewrap/<key>`.
        """
        return self.vault.connect().call(lambda session: session.rewrap(self.mount, self.key, ciphertext))
