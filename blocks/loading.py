"""A saved block by name, with every way this can fail told apart."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TypeVar, cast

from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from pydantic import ValidationError

from blocks.register import block_type_of
from holdtrue.credentials.reference import CredentialReference
from holdtrue.errors import (
    AccessDenied,
    BlockMissing,
    HoldtrueError,
    RejectedError,
    ServiceNotReady,
    ServiceUnreachable,
)

B = TypeVar("B", bound=Block)
R = TypeVar("R", bound=CredentialReference)

_UNAUTHORISED: Final = (401, 403)
_CLIENT_RETRIES: Final = 0
"""Retrying is the task's business; Prefect's default of 5 waits 80 s more for an API that hangs."""
_TRANSPORTS: Final = frozenset({"httpx", "httpcore"})
"""Packages whose errors say that no answer came. Only adapters import them; Prefect hands them on as they are."""
_HEALTH_TIMEOUT_SECONDS: Final = 5.0
"""Only tells why a load failed, so it does not wait as long as Prefect's own requests (60 s)."""


def load_block(kind: type[B], name: str) -> B:
    """The block of this class saved as `name`.

    Raises:
        BlockMissing: there is none.
        RejectedError: its document does not fit the class.
        AccessDenied: the Prefect API refused this client.
        ServiceUnreachable, ServiceNotReady: the Prefect API is down or answers with an error.
    """
    with asking_prefect(f"load the {kind.__name__} block {name!r}"):
        try:
            # Without `_sync`, which the signature hides, this is a coroutine when an event loop runs.
            return cast("B", kind.load(name, _sync=True))  # type: ignore[call-arg]
        except (ValueError, RuntimeError) as error:
            failure = _unfit(error, kind, name)
            if failure is None:
                raise
            raise failure from error


@contextmanager
def asking_prefect(action: str, *, retries: int = _CLIENT_RETRIES) -> Iterator[None]:
    """Tell in our errors what the Prefect API refused or left unanswered; others pass as they are.

    Args:
        action: What is done, for messages.
        retries: How often Prefect's client asks again, where no task does.

    Raises:
        AccessDenied: it refused this client.
        ServiceUnreachable, ServiceNotReady: it is down, slow, or answers with an error.
    """
    try:
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: retries}):
            yield
    except HoldtrueError:
        raise
    except Exception as error:
        failure = _failure_of_api(error, action)
        if failure is None:
            raise
        raise failure from error


def load_reference(kind: type[R], name: str, /) -> R:
    """The reference of this kind saved as a block named `name`.

    Raises:
        HoldtrueError: what `load_block` raises.
    """
    return cast("R", load_block(block_type_of(kind), name))


def _place() -> str:
    return PREFECT_API_URL.value() or "the temporary server of this process"


def _unfit(error: Exception, kind: type[Block], name: str) -> HoldtrueError | None:
    if isinstance(error.__cause__, ObjectNotFound):
        return BlockMissing(
            f"no {kind.__name__} block named {name!r}",
            where=_place(),
            next_step=f"save one, as docs/vault.md shows: {kind.__name__}(...).save({name!r}); or name another block.",
        )
    if isinstance(error.__cause__, ValidationError):
        wrong = "; ".join(
            f"{'.'.join(str(part) for part in item['loc']) or 'document'}: {item['msg']}"
            for item in error.__cause__.errors(include_input=False, include_url=False, include_context=False)
        )
        return RejectedError(
            f"the {kind.__name__} block {name!r} does not fit its type: {wrong}",
            where=_place(),
            next_step=f"correct it in the UI, or save it again: {kind.__name__}(...).save({name!r}, overwrite=True).",
        )
    return None


def _failure_of_api(error: Exception, action: str) -> HoldtrueError | None:
    if isinstance(error, PrefectHTTPStatusError):
        return _refused(error, action)
    if type(error).__module__.partition(".")[0] not in _TRANSPORTS:
        # Prefect tells of a temporary server that did not start in a RuntimeError: only the API can say.
        with get_client(sync_client=True, httpx_settings={"timeout": _HEALTH_TIMEOUT_SECONDS}) as client:
            silence = client.api_healthcheck()
        if silence is None:
            return None
        error = silence
    return ServiceUnreachable(
        f"could not {action}: the Prefect API does not answer ({type(error).__name__})",
        where=_place(),
        next_step="start the Prefect server, or correct PREFECT_API_URL.",
    )


def _refused(error: PrefectHTTPStatusError, action: str) -> HoldtrueError:
    status = error.response.status_code
    what = f"could not {action}: the Prefect API answered {status}"
    if status in _UNAUTHORISED:
        return AccessDenied(what, where=_place(), next_step="set PREFECT_API_KEY or PREFECT_API_AUTH_STRING.")
    return ServiceNotReady(what, where=_place(), next_step="see the log of the Prefect server.")
