"""Our own questions to the advisory source: does it answer as an OSV API, and which advisories does it name?

pip-audit takes any empty JSON value for "no vulnerabilities" and ignores `next_page_token`; both show only when
somebody else asks as well. The batch call costs one request per thousand packages and no advisory bodies.
API: https://google.github.io/osv.dev/post-v1-querybatch/
"""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, Field, ValidationError

from holdtrue.core.requirements import Pin
from holdtrue.errors import ServiceNotReady, ServiceUnreachable

_QUERIES_PER_BATCH: Final = 1000
"""What the OSV API accepts in one call."""

_NEXT_STEP: Final = "check that HOLDTRUE_OSV_URL (or --osv-url) is the base address of an OSV API"


@dataclass(frozen=True, slots=True)
class Named:
    """The advisories that the source names for one package version."""

    ids: frozenset[str]
    has_more_pages: bool


class _Name(BaseModel):
    id: str


class _Result(BaseModel):
    vulns: tuple[_Name, ...] = ()
    next_page_token: str | None = None


class _Batch(BaseModel):
    results: tuple[_Result, ...]


class _Record(BaseModel):
    id: str = Field(min_length=1)
    withdrawn: str | None = None


_Answer = TypeVar("_Answer", bound=BaseModel)


def name_advisories(client: httpx.Client, pins: Sequence[Pin]) -> dict[Pin, Named]:
    """Ask about all pins at once; `client` holds the base address and the timeout.

    Raises:
        ServiceUnreachable: refused, reset, timed out, no such name, or a certificate that is not trusted.
        ServiceNotReady: it answered, but not as an OSV API that can serve now.
    """
    named: dict[Pin, Named] = {}
    for start in range(0, len(pins), _QUERIES_PER_BATCH):
        asked = pins[start : start + _QUERIES_PER_BATCH]
        queries = [{"package": {"name": pin.name, "ecosystem": "PyPI"}, "version": pin.version} for pin in asked]
        batch = _ask(client, "POST", "/v1/querybatch", _Batch, {"queries": queries})
        if len(batch.results) != len(asked):
            raise ServiceNotReady(
                f"the advisory source gave {len(batch.results)} results for {len(asked)} packages",
                where=str(client.base_url),
                next_step=_NEXT_STEP,
            )
        for pin, result in zip(asked, batch.results, strict=True):
            named[pin] = Named(frozenset(item.id for item in result.vulns), bool(result.next_page_token))
    return named


def find_withdrawn(client: httpx.Client, ids: Sequence[str]) -> frozenset[str]:
    """Those that the source itself says no longer stand. When it stops answering, the rest count as standing."""
    withdrawn: set[str] = set()
    for advisory_id in ids:
        try:
            record = _ask(client, "GET", f"/v1/vulns/{quote(advisory_id, safe='')}", _Record)
        except ServiceNotReady:
            continue
        except ServiceUnreachable:
            break
        if record.withdrawn is not None:
            withdrawn.add(advisory_id)
    return frozenset(withdrawn)


def _ask(client: httpx.Client, method: str, path: str, shape: type[_Answer], body: object | None = None) -> _Answer:
    where = f"{str(client.base_url).rstrip('/')}{path}"
    try:
        response = client.request(method, path, json=body)
    except httpx.TransportError as error:
        # The exception's own text may quote a proxy address with its password.
        raise ServiceUnreachable(
            f"the advisory source does not answer: {_reason(error)}",
            where=where,
            next_step="check address, network and proxy; a private certificate authority goes into SSL_CERT_FILE "
            "and REQUESTS_CA_BUNDLE",
        ) from error
    if response.status_code != HTTPStatus.OK:
        raise ServiceNotReady(
            f"the advisory source answered HTTP {response.status_code}{_wait_advice(response)}",
            where=where,
            next_step=_NEXT_STEP,
        )
    try:
        return shape.model_validate_json(response.content)
    except ValidationError as error:
        raise ServiceNotReady(
            "the advisory source answered something that is not an OSV answer", where=where, next_step=_NEXT_STEP
        ) from error


def _reason(error: httpx.TransportError) -> str:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return "its certificate is not trusted"
    match error:
        case httpx.TimeoutException():
            return "timed out"
        case httpx.ConnectError():
            return "no connection"
        case _:
            return type(error).__name__


def _wait_advice(response: httpx.Response) -> str:
    seconds = response.headers.get("Retry-After", "")
    return f" and asks to wait {seconds} s" if seconds.isdigit() else ""
