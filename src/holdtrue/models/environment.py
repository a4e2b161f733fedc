"""The environment manifest: what one YAML file under `fleet/environments/` may say."""

from datetime import date
from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, JsonValue, StringConstraints, model_validator
from pydantic.config import JsonDict

from holdtrue.models.audit import AuditPolicy
from holdtrue.models.base import Value
from holdtrue.models.playbook_variables import PlaybookTag, SecretVariableName, VariableName
from holdtrue.models.stack import Operation
from holdtrue.models.template import Template

NAME_PATTERN: Final = r"^[a-z0-9][a-z0-9-]{0,62}$"

Name = Annotated[str, Field(pattern=NAME_PATTERN)]
"""A name that is safe in file names, block names, artifact keys and stack names."""

# A server checks parameters with Python's `re.search`, where `$` also matches before a line break at the end of a text.
# Pydantic's engine knows neither `\Z` nor look-ahead, so a separate keyword of the schema refuses the line break.
_ONE_LINE: Final[JsonDict] = {"not": {"pattern": r"\n"}}

# Parameters of flows: a server that enforces a deployment's schema refuses anything else before there is a run.
GivenName = Annotated[str, Field(pattern=NAME_PATTERN, json_schema_extra=_ONE_LINE)]
GivenDigest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", json_schema_extra=_ONE_LINE)]
BlockName = Annotated[
    str, Field(pattern=NAME_PATTERN, description="Name of a saved Prefect block.", json_schema_extra=_ONE_LINE)
]


def _below_the_fleet(path: str) -> str:
    if path.startswith("/") or ".." in path.split("/") or "\0" in path:
        raise ValueError("must be a path below the fleet folder, without `..`")
    return path


FleetPath = Annotated[str, Field(min_length=1), AfterValidator(_below_the_fleet)]
"""A path below the fleet folder."""

HostFolder = Annotated[str, Field(pattern=r"^/[^\x00-\x1f\x7f]*$")]
"""An absolute path on a host."""

Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=300)]
"""Why this rule does not apply; shown in reports."""


class Infrastructure(Value):
    """Which program creates the infrastructure."""

    engine: Literal["pulumi"] = "pulumi"
    project: FleetPath = Field(description="Folder of an ordinary Pulumi Python project.")
    stack: Name
    tests: FleetPath | None = Field(default=None, description="Folder of its unit tests; default: <project>/tests.")
    without_tests: Reason | None = Field(
        default=None, description="Why the program has no unit tests that can run; each report of a provision shows it."
    )
    hosts_output: str = Field(default="hosts", description="Stack output that lists the hosts.")
    timeout_seconds: int = Field(default=1800, ge=10, description="Longest time one engine operation may take.")
    update_plan: bool = Field(
        default=True,
        description="Let the engine's update plan (`--plan`) refuse unplanned steps and inputs before they run. "
        "Without it, an unplanned step may already have started when the engine is interrupted, and inputs are not "
        "compared.",
    )

    @model_validator(mode="after")
    def _tests_or_none(self) -> Self:
        if self.tests is not None and self.without_tests is not None:
            raise ValueError("`tests` and `without_tests` exclude each other: keep one")
        return self

    @property
    def tests_path(self) -> str:
        """The folder of the program's unit tests."""
        return self.tests or f"{self.project}/tests"


class Configuration(Value):
    """Which playbook configures the hosts, and with which variables."""

    engine: Literal["ansible"] = "ansible"
    playbook: FleetPath
    variables: dict[VariableName, JsonValue] = Field(
        default_factory=dict,
        description="Extra variables of every run of the playbook: they win over its own and over the hosts'. Any "
        "value; strings are literal: `{{ }}` in them is not evaluated.",
    )
    secrets: dict[SecretVariableName, BlockName] = Field(
        default_factory=dict,
        description="Extra variables whose values are secrets: maps each variable to a VaultSecret block. The values "
        "are literal too.",
    )
    tags: tuple[PlaybookTag, ...] = Field(
        default=(), description="Run only tasks with one of these tags; unselected tasks do not count as checked."
    )
    skip_tags: tuple[PlaybookTag, ...] = Field(default=(), description="Skip tasks with one of these tags.")
    timeout_seconds: int = Field(default=1800, ge=10, description="Longest time one playbook run may take.")

    @model_validator(mode="after")
    def _one_value_a_name(self) -> Self:
        if twice := sorted(self.variables.keys() & self.secrets.keys()):
            raise ValueError(f"{', '.join(twice)}: given in variables and in secrets; keep one")
        return self


class HttpProbe(Value):
    """One HTTP request with the response that counts as good."""

    name: Name
    url: Template
    status: int = Field(default=200, ge=100, le=599)
    contains: str = Field(default="", description="Text that the body must contain.")
    timeout_seconds: float = Field(default=5.0, gt=0, le=120)
    attempts: int = Field(
        default=3, ge=1, le=20, description="How often it is tried, one second apart, before it has failed."
    )


class Validation(Value):
    """Checks that must pass before traffic moves; drift repeats them."""

    suites: tuple[FleetPath, ...] = Field(default=(), description="Ordinary Testinfra files, run against every host.")
    probes: tuple[HttpProbe, ...] = Field(default=(), description="Asked of every host.")
    timeout_seconds: int = Field(default=600, ge=5)
    verdict_ttl_seconds: int = Field(default=900, ge=10, description="How long a pass stays valid for moving traffic.")

    @model_validator(mode="after")
    def _something_is_checked(self) -> Self:
        if not self.suites and not self.probes:
            raise ValueError("name at least one suite or probe: a gate that checks nothing cannot pass")
        return self


