"""Everything that hvac and requests raise, as our error tree: this is the only place that knows their classes.

Sources: hvac/exceptions.py maps HTTP statuses to classes; the texts were collected from OpenBao 2.7 and are those
of Vault's own source. Forbidden has one text for a revoked token, an expired one and a missing policy line, so the
message names all three, and what the session itself knows about the token's lifetime.
"""

import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from pydantic import SecretStr

from holdtrue.adapters.vault.server import VaultServer
from holdtrue.core.redaction import redact
from holdtrue.errors import (
    AccessDenied,
    CertificateRefused,
    HoldtrueError,
    RejectedError,
    ResourceMissing,
    ServiceNotReady,
    ServiceUnreachable,
)

_SHOWN_CHARACTERS: Final = 400
"""As much as a message says of what happened, Vault's own answer included: a proxy's error page may be a megabyte."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request to one server, as the messages about it name it."""

    action: str
    """What was being done, to follow "could not": `read the secret`."""
    path: str
    """API path below /v1/, as a policy names it: `secret/data/app`."""
    capability: str = ""
    """What the policy has to grant on the path; empty for a login, which needs none."""
    role: str = ""
    """The role in Vault that sets the limits of the request, if one does."""
    advice: str = ""
    """What to do when a login is refused, as far as the answer does not say."""


class NotSent(ServiceUnreachable):
    """No connection came about, so the server was asked for nothing and issued nothing."""


class SecretDeleted(ResourceMissing):
    """The version that was asked for was deleted or destroyed, and others may be there."""

    version: int = 0
    """Its number."""


class ForeignAnswer(ResourceMissing):
    """What stands before Vault says that it knows no such path: that tells nothing of what Vault knows."""


class LeaseGone(ResourceMissing):
    """Vault itself says that it does not know the lease or the token: it has ended."""


_NO_SSH_CA: Final = "create the CA: `vault write <mount>/config/ca generate_signing_key=true key_type=ed25519`."

_INVALID_REQUESTS: Final[tuple[tuple[str, tuple[type[HoldtrueError], str]], ...]] = (
    (
        "http request to an https server",
        (RejectedError, "the server speaks TLS: write the address of the VaultCredentials block with https://."),
    ),
    (
        "invalid role or secret id",
        (
            AccessDenied,
            "the role id does not exist, or the secret id is wrong, used up or expired: issue a new one with "
            "`vault write -f auth/<mount>/role/<role>/secret-id` and put it where the block's secret_id points.",
        ),
    ),
    (
        "invalid username or password",
        (AccessDenied, "correct the user name in the block, or the password where its source points."),
    ),
    (
        "wrapping token is not valid",
        (
            AccessDenied,
            "it was opened before, has expired or is none: if this worker did not open it, somebody else may know the "
            "secret; revoke it and wrap a new one.",
        ),
    ),
    ("check-and-set", (RejectedError, "somebody wrote the secret in between: read it again and decide again.")),
    ("invalid accessor", (LeaseGone, "nothing is left to do: the token is gone.")),
    # When somebody else revokes it between the look-up of the accessor and the revocation.
    ("token not found", (LeaseGone, "nothing is left to do: the token is gone.")),
    ("invalid lease", (LeaseGone, "nothing is left to do: the lease is gone.")),
    ("lease not found", (LeaseGone, "nothing is left to do: the lease is gone.")),
    ("certificate with serial", (ResourceMissing, "the mount does not know this serial.")),
    ("not allowed by this role", (RejectedError, "ask for a name that the role allows, or add it to the role.")),
    ("beyond the expiration of the ca", (RejectedError, "lower ttl_seconds of the block, or renew the CA.")),
    ("encryption key not found", (ResourceMissing, "create the key: `vault write -f <mount>/keys/<key>`.")),
    ("invalid ciphertext", (RejectedError, "decrypt it with the key that encrypted it.")),
    (
        "valid_principals",
        (AccessDenied, "ask for principals that the SSH role allows, or add them to its `allowed_users`."),
    ),
    (
        "ttl is larger than maximum allowed",
        (RejectedError, "lower ttl_seconds of the block, or raise `max_ttl` of the role."),
    ),
    *(
        (text, (ResourceMissing, "correct the role's name, or create the role; `vault list <mount>/roles` shows them."))
        for text in ("unknown role", "' not found")
    ),
    ('" not found', (ResourceMissing, "correct the role's name in the block, or create the role.")),
    ("no default issuer", (ResourceMissing, _NO_SSH_CA)),
    ("keys haven't been configured", (ResourceMissing, _NO_SSH_CA)),
)
"""Text in the answer (lower case), what it means, what to do."""


