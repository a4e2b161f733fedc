"""From a credential to a session: one case for each auth method."""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, assert_never

from pydantic import SecretStr

from holdtrue.adapters.vault.auth import (
    AppRole,
    AwsIam,
    ClientCertificate,
    Jwt,
    Kubernetes,
    Token,
    Userpass,
    VaultAuth,
    login_advice,
    login_path,
)
from holdtrue.adapters.vault.aws_identity import signed_identity
from holdtrue.adapters.vault.connection import VaultConnection, data_of, not_vault, open_client
from holdtrue.adapters.vault.failures import Call, place
from holdtrue.adapters.vault.server import VaultServer
from holdtrue.adapters.vault.session import Grant, VaultSession, ended
from holdtrue.errors import RejectedError

if TYPE_CHECKING:
    from hvac import Client


def open_vault(server: VaultServer, auth: VaultAuth) -> AbstractContextManager[VaultSession]:
    """Log in for one `with` block, and revoke the token on every way out of it.

    Raises:
        RejectedError: the role gives batch tokens, which nobody can revoke.
        HoldtrueError: what `login` raises.
    """
    session = login(server, auth)
    if session.grant.is_batch:
        session.close()
        raise batch_refused(session)
    return ended(session)


def login(server: VaultServer, auth: VaultAuth) -> VaultSession:
    """Exchange the credential for a token. Nothing is retried; the caller ends the session, and refuses a batch token.

    Raises:
        AccessDenied: the login was refused.
        SecretInvalid: the files are no client certificate and its key.
        ServiceUnreachable, ServiceNotReady, CertificateRefused, ResourceMissing: see the message.
    """
    files = (auth.certificate_file, auth.key_file) if isinstance(auth, ClientCertificate) else None
    client = open_client(server, files)
    try:
        return _adopt(server, client, auth.token) if isinstance(auth, Token) else _exchange(server, client, auth)
    except BaseException:
        client.adapter.close()
        raise


def batch_refused(session: VaultSession) -> RejectedError:
    """Why a batch token is not used, although it was issued and lives."""
    return RejectedError(
        "the role gives batch tokens, which cannot be revoked at the end of a run; "
        f"the one just issued lives for {session.lifetime_seconds} s",
        where=session.server.address,
        next_step="set token_type=service on the role.",
    )


def unwrap(server: VaultServer, wrapping_token: SecretStr) -> SecretStr:
    """The one secret inside a response-wrapping token, which opens once.

    Raises:
        AccessDenied: it was opened before, has expired, or is none.
        RejectedError: it wraps more or something else than one secret.
    """
    client = open_client(server)
    try:
        client.token = wrapping_token.get_secret_value()
        call = Call("unwrap the secret", "sys/wrapping/unwrap")
        data = data_of(VaultConnection(server, client).write(call, {}, (wrapping_token,)), server, call)
        wrapped = [
            data[name] for name in ("secret_id", "password", "token", "value") if isinstance(data.get(name), str)
        ]
        if len(wrapped) != 1:
            raise RejectedError(
                f"the wrapping token holds no single secret; it holds: {', '.join(sorted(data)) or 'nothing'}",
                where=place(server, call),
                next_step="wrap the answer of `vault write -f auth/<mount>/role/<role>/secret-id`.",
            )
        return SecretStr(wrapped[0])
    finally:
        client.adapter.close()


def _adopt(server: VaultServer, client: "Client", token: SecretStr) -> VaultSession:
    """Use a token that exists; ask what it is."""
    client.token = token.get_secret_value()
    call = Call("look at the token", "auth/token/lookup-self", "read")
    data = data_of(VaultConnection(server, client).read(call), server, call)
    grant = Grant(
        accessor=str(data.get("accessor", "")),
        lifetime_seconds=int(data.get("ttl") or 0),
        renewable=bool(data.get("renewable")),
        owned=False,
    )
    return VaultSession(server, client, grant)


def _exchange(
    server: VaultServer,
    client: "Client",
    auth: AppRole | Jwt | Kubernetes | ClientCertificate | Userpass | AwsIam,
) -> VaultSession:
    call = Call(
        f"log in by {type(auth).__name__}",
        login_path(auth),
        role=getattr(auth, "role", ""),
        advice=login_advice(auth),
    )
    granted = _send(VaultConnection(server, client), call, auth).get("auth")
    if not isinstance(granted, dict) or not granted.get("client_token"):
        raise not_vault(server, call)
    client.token = granted["client_token"]
    grant = Grant(
        accessor=str(granted.get("accessor", "")),
        lifetime_seconds=int(granted.get("lease_duration") or 0),
        renewable=bool(granted.get("renewable")),
        owned=True,
        is_batch=granted.get("token_type") == "batch",
    )
    return VaultSession(server, client, grant)


def _send(
    connection: VaultConnection,
    call: Call,
    auth: AppRole | Jwt | Kubernetes | ClientCertificate | Userpass | AwsIam,
) -> dict[str, Any]:
    match auth:
        case AppRole(role_id=role_id, secret_id=secret_id):
            body = {"role_id": role_id, "secret_id": secret_id.get_secret_value()}
            return connection.write(call, body, (secret_id,))
        case Jwt(role=role, token=token) | Kubernetes(role=role, token=token):
            return connection.write(call, {"role": role, "jwt": token.get_secret_value()}, (token,))
        case ClientCertificate(role=role):
            return connection.write(call, {"name": role} if role else {})
        case Userpass(password=password):
            return connection.write(call, {"password": password.get_secret_value()}, (password,))
        case AwsIam():
            secrets = (auth.secret_access_key, *((auth.session_token,) if auth.session_token else ()))
            return connection.write(call, signed_identity(auth), secrets)
        case _:
            assert_never(auth)
