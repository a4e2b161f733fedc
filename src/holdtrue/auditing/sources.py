"""Which advisory sources an audit asks."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from holdtrue.errors import RejectedError
from holdtrue.models.osv import AdvisorySource
from holdtrue.settings import AuditSource, Settings, in_home


@dataclass(frozen=True, slots=True)
class SourceAddresses:
    """Sources named by address; None for those that are not meant."""

    osv_url: str | None = None
    osv_db: Path | None = None
    pypi_url: str | None = None
    pip_audit_url: str | None = None


def advisory_sources(
    settings: Settings,
    *,
    named: SourceAddresses = SourceAddresses(),  # noqa: B008 - frozen
    maximum_age_days: float | None = None,
) -> tuple[AdvisorySource, ...]:
    """Those that are named, or else those of the settings.

    Raises:
        RejectedError: an address is none, the settings ask for a dump and name none, an age is wanted of live sources,
            or the cache is in a home that is not known.
    """
    if named == SourceAddresses():
        named = _of_settings(settings)
    if maximum_age_days is not None and named.osv_db is None:
        raise RejectedError(
            "only a dump has an age, and none is asked", next_step="name one, or leave the age out: the others are live"
        )
    age = settings.osv_db_max_age_days if maximum_age_days is None else maximum_age_days
    return tuple(_open(named, settings, age))


def _of_settings(settings: Settings) -> SourceAddresses:
    wanted = settings.audit_sources or _by_default(settings)
    if AuditSource.OSV_DB in wanted and settings.osv_db is None:
        raise RejectedError(
            "HOLDTRUE_AUDIT_SOURCES has osv-db, and no dump is named",
            next_step="set HOLDTRUE_OSV_DB to the file, or take osv-db out",
        )
    osv_url = str(settings.osv_url)
    return SourceAddresses(
        osv_url=osv_url if AuditSource.OSV in wanted else None,
        osv_db=settings.osv_db if AuditSource.OSV_DB in wanted else None,
        pypi_url=str(settings.pypi_url) if AuditSource.PYPI in wanted else None,
        pip_audit_url=osv_url if AuditSource.PIP_AUDIT in wanted else None,
    )


def _by_default(settings: Settings) -> tuple[AuditSource, ...]:
    """A dump is named where the live sources are out of reach, or are not to be told what is installed."""
    return (AuditSource.OSV, AuditSource.PYPI) if settings.osv_db is None else (AuditSource.OSV_DB,)


def _open(named: SourceAddresses, settings: Settings, maximum_age_days: float | None) -> Iterator[AdvisorySource]:
    # Each is imported when it is meant: a dump needs no HTTP client.
    if named.osv_db is not None:
        from holdtrue.adapters.osv_dump import OsvDump  # noqa: PLC0415

        yield OsvDump(named.osv_db, cache_folder=_cache_folder(settings), maximum_age_days=maximum_age_days, now=_now)
    if named.osv_url is not None:
        from holdtrue.adapters.osv_api import OsvApi  # noqa: PLC0415

        yield OsvApi(named.osv_url, cache_folder=_cache_folder(settings))
    if named.pypi_url is not None:
        from holdtrue.adapters.pypi_advisories import PypiAdvisories  # noqa: PLC0415

        yield PypiAdvisories(named.pypi_url)
    if named.pip_audit_url is not None:
        from holdtrue.adapters.pip_audit_source import PipAuditSource  # noqa: PLC0415

        yield PipAuditSource(named.pip_audit_url, timeout_seconds=settings.audit_timeout_seconds)


def _cache_folder(settings: Settings) -> Path:
    return in_home(settings.cache, setting="HOLDTRUE_CACHE") / "advisories"


def _now() -> datetime:
    return datetime.now(UTC)