_ENGINE_FAILURES: Final[tuple[tuple[str, tuple[type[HoldtrueError], str]], ...]] = (
    (
        "password authentication failed",
        (RejectedError, "give Vault its user's password: `vault write <mount>/config/<name> password=-`."),
    ),
    ("value being too large", (RejectedError, "store less in one secret, or raise `max_entry_size` of the storage.")),
    ("sqlstate", (RejectedError, "correct the statements of the role: `vault read <mount>/roles/<role>`.")),
    *(
        (
            text,
            (ServiceUnreachable, "check that the database is up, and where `<mount>/config/<name>` says that it is."),
        )
        for text in ("connection refused", "no such host", "i/o timeout", "failed to connect", "no route to host")
    ),
)
"""Text in an internal error (lower case) of an engine that asks another server, what it means, what to do."""


_FOR_A_WHILE: Final = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.PRECONDITION_FAILED, HTTPStatus.TOO_EARLY, 472, 473}
)
"""412: what this node needs has not reached it yet; 472 and 473: it is a standby. Source: "HTTP status codes" and
"/sys/health" at developer.hashicorp.com/vault/api-docs."""

_TOO_MUCH: Final = "store less in one secret, or raise `max_request_size` of the listener and of what stands before it."

_NOT_VAULT: Final = "check that the address of the VaultCredentials block is Vault's, and what stands before it."

_CERTIFICATE_REFUSED: Final = "failed to verify client's certificate"
"""Vault calls it an internal error when a client's certificate has expired."""

_COMPLAINT: Final = "change what the answer complains about in the block or in Vault."
_NOT_ENABLED: Final = (
    "enable the auth method at this mount (`vault auth list` shows them), and check that the role admits this host's "
    "address."
)


@contextmanager
def translate(server: VaultServer, call: Call, secrets: Iterable[SecretStr] = (), hint: str = "") -> Iterator[None]:
    """Raise the error of our tree for whatever the body's Vault call raises, with the original as its cause.

    `secrets` are blanked out of anything quoted; `hint` is what the caller knows about the token.
    Errors that are not about the call pass unchanged.
    """
    try:
        yield
    except HoldtrueError:
        raise
    except Exception as error:
        failure = _failure(error, server, call, hint)
        if failure is None:
            raise
        # Redacted before it is cut: half a secret would not be known again.
        known = [secret.get_secret_value() for secret in secrets]
        failure.what = _cut(redact(failure.what, known))
        failure.args = (failure.what,)
        _clean(error, known)
        raise failure from error


def _clean(error: BaseException, secrets: list[str]) -> None:
    """Blank the secrets out of the causes too: who logs the traceback logs what a proxy repeated of the request."""
    for link in _links(error):
        link.args = tuple(
            redact(argument, secrets) if isinstance(argument, str) else argument for argument in link.args
        )
        for copy in ("text", "errors", "json"):
            if hasattr(link, copy):
                setattr(link, copy, None)


def _links(error: BaseException) -> Iterator[BaseException]:
    """The error with everything that it came from."""
    waiting, seen = [error], set[int]()
    while waiting:
        link = waiting.pop()
        if id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        waiting.extend(
            item for item in (*link.args, link.__cause__, link.__context__) if isinstance(item, BaseException)
        )


