"""One connection to one server: sends requests, and gives back checked answers or our own errors."""

import ssl
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote

from pydantic import SecretStr

from holdtrue.adapters.vault.failures import Call, place, translate
from holdtrue.adapters.vault.server import VaultServer
from holdtrue.core.vault_paths import path_problem
from holdtrue.errors import RejectedError, ResourceMissing, SecretInvalid
from holdtrue.runtime.tracing import span

if TYPE_CHECKING:
    from pathlib import Path

    from hvac import Client

T = TypeVar("T")


class VaultConnection:
    """What all requests have in common. Threads may share it."""

    def __init__(self, server: VaultServer, client: "Client") -> None:
        self.server: Final = server
        self._client = client

    @property
    def token(self) -> SecretStr:
        """The session's token, for a child tool that logs in to Vault itself; it dies with the session."""
        return SecretStr(self._client.token or "")

    def read(self, call: Call, **query: str) -> dict[str, Any]:
        """GET the call's path; the answer is Vault's envelope with `data`."""
        return self._envelope(call, lambda path: self._client.adapter.get(path, params=query or None))

    def write(self, call: Call, body: Mapping[str, Any], secrets: Iterable[SecretStr] = ()) -> dict[str, Any]:
        """POST to the call's path; `secrets` of the body are blanked out of anything quoted."""
        return self._envelope(call, lambda path: self._client.adapter.post(path, json=dict(body)), secrets)

    def send(self, call: Call, body: Mapping[str, Any]) -> None:
        """POST to a path that answers with nothing."""
        self.ask(call, lambda path: self._client.adapter.post(path, json=dict(body)))

    def fetch(self, call: Call) -> Any:
        """GET a path that answers with something else than Vault's envelope."""
        return self.ask(call, self._client.adapter.get)

    def close(self) -> None:
        """Close the connection; forgets the token."""
        self._client.token = ""
        self._client.adapter.close()

    def ask(self, call: Call, request: Callable[[str], T], secrets: Iterable[SecretStr] = ()) -> T:
        """What `request` returns for the URL path, or the error of our tree."""
        problem = path_problem(call.path)
        if problem is not None:
            raise RejectedError(
                f"could not {call.action}: the path {problem}",
                where=self.server.address,
                next_step="correct mount and path in the block.",
            )
        self._check_headers(call)
        with (
            span(f"vault {call.action}", **{"vault.path": call.path}),
            translate(self.server, call, (self.token, *secrets), self.hint()),
        ):
            return request(f"/v1/{quote(call.path, safe=_UNQUOTED)}")

    def hint(self) -> str:
        """What is known here about why a request may be refused."""
        return ""

    def _check_headers(self, call: Call) -> None:
        """What goes into a header: requests would quote a value that cannot, and fail over a letter that is none."""
        if not _is_one_word(self._client.token or ""):
            raise SecretInvalid(
                f"could not {call.action}: what should be a token holds a character that no token has",
                where=place(self.server, call),
                next_step="write the token alone, on one line, where the block's source points.",
            )
        if not _is_one_word(self.server.namespace):
            raise RejectedError(
                f"could not {call.action}: the namespace {self.server.namespace!a} holds a character that none has",
                where=self.server.address,
                next_step="correct the namespace of the block: ASCII letters, digits and signs, without spaces.",
            )

    def _envelope(self, call: Call, request: Callable[[str], Any], secrets: Iterable[SecretStr] = ()) -> dict[str, Any]:
        answer = self.ask(call, request, secrets)
        if not isinstance(answer, dict):
            raise not_vault(self.server, call)
        return answer


def _is_one_word(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text


_UNQUOTED: Final = "/:@!$&'()+,;=~"


def open_client(server: VaultServer, certificate: "tuple[Path, Path] | None" = None) -> "Client":
    """An hvac client without a token. Nothing is taken from VAULT_* variables or ~/.vault-token.

    Raises:
        ResourceMissing: a file is not there.
        SecretInvalid: the files are no client certificate and its key.
    """
    for file, what, field in (
        (server.ca_file, "CA file", "ca_file"),
        *((file, "file of the client certificate", "auth") for file in certificate or ()),
    ):
        if file is not None and not file.is_file():
            raise ResourceMissing(
                f"there is no {what} at this path",
                where=str(file),
                next_step=f"put the PEM file there on this worker, or correct {field} of the block.",
            )
    if certificate is not None:
        _check_pair(*certificate)
    from holdtrue.adapters.vault.transport import make_client  # noqa: PLC0415 - 0.3 s that only a session pays

    return make_client(server, certificate)


def _check_pair(certificate_file: "Path", key_file: "Path") -> None:
    try:
        # Without a password, OpenSSL would ask the terminal for that of an encrypted key, and wait.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate_file, key_file, password="")
    except OSError as error:
        raise SecretInvalid(
            "the files are no client certificate and its key "
            f"({getattr(error, 'reason', None) or type(error).__name__})",
            where=f"{certificate_file}, {key_file}",
            next_step="write both as PEM, the key unencrypted and readable for the worker's user.",
        ) from error


def data_of(answer: Mapping[str, Any], server: VaultServer, call: Call) -> dict[str, Any]:
    """The answer's `data`, or the error that this is not Vault."""
    data = answer.get("data")
    if not isinstance(data, dict):
        raise not_vault(server, call)
    return data


def text_of(data: Mapping[str, Any], field: str, server: VaultServer, call: Call) -> str:
    """One text of the data, or the error that this is not Vault."""
    value = data.get(field)
    if not isinstance(value, str):
        raise not_vault(server, call)
    return value.strip()


def not_vault(server: VaultServer, call: Call) -> RejectedError:
    """What answers is no Vault, or a mount of another kind."""
    return RejectedError(
        f"could not {call.action}: the answer is not the one Vault gives here",
        where=place(server, call),
        next_step="check that the address is Vault's, and that the mount is of the right kind (`vault secrets list`).",
    )
