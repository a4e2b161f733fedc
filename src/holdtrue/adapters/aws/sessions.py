"""boto3 sessions that know nothing but what they are given, and that replace temporary keys before they end."""

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from holdtrue.adapters.aws.keys import AwsKeys

if TYPE_CHECKING:
    import boto3
    import botocore.session

_ADVISORY_SECONDS: Final = 900.0
_MANDATORY_SECONDS: Final = 600.0
"""botocore's own windows before the end: from the first on one thread refreshes, from the second on all wait for it."""

_ADVISORY_PART: Final = 0.25
_MANDATORY_PART: Final = 0.15
"""The same as parts of a short lifetime, which the windows above would fill."""


def utc_now() -> datetime:
    """The time."""
    return datetime.now(UTC)


def refreshing_session(
    fetch: Callable[[], AwsKeys],
    *,
    region: str,
    endpoint_url: str | None = None,
    now: Callable[[], datetime] = utc_now,
) -> "boto3.Session":
    """A session whose clients, made now or later, always have keys that live.

    Neither this process's AWS_* variables nor ~/.aws are read, and no other source is tried when `fetch` fails.

    Args:
        fetch: Gets keys; called now, and again near their end, by one thread at a time. What it raises reaches the
            caller of the client, and the next call tries again.
        region: Of every client that names no other.
        endpoint_url: Of every client; None for AWS itself.
        now: The time.
    """
    from botocore.credentials import Credentials, RefreshableCredentials  # noqa: PLC0415 - see the package's docstring

    keys = fetch()
    session = bare_session()
    if keys.expires_at is None:
        token = keys.session_token.get_secret_value() if keys.session_token else None
        credentials = Credentials(keys.access_key_id, keys.secret_access_key.get_secret_value(), token)
    else:
        left = (keys.expires_at - now()) / timedelta(seconds=1)
        values = _metadata(keys)
        credentials = RefreshableCredentials(
            values["access_key"],
            values["secret_key"],
            values["token"],
            keys.expires_at,
            lambda: _metadata(fetch()),
            "holdtrue",
            time_fetcher=now,
            advisory_timeout=int(min(_ADVISORY_SECONDS, left * _ADVISORY_PART)),
            mandatory_timeout=int(min(_MANDATORY_SECONDS, left * _MANDATORY_PART)),
        )
    # botocore has no public way that takes refreshing credentials and skips its chain of sources.
    session._credentials = credentials  # type: ignore[attr-defined]  # noqa: SLF001
    return _session(session, region, endpoint_url)


def bare_session() -> "botocore.session.Session":
    """A botocore session that reads no profile, no file and no endpoint of the environment."""
    import botocore.session  # noqa: PLC0415 - see the package's docstring

    session = botocore.session.Session({"profile": (None, [], None, None)})
    session.set_config_variable("config_file", os.devnull)
    session.set_config_variable("credentials_file", os.devnull)
    session.set_config_variable("ignore_configured_endpoint_urls", True)  # noqa: FBT003 - botocore's signature
    return session


def _metadata(keys: AwsKeys) -> dict[str, Any]:
    """Keys as botocore takes them from a refresh."""
    return {
        "access_key": keys.access_key_id,
        "secret_key": keys.secret_access_key.get_secret_value(),
        "token": keys.session_token.get_secret_value() if keys.session_token else None,
        "expiry_time": (keys.expires_at or datetime.max.replace(tzinfo=UTC)).isoformat(),
    }


def _session(session: "botocore.session.Session", region: str, endpoint_url: str | None) -> "boto3.Session":
    import boto3  # noqa: PLC0415 - see the package's docstring

    class EndpointSession(boto3.Session):
        """boto3 takes an endpoint for one client only."""

        def client(self, *args: Any, **options: Any) -> Any:
            return super().client(*args, **_with_endpoint(options, endpoint_url))

        def resource(self, *args: Any, **options: Any) -> Any:
            return super().resource(*args, **_with_endpoint(options, endpoint_url))

    return EndpointSession(region_name=region, botocore_session=session)


def _with_endpoint(options: Mapping[str, Any], endpoint_url: str | None) -> dict[str, Any]:
    return {"endpoint_url": endpoint_url, **options}