def place(server: VaultServer, call: Call) -> str:
    """Server, namespace, mount and path in one line, for `where`."""
    namespace = f", namespace {server.namespace}" if server.namespace else ""
    return f"{server.address}{namespace}, mount {_mount(call)}, path {call.path}"


_BELOW_MOUNTS: Final = ("data", "sign", "public_key", "creds", "sts", "issue", "encrypt", "decrypt", "rewrap")
"""Parts of API paths that follow the mount."""


def _mount(call: Call) -> str:
    parts = call.path.split("/")
    if parts[0] == "auth":
        return "/".join(parts[:2])
    for marker in _BELOW_MOUNTS:
        if marker in parts[1:]:
            return "/".join(parts[: parts.index(marker, 1)])
    return parts[0]


def _failure(error: Exception, server: VaultServer, call: Call, hint: str) -> HoldtrueError | None:
    from hvac.exceptions import VaultError  # noqa: PLC0415 - 0.3 s; here it is loaded already
    from requests.exceptions import RequestException  # noqa: PLC0415 - same

    if isinstance(error, VaultError):
        return _answered(error, server, call, hint)
    if isinstance(error, RequestException):
        return _unanswered(error, server, call)
    return None


def _unanswered(error: Exception, server: VaultServer, call: Call) -> HoldtrueError:
    """No HTTP answer came; an SSLError is a ConnectionError to requests, so it is asked for first."""
    from requests import exceptions  # noqa: PLC0415 - loaded already

    if isinstance(error, exceptions.SSLError):
        return _handshake(error, server, call)
    unreachable = NotSent if _is_unsent(error) else ServiceUnreachable
    if isinstance(error, exceptions.Timeout):
        return unreachable(
            f"could not {call.action}: Vault did not answer within {server.timeout_seconds:g} s",
            where=place(server, call),
            next_step="check that the server is up and that nothing on the way drops packets.",
        )
    if server.address.startswith("http://") and isinstance(_root_cause(error), ConnectionResetError):
        # A TLS port answers plain HTTP with 400 and hangs up; which of the two arrives is a matter of timing.
        return RejectedError(
            f"could not {call.action}: the server hung up on a request without TLS",
            where=place(server, call),
            next_step="write the address of the VaultCredentials block with https://.",
        )
    if isinstance(error, exceptions.ConnectionError | exceptions.ChunkedEncodingError):
        return unreachable(
            f"could not {call.action}: no connection to Vault ({_root_cause(error)})",
            where=place(server, call),
            next_step="check that the server is up and that the address of the VaultCredentials block is right.",
        )
    return RejectedError(
        f"could not {call.action}: {type(error).__name__}",
        where=place(server, call),
        next_step="correct the address of the VaultCredentials block, e.g. https://vault.example.org:8200.",
    )


def _is_unsent(error: Exception) -> bool:
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError  # noqa: PLC0415 - loaded already

    reason = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(reason, (ConnectTimeoutError, NewConnectionError)):
        return True
    # urllib3 calls it a timeout of reading, too; the text is that of Python's ssl module.
    cause = _root_cause(error)
    return isinstance(cause, TimeoutError) and "handshake" in str(cause)


def _handshake(error: Exception, server: VaultServer, call: Call) -> HoldtrueError:
    cause = _root_cause(error)
    trusted = f"the CA in {server.ca_file}" if server.ca_file else "the machine's CAs"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return CertificateRefused(
            f"could not {call.action}: the server's certificate is not accepted by {trusted} ({cause.verify_message})",
            where=place(server, call),
            next_step="set ca_file to the PEM file of the CA that signed it, and use a host name it is issued for.",
        )
    if isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return ServiceUnreachable(
            f"could not {call.action}: the server hung up during the TLS handshake",
            where=place(server, call),
            next_step="check that the server is up; it may be starting.",
        )
    reason = cause.reason if isinstance(cause, ssl.SSLError) else type(cause).__name__
    if reason == "NO_CERTIFICATE_OR_CRL_FOUND":
        return CertificateRefused(
            f"could not {call.action}: {trusted} holds no certificate",
            where=place(server, call),
            next_step="set ca_file to a PEM file.",
        )
    return RejectedError(
        f"could not {call.action}: no TLS session ({reason})",
        where=place(server, call),
        next_step="the server may not speak TLS on this port: correct the address of the VaultCredentials block.",
    )