class Traffic(Value):
    """How traffic moves onto the hosts."""

    switch: Literal["haproxy"] = "haproxy"
    socket: Template = Field(description="Path of HAProxy's admin socket.")
    backend: str = Field(pattern=r"^[A-Za-z0-9_.:-]+$", description="HAProxy backend whose server weights move.")
    steps: tuple[Annotated[int, Field(ge=1, le=100)], ...] = Field(
        default=(10, 50, 100), min_length=1, description="Share of traffic on the hosts after each step, in percent."
    )
    bake_seconds: float = Field(default=1.0, ge=0, le=3600, description="Wait after a step before it is probed.")
    probes: tuple[HttpProbe, ...] = Field(min_length=1, description="Asked through the load balancer after each step.")
    health_wait_seconds: float = Field(
        default=30.0,
        ge=0,
        le=3600,
        description="How long to wait, before the first step, for a host that the load balancer has marked as down.",
    )

    @model_validator(mode="after")
    def _steps_rise_to_everything(self) -> Self:
        if list(self.steps) != sorted(set(self.steps)) or self.steps[-1] != 100:  # noqa: PLR2004 - percent
            raise ValueError("steps must rise and end at 100")
        return self


class Credentials(Value):
    """Names of saved blocks; never a secret."""

    vault: BlockName = Field(description="VaultCredentials.")
    aws: BlockName = Field(description="VaultAwsCredentials.")
    ssh: BlockName = Field(description="VaultSshCertificates.")
    pulumi: BlockName = Field(description="PulumiBackend.")


class Policy(Value):
    """What a run may do on its own."""

    approval_required_for: frozenset[Operation] = Field(
        default=frozenset({Operation.DELETE, Operation.REPLACE}), description="Operations that a person must approve."
    )
    approval_timeout_seconds: int = Field(
        default=0, ge=0, le=86_400, description="How long a run waits for approval; 0 ends it at once."
    )
    approval_expires_seconds: int = Field(
        default=3600,
        ge=1,
        le=604_800,
        description="How long after the request for an approval a plan may be approved and applied.",
    )
    max_changes: int | None = Field(default=None, ge=0, description="Largest number of changes in a plan that may run.")
    lock_wait_seconds: int = Field(
        default=300, ge=0, le=86_400, description="How long a run waits while another one holds the environment's lock."
    )


class DriftLayer(StrEnum):
    """Where drift is looked for."""

    INFRASTRUCTURE = "infrastructure"
    CONFIGURATION = "configuration"
    RUNTIME = "runtime"


class DriftIgnore(Value):
    """A known difference that is not drift, or a known gap in what is checked, until it expires."""

    layer: DriftLayer
    target: str = Field(min_length=1, description="Shell pattern for the resource URN, or host.")
    field: str = Field(
        default="*",
        description="Shell pattern for the property, task, handler or check, or for the kind of a gap as the report"
        " names it. The default `*` matches differences only, no gaps.",
    )
    reason: str = Field(min_length=3)
    owner: str = Field(min_length=1)
    expires: date


class Drift(Value):
    """What a drift check covers."""

    layers: tuple[DriftLayer, ...] = Field(default=tuple(DriftLayer), min_length=1)
    ignore: tuple[DriftIgnore, ...] = ()


class Audit(Value):
    """What an audit covers, and which findings count."""

    requirements: tuple[FleetPath, ...] = Field(
        default=(),
        description="Files that list packages: requirements, lock files, conda lists, SBOMs. The format is recognised "
        "by the file name, or else by the content.",
    )
    projects: tuple[FleetPath, ...] = Field(
        default=(), description="Folders of projects: their lock files, or else their requirements files."
    )
    worker: bool = Field(default=True, description="Audit the worker's own Python environment too.")
    hosts: bool = Field(default=False, description="Audit what is installed on the stack's hosts too.")
    host_roots: tuple[HostFolder, ...] = Field(
        default=(),
        description="Folders of the hosts to search; empty means /usr, /opt, /srv, /home, /root and /var/lib.",
    )
    internal: tuple[Annotated[str, Field(pattern=r"^[^\s,]+$")], ...] = Field(
        default=(),
        description="Shell patterns for names of internal packages: they are not sent to any advisory source.",
    )
    mirrors: tuple[Annotated[str, Field(pattern=r"\S")], ...] = Field(
        default=(),
        description="URLs of indexes that mirror PyPI. Packages from another index named beside PyPI are treated as "
        "internal, unless that index is known to be public.",
    )
    waivers: tuple[FleetPath, ...] = Field(default=(), description="Files of waivers, in YAML or JSON.")
    vex: tuple[FleetPath, ...] = Field(default=(), description="OpenVEX or CycloneDX VEX documents.")
    epss: FleetPath | None = Field(default=None, description="EPSS scores as CSV, which may be gzip.")
    kev: FleetPath | None = Field(default=None, description="CISA's catalogue of exploited vulnerabilities as JSON.")
    policy: AuditPolicy = Field(default=AuditPolicy(), description="Which findings count for this environment.")
    blocks_provision: bool = Field(
        default=False, description="Whether a provision stops unless its audit is clean. If false, it only warns."
    )


class Environment(Value):
    """One environment of the fleet."""

    name: Name
    description: str = ""
    infrastructure: Infrastructure
    configuration: Configuration
    validation: Validation
    traffic: Traffic | None = None
    credentials: Credentials
    policy: Policy = Policy()
    drift: Drift = Drift()
    audit: Audit = Audit()
