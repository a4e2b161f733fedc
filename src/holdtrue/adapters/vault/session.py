"""A logged-in Vault session: what can be asked, and the promise that its token does not outlive it."""

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, assert_never

from pydantic import SecretStr

from holdtrue.adapters.vault.failures import Call, place, translate
from holdtrue.adapters.vault.server import AppRole, VaultAuth, VaultServer
from holdtrue.errors import HoldtrueError, RejectedError, ResourceMissing, SecretInvalid
from holdtrue.runtime.tracing import span

if TYPE_CHECKING:
    from hvac import Client

_LOGGER: Final = logging.getLogger(__name__)


class VaultSession:
    """One token's view of one server; made by `open_vault`, dead when its `with` block is left.

    Every method raises AccessDenied, ResourceMissing, ServiceNotReady, ServiceUnreachable, CertificateRefused or
    another RejectedError, each naming mount, path and what to do.
    """

    def __init__(self, server: VaultServer, client: "Client", *, accessor: str, lifetime_seconds: int) -> None:
        self.server: Final = server
        self.accessor: Final = accessor
        """Names the token in Vault's audit log and to its operators; it opens nothing."""
        self._client = client
        self._lifetime_seconds = lifetime_seconds
        self._born = time.monotonic()

    def __repr__(self) -> str:
        return f"VaultSession({self.server.address!r}, accessor={self.accessor!r})"

    @property
    def token(self) -> SecretStr:
        """The session's token, for a child tool that logs in to Vault itself; it dies with the session."""
        return SecretStr(self._client.token or "")

    @property
    def ttl_seconds(self) -> int:
        """What is left of the token's lifetime, by this machine's clock; 0 when it is over."""
        return max(0, int(self._lifetime_seconds - (time.monotonic() - self._born)))

    def read_secret(self, mount: str, path: str, version: int | None = None) -> dict[str, SecretStr]:
        """The fields of one KV v2 secret; `version` None reads the newest.

        Raises:
            SecretInvalid: a field is not a string.
            ResourceMissing: no such mount or path, or the version is deleted.
        """
        call = Call("read the secret", f"{mount}/data/{path}", "read")
        with span("vault read", **{"vault.path": call.path}), self._translated(call):
            answer = self._client.secrets.kv.v2.read_secret_version(
                path=path, mount_point=mount, version=version, raise_on_deleted_version=True
            )
        fields = _data(answer, self.server, call).get("data")
        if not isinstance(fields, dict):
            raise _not_vault(self.server, call)
        wrong = sorted(f"{name} ({type(value).__name__})" for name, value in fields.items() if type(value) is not str)
        if wrong:
            raise SecretInvalid(
                f"the secret has fields that are not strings: {', '.join(wrong)}",
                where=place(self.server, call),
                next_step="write them as strings: `vault kv put` does, a JSON body keeps numbers and lists.",
            )
        return {name: SecretStr(value) for name, value in fields.items()}

    def sign_ssh_key(
        self, mount: str, role: str, public_key: str, principals: tuple[str, ...], ttl_seconds: int
    ) -> str:
        """One OpenSSH certificate line for `public_key`, valid for the principals and at most `ttl_seconds`.

        hvac's own sign_ssh_key sends empty strings for what is left out, and they override the role's defaults.

        Raises:
            AccessDenied: a principal that the role does not allow.
            RejectedError: a lifetime above the role's.
        """
        call = Call("sign the SSH key", f"{mount}/sign/{role}", "update", role=role)
        body = {"public_key": public_key, "valid_principals": ",".join(principals), "ttl": f"{ttl_seconds}s"}
        with span("vault sign ssh key", **{"vault.path": call.path}), self._translated(call):
            answer = self._client.write_data(call.path, data=body)
        return _text(_data(answer, self.server, call), "signed_key", self.server, call)

    def ssh_ca(self, mount: str) -> str:
        """The public key line of the SSH CA at this mount, from the endpoint that needs no policy.

        Raises:
            ResourceMissing: no such mount, or it has no CA yet.
        """
        call = Call("read the public key of the SSH CA", f"{mount}/public_key", "read")
        with span("vault read ssh ca", **{"vault.path": call.path}), self._translated(call):
            answer = self._client.adapter.get(f"/v1/{call.path}")
        key = str(getattr(answer, "text", "")).strip()
        if not key.startswith(("ssh-", "ecdsa-", "sk-")):
            raise ResourceMissing(
                "the mount has no SSH CA",
                where=place(self.server, call),
                next_step=f"create it: `vault write {mount}/config/ca generate_signing_key=true key_type=ed25519`.",
            )
        return key

    def capabilities(self, paths: Iterable[str]) -> dict[str, frozenset[str]]:
        """What this token may do on each API path: `read`, `update`, ..., or `deny` alone."""
        call = Call("ask for capabilities", "sys/capabilities-self", "update")
        asked = list(paths)
        with span("vault capabilities"), self._translated(call):
            answer = self._client.sys.get_capabilities(paths=asked)
        data = _data(answer, self.server, call)
        return {path: frozenset(data.get(path) or ("deny",)) for path in asked}

    def _translated(self, call: Call) -> Any:
        left = self.ttl_seconds
        hint = "" if left else f"the token's {self._lifetime_seconds} s are over: raise token_ttl of the role"
        return translate(self.server, call, secrets=(self.token,), hint=hint)