def _root_cause(error: BaseException) -> BaseException:
    """The operating system's or OpenSSL's own error, below the wrappers of requests and urllib3."""
    seen = [error]
    while (inner := seen[-1].__cause__ or seen[-1].__context__) is not None and inner not in seen:
        seen.append(inner)
    return seen[-1]


def _answered(error: Exception, server: VaultServer, call: Call, hint: str) -> HoldtrueError:
    from hvac import exceptions  # noqa: PLC0415 - loaded already

    match error:
        case exceptions.InvalidRequest():
            return _invalid_request(error, server, call)
        case exceptions.Forbidden() | exceptions.Unauthorized():
            return _denied(server, call, hint) if _is_of_vault(error) else _turned_away(error, server, call)
        case exceptions.InvalidPath():
            return _missing(error, server, call)
        case exceptions.UnsupportedOperation() | exceptions.ParamValidationError():
            return _unsupported(error, server, call)
        case exceptions.UnexpectedError():
            return _other_status(error, server, call)
        case _:
            return _failed(error, server, call)


def _other_status(error: Exception, server: VaultServer, call: Call) -> HoldtrueError:
    """What has no class of its own in hvac; a refusal for good unless it is one of Vault's or HTTP's for a while."""
    status = getattr(error, "status", 0)
    if status == HTTPStatus.METHOD_NOT_ALLOWED or "unsupported operation" in _quoted(error).lower():
        return _unsupported(error, server, call)
    if status not in range(400, 500) or status in _FOR_A_WHILE:
        return _failed(error, server, call)
    too_much = status in (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
    return RejectedError(
        f"could not {call.action}: the server answered {status} ({_quoted(error)})",
        where=place(server, call),
        next_step=_TOO_MUCH if too_much else _NOT_VAULT,
    )


def _failed(error: Exception, server: VaultServer, call: Call) -> HoldtrueError:
    """429 and 5xx, and what is like them: Vault, a proxy, or what an engine asked."""
    said = _quoted(error)
    if _CERTIFICATE_REFUSED in said.lower():
        return _refused(said, server, call)
    for text, (kind, next_step) in _ENGINE_FAILURES:
        if text in said.lower():
            what = f"could not {call.action}: the engine at this mount failed ({said})"
            return kind(what, where=place(server, call), next_step=next_step)
    return ServiceNotReady(
        f"could not {call.action}: Vault is sealed, standby, starting or overloaded ({said})",
        where=place(server, call),
        next_step="see `vault status`; unseal it if it is sealed.",
    )


def _invalid_request(error: Exception, server: VaultServer, call: Call) -> HoldtrueError:
    said = _quoted(error)
    known = next((meaning for text, meaning in _INVALID_REQUESTS if text in said.lower()), None)
    if known is None and not call.capability:
        return _refused(said, server, call)
    kind, next_step = known or (RejectedError, _COMPLAINT)
    role = f" with role {call.role}" if call.role else ""
    return kind(f"could not {call.action}{role}: {said}", where=place(server, call), next_step=next_step)


def _refused(said: str, server: VaultServer, call: Call) -> HoldtrueError:
    """A login that Vault refused, saying why."""
    role = f" with role {call.role}" if call.role else ""
    return AccessDenied(
        f"could not {call.action}{role}: {said}", where=place(server, call), next_step=call.advice or _COMPLAINT
    )


def _denied(server: VaultServer, call: Call, hint: str) -> HoldtrueError:
    if not call.capability:
        role = f" with role {call.role}" if call.role else ""
        return AccessDenied(
            f"could not {call.action}{role}: Vault refused the login",
            where=place(server, call),
            next_step=f"{call.advice} Else {_NOT_ENABLED}" if call.advice else _NOT_ENABLED,
        )
    known = f"; {hint}" if hint else ""
    return AccessDenied(
        f"could not {call.action}: the token was refused, has expired, or its policy lacks `{call.capability}` on "
        f"`{call.path}`{known}",
        where=place(server, call),
        next_step=f'add to the policy of the role: path "{call.path}" {{ capabilities = ["{call.capability}"] }}',
    )


def _turned_away(error: Exception, server: VaultServer, call: Call) -> HoldtrueError:
    """Vault says no in JSON."""
    return AccessDenied(
        f"could not {call.action}: what stands before Vault refused the request ({_quoted(error)})",
        where=place(server, call),
        next_step=_NOT_VAULT,
    )


def _is_of_vault(error: Exception) -> bool:
    """Vault lists errors, or gives its envelope with warnings; what stands before it answers otherwise."""
    body = getattr(error, "json", None)
    return isinstance(body, dict) and ("request_id" in body or isinstance(body.get("errors"), list))


def _missing(error: Exception, server: VaultServer, call: Call) -> HoldtrueError:
    said = _quoted(error).lower()
    metadata = _metadata(error)
    kind: type[ResourceMissing] = ResourceMissing
    if metadata.get("destroyed"):
        kind = SecretDeleted
        what, next_step = "this version was destroyed", "write a new version; nothing brings this one back."
    elif metadata.get("deletion_time"):
        kind = SecretDeleted
        what, next_step = "this version was deleted", "undelete it with `vault kv undelete`, or write a new version."
    elif "namespace not found" in said:
        what, next_step = f"there is no namespace {server.namespace!r}", "correct the namespace of the block."
    elif "no handler for route" in said or "unsupported path" in said:
        what = "the mount does not exist or is an engine of another kind"
        next_step = "`vault secrets list` shows the mounts; correct the mount in the block."
    elif not _is_of_vault(error):
        kind = ForeignAnswer
        what = f"the server answered 404, and not as Vault does ({_cut(_quoted(error))})"
        next_step = _NOT_VAULT
    else:
        what = "there is nothing at this path"
        next_step = (
            "write it, or correct mount, path and version in the block; `data/` is the API's and not in the path."
        )
    failure = kind(f"could not {call.action}: {what}", where=place(server, call), next_step=next_step)
    if isinstance(failure, SecretDeleted) and isinstance(number := metadata.get("version"), int):
        failure.version = number
    return failure


def _unsupported(error: Exception, server: VaultServer, call: Call) -> HoldtrueError:
    return ResourceMissing(
        f"could not {call.action}: the mount does not offer this ({_quoted(error)})",
        where=place(server, call),
        next_step="`vault secrets list` shows the mounts and their kinds; correct the mount in the block.",
    )


def _metadata(error: Exception) -> dict[str, object]:
    """What a KV engine says about a version that it does not give out."""
    body = getattr(error, "json", None)
    data = body.get("data") if isinstance(body, dict) else None
    metadata = data.get("metadata") if isinstance(data, dict) else None
    return metadata if isinstance(metadata, dict) else {}


def _quoted(error: Exception) -> str:
    """What Vault said, on one line: its error list, or the text of an answer that was not Vault's."""
    listed = getattr(error, "errors", None)
    said = " ".join(str(item) for item in listed) if listed else str(getattr(error, "text", None) or "")
    return " ".join(said.split()) or type(error).__name__


def _cut(what: str) -> str:
    return what if len(what) <= _SHOWN_CHARACTERS else what[: _SHOWN_CHARACTERS - 1] + "…"
