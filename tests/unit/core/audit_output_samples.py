"""Reports for the tests of the audit's outputs: an ordinary one, hostile text, and ten thousand findings."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Final
from uuid import UUID

from holdtrue.core.audit_output.cyclonedx import to_cyclonedx
from holdtrue.core.audit_output.html import to_html
from holdtrue.core.audit_output.json_report import to_json
from holdtrue.core.audit_output.markdown import to_markdown
from holdtrue.core.audit_output.sarif import to_sarif
from holdtrue.core.audit_output.table import describe
from holdtrue.models.audit import (
    AuditCounts,
    AuditReport,
    AuditVerdict,
    Exploitation,
    Finding,
    InventoryCount,
    NotAudited,
    Occurrence,
    Severity,
    SourceAnswered,
    SourceUse,
    Waiver,
    WaiverUse,
)
from holdtrue.models.dependency import Dependency, Inventory, Origin
from holdtrue.models.osv import Certainty

STARTED_AT: Final = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SERIAL_NUMBER: Final = UUID("00000000-0000-4000-8000-000000000001")

WAIVER: Final = Waiver(
    id="CVE-2026-0002",
    package="waived",
    reason="not reachable from outside",
    owner="platform team",
    expires=date(2026, 12, 31),
)

CRITICAL: Final = Finding(
    package="demo-web",
    version="1.0",
    id="PYSEC-2026-1",
    aliases=("CVE-2026-0001", "GHSA-aaaa-bbbb-cccc"),
    severity=Severity.CRITICAL,
    score=9.8,
    vector="CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
    fixed_in=("1.1", "2.0"),
    summary="Requests are answered with the memory of other requests.",
    link="https://advisories.example/PYSEC-2026-1",
    published=datetime(2026, 11, 1, 8, 30, tzinfo=UTC),
    sources=("osv", "pypi"),
    disagreement="pypi: fixed in 1.1 only",
    exploitation=Exploitation(is_known_exploited=True, epss=0.42),
    occurrences=(
        Occurrence(inventory="services/shop/requirements.txt", place="line 3", is_direct=True),
        Occurrence(inventory="services/shop/uv.lock", place="line 41", chain=("demo-site", "demo-server")),
        Occurrence(inventory="host-1:/usr/bin/python3", place="/usr/lib/python3/dist-packages"),
    ),
)

POSSIBLE: Final = Finding(
    package="demo-fork",
    version="0.3",
    id="GHSA-dddd-eeee-ffff",
    certainty=Certainty.POSSIBLE,
    doubt="installed from a repository, so its version does not identify its code",
    sources=("osv",),
    occurrences=(Occurrence(inventory="services/shop/uv.lock", place="line 52", origin=Origin.VCS),),
)

WAIVED: Final = Finding(
    package="waived",
    version="2.0",
    id="PYSEC-2026-2",
    aliases=("CVE-2026-0002",),
    severity=Severity.HIGH,
    score=7.5,
    sources=("osv",),
    occurrences=(Occurrence(inventory="services/shop/requirements.txt", place="line 4", is_direct=True),),
    tolerated="waived by platform team until 2026-12-31",
    waiver=WAIVER,
)

MINOR: Final = Finding(
    package="minor",
    version="3.0",
    id="PYSEC-2026-3",
    severity=Severity.LOW,
    fixed_in=("3.1",),
    sources=("osv",),
    occurrences=(Occurrence(inventory="services/shop/requirements.txt", place="line 5", is_direct=True),),
    tolerated="severity below medium",
)

INVENTORIES: Final = (
    Inventory(
        "services/shop/requirements.txt",
        "requirements",
        (
            Dependency("demo-web", "1.0", place="line 3", is_direct=True),
            Dependency("waived", "2.0", place="line 4", is_direct=True),
            Dependency("minor", "3.0", place="line 5", is_direct=True),
            Dependency("sound", "1.0", place="line 6", is_direct=True),
        ),
    ),
    Inventory(
        "services/shop/uv.lock",
        "uv.lock",
        (
            Dependency("demo-web", "1.0", place="line 41", chain=("demo-site", "demo-server")),
            Dependency("demo-fork", "0.3", Origin.VCS, place="line 52", reason="installed from a repository"),
        ),
    ),
    Inventory(
        "host-1:/usr/bin/python3",
        "installed",
        (
            Dependency("demo-web", "1.0", place="/usr/lib/python3/dist-packages"),
            Dependency("shop-tools", "5.0", Origin.INTERNAL, reason="no public source knows it"),
        ),
    ),
)


def report(
    *findings: Finding,
    verdict: AuditVerdict = AuditVerdict.VULNERABLE,
    not_audited: tuple[NotAudited, ...] = (),
    waivers: tuple[WaiverUse, ...] = (),
    sources: tuple[SourceUse, ...] = (),
) -> AuditReport:
    """A report of these; its counts fit them."""
    tolerated = sum(bool(finding.tolerated) for finding in findings)
    return AuditReport(
        verdict=verdict,
        counts=AuditCounts(
            audited=7,
            not_audited=len(not_audited),
            findings=len(findings) - tolerated,
            tolerated=tolerated,
            unique=6,
        ),
        findings=findings,
        not_audited=not_audited,
        waivers=waivers,
        inventories=(
            InventoryCount(
                label="services/shop/requirements.txt", kind="requirements", audited=4, not_audited=0, findings=1
            ),
            InventoryCount(label="services/shop/uv.lock", kind="uv.lock", audited=1, not_audited=1, findings=2),
            InventoryCount(label="host-1:/usr/bin/python3", kind="installed", audited=1, not_audited=1, findings=1),
        ),
        sources=sources,
        started_at=STARTED_AT,
        duration_seconds=1.25,
    )


ORDINARY: Final = report(
    CRITICAL,
    POSSIBLE,
    WAIVED,
    MINOR,
    not_audited=(
        NotAudited(
            name="demo-fork",
            version="0.3",
            reason="installed from a repository",
            inventory="services/shop/uv.lock",
            origin=Origin.VCS,
        ),
        NotAudited(
            name="shop-tools",
            version="5.0",
            reason="no public source knows it",
            inventory="host-1:/usr/bin/python3",
            origin=Origin.INTERNAL,
        ),
        NotAudited(name="pypi", reason="refused the connection"),
    ),
    waivers=(
        WaiverUse(waiver=WAIVER, state="used"),
        WaiverUse(
            waiver=WAIVER.model_copy(update={"id": "CVE-2025-1111", "expires": date(2026, 1, 31)}), state="expired"
        ),
        WaiverUse(waiver=WAIVER.model_copy(update={"id": "CVE-2025-2222"}), state="unused"),
    ),
    sources=(
        SourceUse(name="osv", location="https://osv.example"),
        SourceUse(
            name="osv-db",
            location="/data/all.zip",
            answered=SourceAnswered.SNAPSHOT,
            snapshot_at=STARTED_AT - timedelta(days=3, hours=1),
        ),
        SourceUse(name="pypi", location="https://pypi.example", failure="refused the connection"),
    ),
)

SOUND: Final = report(verdict=AuditVerdict.CLEAN)
INCOMPLETE: Final = report(
    verdict=AuditVerdict.INCOMPLETE, not_audited=(NotAudited(name="osv", reason="answered with a log-in page"),)
)

DOCUMENTED: Final = ORDINARY.model_copy(
    update={
        "findings": (CRITICAL.model_copy(update={"occurrences": CRITICAL.occurrences[:2]}), WAIVED),
        "counts": AuditCounts(audited=5, not_audited=1, findings=1, tolerated=1, unique=4),
        "not_audited": ORDINARY.not_audited[:1],
        "waivers": ORDINARY.waivers[:1],
        "inventories": (ORDINARY.inventories[0], ORDINARY.inventories[1].model_copy(update={"findings": 1})),
        "sources": ORDINARY.sources[:2],
    }
)
"""What docs/audit-json.md shows."""


def hostile(text: str) -> AuditReport:
    """A report that has the text wherever a stranger may have written it."""
    finding = CRITICAL.model_copy(
        update={
            "package": text,
            "version": text,
            "id": text,
            "aliases": (text,),
            "fixed_in": (text,),
            "vector": text,
            "summary": text,
            "link": f"javascript:{text}",
            "doubt": text,
            "certainty": Certainty.POSSIBLE,
            "disagreement": text,
            "sources": (text,),
            "occurrences": (Occurrence(inventory=text, place=text, chain=(text, text)),),
        }
    )
    waiver = WAIVER.model_copy(update={"id": text, "reason": text, "owner": text})
    return report(
        finding,
        finding.model_copy(update={"tolerated": text, "waiver": waiver, "link": f"https://evil.example/ {text}"}),
        not_audited=(NotAudited(name=text, reason=text, version=text, inventory=text),),
        waivers=(WaiverUse(waiver=waiver, state="expired"), WaiverUse(waiver=waiver, state="unused")),
        sources=(SourceUse(name=text, location=text), SourceUse(name=text, location=text, failure=text)),
    )


def hostile_inventories(text: str) -> tuple[Inventory, ...]:
    """Inventories of which all is called by the text."""
    return (Inventory(text, text, tuple(Dependency(text, text, origin, place=text, reason=text) for origin in Origin)),)


@cache
def many(number: int) -> AuditReport:
    """A report of that many findings, each of a package of its own."""
    return report(
        *(
            CRITICAL.model_copy(update={"package": f"demo-{index}", "id": f"PYSEC-2026-{index}"})
            for index in range(number)
        ),
        not_audited=tuple(
            NotAudited(name=f"odd-{index}", reason=f"reason {index}", inventory="services/shop/uv.lock")
            for index in range(number)
        ),
    )


def cyclonedx_of(source: AuditReport, inventories: tuple[Inventory, ...] = INVENTORIES) -> str:
    """The SBOM with the arguments that every test shares."""
    return to_cyclonedx(source, inventories, serial_number=SERIAL_NUMBER, timestamp=STARTED_AT, tool_version="1.0")


SINKS: Final[dict[str, Callable[[AuditReport], str]]] = {
    "table": lambda source: "\n".join(describe(source, width=100)),
    "json": to_json,
    "sarif": to_sarif,
    "cyclonedx": cyclonedx_of,
    "markdown": to_markdown,
    "html": to_html,
}
