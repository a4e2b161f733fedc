"""Validation: reach every host, run the suites, ask the probes."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from prefect import task
from prefect.artifacts import create_table_artifact

from holdtrue.core.drift import runtime_drift
from holdtrue.core.gate import decide
from holdtrue.core.hosts import parse_hosts, placeholders
from holdtrue.core.junit import render_junit
from holdtrue.core.neutral import several_lines
from holdtrue.core.template import fill_url, template_uses, unfilled
from holdtrue.errors import RejectedError, ValidationFailed, ValidationInconclusive
from holdtrue.models.base import Progress, ProgressLevel
from holdtrue.models.credentials import HostAccess
from holdtrue.models.drift import LayerDrift
from holdtrue.models.environment import Environment, HttpProbe
from holdtrue.models.host import Host
from holdtrue.models.stack import StackOutputs
from holdtrue.models.validation import CheckOutcome, CheckResult, Verdict, VerdictOutcome
from tasks.journal import staged, watch
from tasks.policy import READS
from tasks.reports import keep_document, save_report
from tasks.toolbox import toolbox

_PARALLEL_PROBES = 8


@task(name="validate hosts", **READS)
@staged
def validate_hosts(environment: Environment, access: HostAccess, plan_digest: str = "") -> Verdict:
    """Run every check on every host and judge them; the verdict is a value, whatever it says."""
    verdict = decide(
        _run_checks(environment, access),
        environment=environment.name,
        hosts=access.names,
        plan_digest=plan_digest,
        now=datetime.now(UTC),
        ttl_seconds=environment.validation.verdict_ttl_seconds,
    )
    create_table_artifact(
        key=f"checks-{environment.name}",
        table=[_row(check) for check in verdict.checks],
        description=f"{environment.name}: {verdict.outcome}",
    )
    junit = render_junit(environment.name, verdict.checks)
    keep_document(
        "junit",
        junit,
        key=f"junit-{environment.name}",
        path=save_report("junit.xml", junit),
        description=f"{environment.name}: the checks as JUnit XML",
    )
    return verdict


def _row(check: CheckResult) -> dict[str, str | float]:
    values: dict[str, str | float] = check.model_dump(mode="json")
    return {name: several_lines(value) if isinstance(value, str) else value for name, value in values.items()}


@task(name="check runtime", **READS)
@staged
def check_runtime(environment: Environment, access: HostAccess) -> LayerDrift:
    """The same checks, read as drift: a check that fails is a difference from what was declared."""
    return runtime_drift(_run_checks(environment, access), access.names)


def require_templates(environment: Environment, outputs: StackOutputs) -> None:
    """Stop before the hosts are configured if the outputs of the apply do not fill every template, or fill one badly.

    Raises:
        RejectedError: naming each field and placeholder.
    """
    hosts = parse_hosts(outputs, environment.infrastructure.hosts_output)
    found = unfilled(template_uses(environment), outputs, hosts, is_in_program=lambda _: True)
    if found:
        raise RejectedError(
            "; ".join(f"{item.field}: {item.reason}" for item in found),
            where=f"environment {environment.name}",
            next_step="; ".join(dict.fromkeys(item.next_step for item in found)),
        )
    _host_probes(environment, outputs, hosts)


def require_pass(verdict: Verdict) -> None:
    """Stop a provision whose verdict is not a pass.

    Raises:
        ValidationFailed: a check failed.
        ValidationInconclusive: not everything could be checked.
    """
    if verdict.outcome is VerdictOutcome.PASS:
        return
    kind = ValidationFailed if verdict.outcome is VerdictOutcome.FAIL else ValidationInconclusive
    raise kind(
        f"validation says {verdict.outcome}: {'; '.join(verdict.reasons[:10])}",
        where=f"environment {verdict.environment}",
        next_step="traffic stays where it is; repair what is named, then provision again",
    )


def _run_checks(environment: Environment, access: HostAccess) -> tuple[CheckResult, ...]:
    """A host that cannot be reached costs one timeout, not one a check, and never hides the others."""
    tools = toolbox()
    reached = tools.reach(access)
    up = {result.target for result in reached if result.outcome is CheckOutcome.PASSED}
    reachable = [host for host in access.hosts if host.name in up]
    suites = tools.host_checks(environment, access.ssh).run(reachable, watch) if reachable else ()
    probed = ask_probes(_host_probes(environment, access.outputs, access.hosts))
    for result in (*reached, *probed):  # The suites have told theirs as they ran.
        if result.outcome in {CheckOutcome.FAILED, CheckOutcome.ERROR}:
            line = f"{result.target} | {result.outcome} | {result.name}: {result.detail}"
            watch(Progress(message=line, level=ProgressLevel.WARNING))
    return (*reached, *suites, *probed)


def _host_probes(
    environment: Environment, outputs: StackOutputs, hosts: Sequence[Host]
) -> list[tuple[HttpProbe, str, str]]:
    """Each probe of each host, with its URL and the host's name.

    Raises:
        RejectedError: a URL cannot be filled, or the filled URL must not be requested.
    """
    return [
        (probe, fill_url(probe.url, placeholders(outputs, host), where=f"probe {probe.name} of {host.name}"), host.name)
        for host in hosts
        for probe in environment.validation.probes
    ]


def ask_probes(questions: Sequence[tuple[HttpProbe, str, str]]) -> tuple[CheckResult, ...]:
    """Ask (probe, url, target) side by side; answers keep the questions' order."""
    prober = toolbox().prober()
    with ThreadPoolExecutor(_PARALLEL_PROBES) as pool:
        return tuple(pool.map(lambda item: prober.probe(item[0], url=item[1], target=item[2]), questions))
