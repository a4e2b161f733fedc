"""The audit's report: findings, what was not audited, the verdict; and the policy that judges findings."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from holdtrue.models.base import Value
from holdtrue.models.dependency import Origin
from holdtrue.models.osv import Certainty


class AuditVerdict(StrEnum):
    """The three answers. A stable contract; incomplete is never clean."""

    CLEAN = "clean"
    VULNERABLE = "vulnerable"
    INCOMPLETE = "incomplete"


class Severity(StrEnum):
    """The CVSS words. Unknown is none of the others, and not low."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    NONE = "none"
    UNKNOWN = "unknown"


class Occurrence(Value):
    """One place that holds the vulnerable package."""

    inventory: str = Field(description="Label of the file, environment or host interpreter.")
    place: str = Field(default="", description="Where in it.")
    chain: tuple[str, ...] = Field(default=(), description="The packages that brought it in, a direct one first.")
    is_direct: bool | None = Field(default=None, description="Whether it is asked for by itself; null when unknown.")
    origin: Origin = Origin.INDEX


class Exploitation(Value):
    """What is known of attacks."""

    is_known_exploited: bool = Field(default=False, description="In CISA's catalogue (KEV).")
    epss: float | None = Field(default=None, ge=0, le=1, description="Probability of an attack within 30 days (EPSS).")


class Waiver(Value):
    """Somebody's word that a finding may stand for a while, or what a VEX statement amounts to."""

    id: Annotated[str, StringConstraints(strip_whitespace=True)] = Field(
        min_length=1, description="An advisory id; any alias of it will do."
    )
    package: str = Field(default="*", min_length=1, description="Package name, or * for any.")
    version: str = Field(default="*", min_length=1, description="A version, or a specifier such as <2; * for any.")
    inventory: str = Field(default="*", min_length=1, description="Shell pattern for the inventory's label.")
    reason: Annotated[str, StringConstraints(strip_whitespace=True)] = Field(min_length=3)
    owner: Annotated[str, StringConstraints(strip_whitespace=True)] = Field(min_length=1)
    expires: date = Field(description="The last day on which it holds (UTC); 9999-12-31 when it has no end.")
    aliases: tuple[str, ...] = Field(default=(), description="The other ids that a VEX statement names.")
    vex: Literal["", "not_affected", "fixed"] = Field(
        default="", description="What the VEX statement says that it is from; empty for somebody's own waiver."
    )

    @property
    def names(self) -> tuple[str, ...]:
        """Every id that it names."""
        return (self.id, *self.aliases)


class WaiverUse(Value):
    """A waiver and what became of it."""

    waiver: Waiver
    state: Literal["used", "unused", "expired"]


class AuditPolicy(Value):
    """Which findings break an audit. What passes it stays in the report, as tolerated, with the rule that let it."""

    minimum_severity: Severity = Field(
        default=Severity.NONE,
        description="Findings below it are tolerated. One of unknown severity never is.",
    )
    only_fixable: bool = Field(
        default=False, description="Tolerate a sure finding that no version mends; never malware."
    )
    only_direct: bool = Field(default=False, description="Tolerate a finding in transitive dependencies only.")
    fix_within_days: dict[Severity, int] = Field(
        default_factory=dict,
        description="Days since publication within which a finding of this severity is tolerated.",
    )
    exploited_always_counts: bool = Field(default=True, description="A finding in KEV is never tolerated.")
    minimum_epss: float | None = Field(
        default=None, ge=0, le=1, description="Tolerate a finding with a known EPSS below it."
    )
    inventories: tuple[str, ...] = Field(
        default=("*",), description="Shell patterns for the labels of inventories whose findings count."
    )
    internal_is_audited_elsewhere: bool = Field(
        default=False,
        description="Packages that are named as internal stay listed, but do not make the audit incomplete.",
    )


class Finding(Value):
    """One vulnerability of one version of one package, however many ids, sources and places name it."""

    package: str
    version: str
    id: str
    aliases: tuple[str, ...] = ()
    severity: Severity = Severity.UNKNOWN
    score: float | None = Field(default=None, description="CVSS base score of the vector that the severity is from.")
    vector: str = Field(default="", description="That vector.")
    certainty: Certainty = Certainty.AFFECTED
    doubt: str = Field(default="", description="Why it is only possible.")
    fixed_in: tuple[str, ...] = Field(default=(), description="Versions that mend it, in PEP 440 order.")
    may_be_mended: bool = Field(
        default=False, description="Whether later versions may be free of it though none is named as its fix."
    )
    summary: str = ""
    link: str = ""
    published: datetime | None = None
    sources: tuple[str, ...] = Field(description="Names of the advisory sources that report it.")
    disagreement: str = Field(default="", description="What the sources say differently; empty when they agree.")
    exploitation: Exploitation | None = Field(default=None, description="Null when no such data were supplied.")
    occurrences: tuple[Occurrence, ...] = ()
    tolerated: str = Field(default="", description="The rule or waiver that lets it pass; empty when it counts.")
    waiver: Waiver | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Every id that it has."""
        return (self.id, *self.aliases)


class NotAudited(Value):
    """Something that could not be judged, and why."""

    name: str
    reason: str
    version: str = ""
    inventory: str = Field(default="", description="Label of the inventory that holds it; empty for a source.")
    origin: Origin | None = None
    tolerated: str = Field(
        default="", description="Why the audit is complete all the same; empty when this makes it incomplete."
    )


class InventoryCount(Value):
    """What one inventory added."""

    label: str
    kind: str
    audited: int = Field(ge=0)
    not_audited: int = Field(ge=0)
    findings: int = Field(ge=0)


class SourceAnswered(StrEnum):
    """How a source came to its answer."""

    LIVE = "live"
    """It was asked as it is now."""
    SNAPSHOT = "snapshot"
    """A copy of its data was read."""
    NOT_ASKED = "not_asked"
    """There was no package version to ask about."""


class SourceUse(Value):
    """One advisory source as it answered."""

    name: str
    location: str
    answered: SourceAnswered = Field(
        default=SourceAnswered.LIVE, description="Live, from a snapshot, or not asked: there was nothing to ask about."
    )
    snapshot_at: datetime | None = Field(
        default=None, description="Age of a snapshot; null for any other, and for one without a date."
    )
    failure: str = Field(default="", description="Why it did not answer; empty when it did.")


class AuditCounts(Value):
    """How much was judged. Packages count once for each inventory that holds them."""

    audited: int = Field(ge=0)
    not_audited: int = Field(ge=0)
    findings: int = Field(default=0, ge=0, description="Findings that count.")
    tolerated: int = Field(default=0, ge=0, description="Findings that the policy or a waiver lets pass.")
    unique: int = Field(default=0, ge=0, description="Distinct package versions that were asked about.")
    not_audited_tolerated: int = Field(
        default=0, ge=0, description="Those of `not_audited` that do not make the audit incomplete."
    )


class AuditReport(Value):
    """The whole batch. `schema_version` changes when a field changes its meaning or goes."""

    schema_version: Literal[1] = 1
    verdict: AuditVerdict
    counts: AuditCounts
    findings: tuple[Finding, ...] = Field(description="Those that count, and then the tolerated ones.")
    not_audited: tuple[NotAudited, ...]
    waivers: tuple[WaiverUse, ...] = ()
    inventories: tuple[InventoryCount, ...] = ()
    sources: tuple[SourceUse, ...] = ()
    started_at: datetime
    duration_seconds: float = Field(ge=0)

    @property
    def counting(self) -> tuple[Finding, ...]:
        """The findings that nothing tolerates."""
        return tuple(finding for finding in self.findings if not finding.tolerated)
