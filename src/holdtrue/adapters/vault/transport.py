"""How a request travels: hvac's client, strict about what answers it.

Importing this pays for hvac and requests (0.3 s); `open_client` does so when a session is made.
"""

from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from hvac import Client
from hvac.adapters import JSONAdapter
from hvac.exceptions import UnexpectedError, VaultError
from requests import Response
from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidJSONError

from holdtrue.adapters.vault.server import VaultServer
from holdtrue.errors import RejectedError

_POOL_SIZE: Final = 32
"""Connections kept open: threads beyond this number open one for a request and close it."""

_REPEATING: Final = frozenset({HTTPStatus.TEMPORARY_REDIRECT, HTTPStatus.PERMANENT_REDIRECT})
"""Redirects that keep method and body; a standby sends the first (developer.hashicorp.com/vault/docs/concepts/ha)."""


class OtherStatusError(UnexpectedError):  # type: ignore[misc] # hvac has no types
    """An answer whose status hvac has no class for, with that status, which hvac forgets."""

    def __init__(self, status: int, message: str | None, **said: Any) -> None:
        super().__init__(message, **said)
        self.status: Final = status


class Transport(JSONAdapter):  # type: ignore[misc] # hvac has no types
    """hvac's adapter for answers of anyone.

    hvac 2.4 ends in a TypeError, an AttributeError or a RecursionError when a proxy answers with JSON of its own.
    """

    def request(self, *args: Any, **kwargs: Any) -> Any:
        """The answer's JSON, or the response if it has none."""
        try:
            return super().request(*args, **kwargs)
        except RecursionError:
            raise InvalidJSONError("nested too deeply") from None

    def _raise_for_error(self, method: str, url: str, response: Response) -> None:
        body = _json(response)
        listed = body.get("errors")
        errors = [str(item) for item in listed] if isinstance(listed, list) else None
        said = {"errors": errors, "method": method, "url": url, "text": response.text, "json": body or None}
        message = response.text if errors is None else None
        error = VaultError.from_status(response.status_code, message, **said)
        raise OtherStatusError(response.status_code, message, **said) if type(error) is UnexpectedError else error


def make_client(server: VaultServer, certificate: tuple[Path, Path] | None) -> Client:
    """An hvac client without a token. Nothing is taken from VAULT_* variables or ~/.vault-token."""
    # Empty, not None: for None, hvac takes the token from VAULT_TOKEN or ~/.vault-token, and the certificate from
    # VAULT_CLIENT_CERT. Attempts: one, because requests' own adapters retry 0 times; retrying is the task's business.
    client = Client(
        url=server.address,
        token="",
        cert=tuple(str(file) for file in certificate) if certificate else (),
        namespace=server.namespace or None,
        verify=str(server.ca_file) if server.ca_file else True,
        timeout=server.timeout_seconds,
        adapter=Transport,
    )
    for scheme in ("https://", "http://"):
        client.session.mount(scheme, HTTPAdapter(pool_maxsize=_POOL_SIZE))
    client.session.hooks["response"].append(_check_redirect)
    return client


def _check_redirect(response: Response, **_: Any) -> None:
    """Follow a standby to its leader, and nobody else.

    requests makes a GET without the body of a login that is redirected by 301 or 302, and would take the token, which
    is in a header of Vault's own, from https to http.
    """
    if not response.is_redirect:
        return
    target = urlsplit(urljoin(response.url, response.headers["Location"]))
    is_downgrade = response.url.startswith("https://") and target.scheme != "https"
    if response.status_code in _REPEATING and not is_downgrade:
        return
    asked = urlsplit(response.url)
    raise RejectedError(
        f"the server sends on to {target.scheme}://{target.hostname}{f':{target.port}' if target.port else ''}, "
        "where the request may not go",
        where=f"{asked.scheme}://{asked.netloc}{asked.path}",
        next_step="write the address of Vault itself, with https://, in the VaultCredentials block.",
    )


def _json(response: Response) -> dict[str, Any]:
    try:
        body = response.json()
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}