@contextmanager
def open_vault(server: VaultServer, auth: VaultAuth) -> Iterator[VaultSession]:
    """Log in, and revoke the token on every way out, signals that raise included.

    A token that cannot be revoked is reported by a warning with its accessor and remaining life, not by an error: the
    work inside is done, and repeating it would not revoke the token.

    Raises:
        AccessDenied: the login was refused.
        RejectedError: the role gives batch tokens, which nobody can revoke.
        ServiceUnreachable, ServiceNotReady, CertificateRefused, ResourceMissing: see the message.
    """
    client = _client(server)
    session: VaultSession | None = None
    try:
        session = login(server, auth, client)
        yield session
    finally:
        if session is not None:
            _revoke(session, client)
        client.adapter.close()


def login(server: VaultServer, auth: VaultAuth, client: "Client") -> VaultSession:
    """Exchange the credential for a token, which `client` holds from then on."""
    match auth:
        case AppRole():
            call = Call("log in by AppRole", f"auth/{auth.mount}/login")
            with span("vault login", **{"vault.path": call.path}), translate(server, call, secrets=(auth.secret_id,)):
                answer = client.auth.approle.login(
                    role_id=auth.role_id,
                    secret_id=auth.secret_id.get_secret_value(),
                    mount_point=auth.mount,
                    use_token=False,
                )
        case _:
            assert_never(auth)
    granted = answer.get("auth") if isinstance(answer, dict) else None
    if not isinstance(granted, dict) or not granted.get("client_token"):
        raise _not_vault(server, call)
    if granted.get("token_type") == "batch":
        raise RejectedError(
            "the role gives batch tokens, which cannot be revoked at the end of a run",
            where=place(server, call),
            next_step="set token_type=service on the role.",
        )
    client.token = granted["client_token"]
    return VaultSession(
        server, client, accessor=granted.get("accessor", ""), lifetime_seconds=int(granted.get("lease_duration", 0))
    )


def _client(server: VaultServer) -> "Client":
    if server.ca_file is not None and not server.ca_file.is_file():
        raise ResourceMissing(
            "there is no CA file at this path",
            where=str(server.ca_file),
            next_step="put the PEM file of Vault's CA there on this worker, or correct ca_file of the block.",
        )
    from hvac import Client  # noqa: PLC0415 - 0.3 s that only a session pays

    # Empty, not None: for None, hvac takes the token from VAULT_TOKEN or ~/.vault-token, and the certificate from
    # VAULT_CLIENT_CERT. Attempts: one, because requests' own adapters retry 0 times; retrying is the task's business.
    return Client(
        url=server.address,
        token="",
        cert=(),
        namespace=server.namespace or None,
        verify=str(server.ca_file) if server.ca_file else True,
        timeout=server.timeout_seconds,
    )


def _revoke(session: VaultSession, client: "Client") -> None:
    call = Call("revoke the token of this session", "auth/token/revoke-self", "update")
    try:
        with span("vault revoke"), translate(session.server, call, secrets=(session.token,)):
            client.auth.token.revoke_self()
    except HoldtrueError as error:
        if session.ttl_seconds:
            _LOGGER.warning(
                "%s Until then the token lives at most %d s; its accessor is %s.",
                error,
                session.ttl_seconds,
                session.accessor,
            )
    finally:
        client.token = ""


def _data(answer: Any, server: VaultServer, call: Call) -> dict[str, Any]:
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, dict):
        raise _not_vault(server, call)
    return data


def _text(data: dict[str, Any], field: str, server: VaultServer, call: Call) -> str:
    value = data.get(field)
    if not isinstance(value, str):
        raise _not_vault(server, call)
    return value.strip()


def _not_vault(server: VaultServer, call: Call) -> RejectedError:
    return RejectedError(
        f"could not {call.action}: the answer is not the one Vault gives here",
        where=place(server, call),
        next_step="check that the address is Vault's, and that the mount is of the right kind (`vault secrets list`).",
    )
