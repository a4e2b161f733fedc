"""The engines that make something for the one who asks: certificates, users, keys, ciphertext."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import SecretStr

from holdtrue.adapters.vault.connection import VaultConnection, data_of, not_vault, text_of
from holdtrue.adapters.vault.failures import Call, place
from holdtrue.errors import RejectedError, ResourceMissing


@dataclass(frozen=True, slots=True)
class LeasedSecret:
    """A secret that Vault made for this session and takes back."""

    path: str
    """API path that issued it."""
    lease_id: str
    ttl_seconds: int
    renewable: bool
    fields: dict[str, SecretStr] = field(repr=False)


@dataclass(frozen=True, slots=True)
class SignedKey:
    """A public key with the CA's signature."""

    certificate: str
    """One OpenSSH certificate line, public."""
    serial: str


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """A TLS certificate and its key."""

    certificate: str
    """PEM."""
    chain: tuple[str, ...]
    """PEM of the CAs above it, the issuer first."""
    private_key: SecretStr
    serial: str
    expires_at: datetime


class Engines(VaultConnection):
    """Asks the engines."""

    def sign_ssh_key(
        self, mount: str, role: str, public_key: str, principals: tuple[str, ...], ttl_seconds: int
    ) -> SignedKey:
        """A certificate for `public_key`, valid for the principals and at most `ttl_seconds`.

        hvac's own sign_ssh_key sends empty strings for what is left out, and they override the role's defaults.

        Raises:
            AccessDenied: a principal that the role does not allow.
            RejectedError: a lifetime above the role's.
        """
        call = Call("sign the SSH key", f"{mount}/sign/{role}", "update", role=role)
        body = {"public_key": public_key, "valid_principals": ",".join(principals), "ttl": f"{ttl_seconds}s"}
        data = data_of(self.write(call, body), self.server, call)
        return SignedKey(
            certificate=text_of(data, "signed_key", self.server, call),
            serial=text_of(data, "serial_number", self.server, call),
        )

    def ssh_ca(self, mount: str) -> str:
        """The public key line of the SSH CA at this mount, from the endpoint that needs no policy.

        Raises:
            ResourceMissing: no such mount, or it has no CA yet.
        """
        call = Call("read the public key of the SSH CA", f"{mount}/public_key", "read")
        key = str(getattr(self.fetch(call), "text", "")).strip()
        if not key.startswith(("ssh-", "ecdsa-", "sk-")):
            raise ResourceMissing(
                "the mount has no SSH CA",
                where=place(self.server, call),
                next_step=f"create it: `vault write {mount}/config/ca generate_signing_key=true key_type=ed25519`.",
            )
        return key

    def database_credentials(self, mount: str, role: str) -> LeasedSecret:
        """A new user of a database: the fields `username` and `password`.

        Raises:
            ResourceMissing: there is no such role.
        """
        call = Call("make a database user", f"{mount}/creds/{role}", "read", role=role)
        return self._leased(call, self.read(call))

    def aws_credentials(
        self, mount: str, role: str, *, kind: Literal["creds", "sts"], ttl_seconds: int, role_arn: str = ""
    ) -> LeasedSecret:
        """AWS keys: the fields `access_key`, `secret_key` and, for `sts`, `security_token`.

        Source: developer.hashicorp.com/vault/api-docs/secret/aws; OpenBao has no such engine.
        """
        call = Call("make AWS keys", f"{mount}/{kind}/{role}", "update" if kind == "sts" else "read", role=role)
        wishes = {"role_arn": role_arn} if role_arn else {}
        if kind == "creds":
            return self._leased(call, self.read(call, **wishes))
        return self._leased(call, self.write(call, wishes | {"ttl": f"{ttl_seconds}s"}))

    def identity_token(self, role: str) -> SecretStr:
        """A JWT that Vault itself signs for this session's identity (identity/oidc)."""
        call = Call("make an identity token", f"identity/oidc/token/{role}", "read", role=role)
        return SecretStr(text_of(data_of(self.read(call), self.server, call), "token", self.server, call))

    def issue_certificate(
        self, mount: str, role: str, *, common_name: str, alt_names: tuple[str, ...] = (), ttl_seconds: int
    ) -> IssuedCertificate:
        """A new TLS key and certificate.

        Raises:
            RejectedError: the role does not allow the name, or the CA ends before the certificate would.
        """
        call = Call("issue a certificate", f"{mount}/issue/{role}", "update", role=role)
        body = {"common_name": common_name, "alt_names": ",".join(alt_names), "ttl": f"{ttl_seconds}s"}
        data = data_of(self.write(call, body), self.server, call)
        expiration = data.get("expiration")
        if not isinstance(expiration, int):
            raise not_vault(self.server, call)
        chain = data.get("ca_chain") or [text_of(data, "issuing_ca", self.server, call)]
        return IssuedCertificate(
            certificate=text_of(data, "certificate", self.server, call),
            chain=tuple(str(authority).strip() for authority in chain),
            private_key=SecretStr(text_of(data, "private_key", self.server, call)),
            serial=text_of(data, "serial_number", self.server, call),
            expires_at=datetime.fromtimestamp(expiration, UTC),
        )

    def revoke_certificate(self, mount: str, serial: str) -> None:
        """Put it on the mount's revocation list.

        Raises:
            ResourceMissing: the mount does not know the serial.
        """
        call = Call("revoke the certificate", f"{mount}/revoke", "update")
        self.write(call, {"serial_number": serial})

    def valid_certificate(self, mount: str, serial: str) -> str | None:
        """The certificate (PEM); None when it is revoked. Needs no policy.

        Raises:
            ResourceMissing: the mount does not know it, as it knows none of a role with `no_store`.
        """
        call = Call("look up the certificate", f"{mount}/cert/{serial}", "read")
        data = data_of(self.read(call), self.server, call)
        return None if data.get("revocation_time") else text_of(data, "certificate", self.server, call)

    def encrypt(self, mount: str, key: str, plaintext: SecretStr) -> str:
        """Ciphertext as `vault:v1:...`.

        Raises:
            ResourceMissing: there is no such key, and the policy does not let this session make one.
        """
        call = Call("encrypt", f"{mount}/encrypt/{key}", "update")
        encoded = base64.b64encode(plaintext.get_secret_value().encode()).decode()
        body = {"plaintext": encoded}
        return text_of(
            data_of(self.write(call, body, (plaintext,)), self.server, call), "ciphertext", self.server, call
        )

    def decrypt(self, mount: str, key: str, ciphertext: str) -> SecretStr:
        """The text that was encrypted.

        Raises:
            RejectedError: it is no ciphertext of this key, or no text.
        """
        call = Call("decrypt", f"{mount}/decrypt/{key}", "update")
        data = data_of(self.write(call, {"ciphertext": ciphertext}), self.server, call)
        try:
            return SecretStr(base64.b64decode(text_of(data, "plaintext", self.server, call), validate=True).decode())
        except (binascii.Error, UnicodeDecodeError):
            # Without the cause: its text would quote the bytes.
            raise RejectedError(
                "what was encrypted is no text", where=place(self.server, call), next_step="decrypt it by another tool."
            ) from None

    def rewrap(self, mount: str, key: str, ciphertext: str) -> str:
        """The same plaintext under the key's newest version."""
        call = Call("rewrap", f"{mount}/rewrap/{key}", "update")
        data = data_of(self.write(call, {"ciphertext": ciphertext}), self.server, call)
        return text_of(data, "ciphertext", self.server, call)

    def _leased(self, call: Call, answer: Mapping[str, Any]) -> LeasedSecret:
        data = data_of(answer, self.server, call)
        lease_id, ttl_seconds = answer.get("lease_id"), answer.get("lease_duration")
        if not isinstance(lease_id, str) or not isinstance(ttl_seconds, int):
            raise not_vault(self.server, call)
        return LeasedSecret(
            path=call.path,
            lease_id=lease_id,
            ttl_seconds=ttl_seconds,
            renewable=bool(answer.get("renewable")),
            fields={name: SecretStr(value) for name, value in data.items() if isinstance(value, str)},
        )
