"""The whole story on real engines: `python -m sandbox.demo`.

Every step says what must come of it, and a step that does not show it ends the demo with its name and a non-zero exit.
KEEP=1 leaves the UI, the server and the worker up until Ctrl-C.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sandbox.assembly import Sandbox
from sandbox.deployment import FinishedRun, deploy_all, flow_environment, joined, run_flow, save_blocks
from sandbox.errors import SandboxError
from sandbox.options import SandboxOptions, Service
from sandbox.schedules import ScheduledRun, end_of, every_minute, wait_for_start
from sandbox.service_logs import advice, describe, errors_in, without_expected

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

OPTIONS: Final = SandboxOptions(services=frozenset(Service) - {Service.POSTGRES})
DEMO: Final = {"environment": "demo"}
DEMO_FLEET: Final = {"environments": ["demo"]}
DRIFT, AUDIT, SWEEP = "drift/drift", "audit/audit", "sweep/sweep"
TAMPERED: Final = ("tags.Owner", "Write the configuration", "service\\_runs")
"""What the drift report must name after `tamper`."""
_REPORT_LINES: Final = 13
_LINE_CHARACTERS: Final = 120
_ESCAPE: Final = chr(92)
"""Markdown's escape character: right in the UI, noise in a terminal."""
_VULNERABLE: Final = "demo-yamlish"


class StepFailed(Exception):
    """A step did not show what it must."""


@dataclass(slots=True)
class Story:
    """What the steps share."""

    sandbox: Sandbox
    rows: list[tuple[str, str, float]] = field(default_factory=list)
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    by_schedule: "dict[str, FlowRun]" = field(default_factory=dict)
    """Runs that were started by their schedules, by deployment."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what it is called and what it does; it returns its one line of outcome."""

    name: str
    act: Callable[[Story], str]


def expect(deployment: str, parameters: Mapping[str, object], state_name: str, *needles: str) -> Callable[[Story], str]:
    """A step that runs a deployment and requires the state's name and texts in its report."""
    return lambda _: show(run_flow(deployment, parameters), state_name, needles)


def show(run: FinishedRun, state_name: str, needles: Sequence[str] = ()) -> str:
    """Print the first lines of a run's report, after checking it; returns how it ended."""
    require(run, state_name, needles)
    for line in islice(filter(str.strip, run.report.splitlines()), _REPORT_LINES):
        print(f"        {line.replace(_ESCAPE, '')[:_LINE_CHARACTERS]}")
    return f"{run.state_name}: {next(iter(run.message.splitlines()), '')}"


def require(run: FinishedRun, state_name: str, needles: Sequence[str] = ()) -> None:
    """Raise StepFailed unless the run ended as named and its report holds every text."""
    if run.state_name != state_name:
        raise StepFailed(f"it ended in {run.state_name} and not in {state_name}: {run.message}")
    missing = [needle for needle in needles if needle not in run.report]
    if missing:
        raise StepFailed(f"its report does not name {', '.join(missing)}:\n{run.report}")


def register_blocks(story: Story) -> str:
    """Save the blocks that the manifest names."""
    save_blocks(story.sandbox)
    return "the references of fleet/blocks.yaml are saved: 'demo', and 'sweeper' for the sweep"


def deploy(story: Story) -> str:
    """Register the deployments of prefect.yaml."""
    deploy_all(story.sandbox)
    return "provision, validate, drift (hourly), audit (daily) and sweep (every minute) are deployed"


def start_worker(story: Story) -> str:
    """Start a worker of the pool."""
    worker = story.sandbox.start_worker(env=flow_environment(story.sandbox))
    return f"worker {worker.pid} polls the pool 'holdtrue'; watch at {story.sandbox.prefect.ui_url}"


def tamper(story: Story) -> str:
    """Change a bucket's tag, a host's file and a host's service behind everyone's back."""
    bucket = retag_bucket(story.sandbox)
    edited = edit_configuration(story.sandbox)
    stopped = stop_service(story.sandbox)
    return f"tag Owner of bucket {bucket}, {edited} on web-1, service (process {stopped}) on web-2"


def retag_bucket(sandbox: Sandbox) -> str:
    """Give the assets bucket another owner; returns its name."""
    s3 = sandbox.aws.client("s3")
    name = next(item["Name"] for item in s3.list_buckets()["Buckets"] if "assets" in item["Name"])
    tags = s3.get_bucket_tagging(Bucket=name)["TagSet"]
    changed = [{**tag, "Value": "mallory"} if tag["Key"] == "Owner" else tag for tag in tags]
    if changed == tags:
        raise StepFailed(f"bucket {name} has no tag Owner to change")
    s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": changed})
    return str(name)


def edit_configuration(sandbox: Sandbox) -> Path:
    """Append to the service's configuration on the first host; returns the file."""
    path = sandbox.hosts[0].world / "srv" / "web" / "config.json"
    path.write_text(path.read_text() + "\n")
    return path


def stop_service(sandbox: Sandbox) -> int:
    """Kill the web service on the second host; returns its process id."""
    pid = int((sandbox.hosts[1].world / "srv" / "web" / "web.pid").read_text())
    os.kill(pid, signal.SIGKILL)
    return pid


def drift_by_schedule(story: Story) -> str:
    """Let drift and audit start every minute until both have begun, and wait for the drift run."""
    print(
        "        nobody starts drift or audit: for this step their hourly and daily schedules are set to every minute"
    )
    with every_minute(DRIFT, AUDIT) as since:
        story.by_schedule = {name: wait_for_start(name, since) for name in (DRIFT, AUDIT)}
    return show_scheduled(end_of(story.by_schedule[DRIFT]), "Drifted", TAMPERED)


def audit_by_schedule(story: Story) -> str:
    """Find the audit run that was started beside drift's."""
    return show_scheduled(end_of(story.by_schedule[AUDIT]), "Vulnerable", [_VULNERABLE])


def sweep_by_schedule(story: Story) -> str:
    """Find the first sweep of this demo: it is deployed to start every minute, so it ran beside the other steps."""
    return show_scheduled(end_of(wait_for_start(SWEEP, story.began)), "NothingLeft")


def show_scheduled(run: ScheduledRun, state_name: str, needles: Sequence[str] = ()) -> str:
    """Say when a run was due and began, and show it."""
    print(f"        run '{run.name}', scheduled for {run.scheduled_for:%H:%M:%S} UTC, began {run.started:%H:%M:%S}")
    return show(run.finished, state_name, needles)


def look_at_logs(story: Story) -> str:
    """Find no error in the log of any service that nobody expects."""
    logs = list(story.sandbox.log_directory.glob("*.log"))
    if errors := without_expected(errors_in(story.sandbox.log_directory)):
        raise StepFailed("\n".join([*map(describe, errors), advice()]))
    return f"no unexpected error and no traceback in the logs of {len(logs)} services"


STEPS: Final = (
    Step("register the blocks", register_blocks),
    Step("prefect deploy --all", deploy),
    Step("start the worker", start_worker),
    Step("provision (first time)", expect("provision/provision", DEMO, "Provisioned", "create", "web-1", "web-2")),
    Step("provision again (no changes)", expect("provision/provision", DEMO, "Unchanged", "No changes")),
    Step("validate", expect("validate/validate", DEMO, "Passed", "web-1", "web-2")),
    Step("drift (in sync)", expect(DRIFT, DEMO_FLEET, "InSync")),
    Step("tamper with a tag, a file and a service", tamper),
    Step("drift by its schedule (names all three)", drift_by_schedule),
    Step("audit by its schedule (finds the known advisory)", audit_by_schedule),
    Step("sweep by its schedule", sweep_by_schedule),
    Step("provision (repairs)", expect("provision/provision", DEMO, "Provisioned", "assets", "web-1", "web-2")),
    Step("drift (in sync again)", expect(DRIFT, DEMO_FLEET, "InSync")),
    Step("look at the services' logs", look_at_logs),
)


def tell(story: Story, steps: Sequence[Step]) -> None:
    """Carry out the steps in order.

    Raises:
        StepFailed: naming the step that did not show what it must.
    """
    for number, step in enumerate(steps, start=1):
        print(f"[{number:2}/{len(steps)}] {step.name}", flush=True)
        started = time.monotonic()
        try:
            outcome = step.act(story)
        except (StepFailed, SandboxError) as error:
            raise StepFailed(f"step '{step.name}' failed: {error}") from error
        except Exception as error:
            raise StepFailed(f"step '{step.name}' failed: {type(error).__name__}: {error}") from error
        seconds = time.monotonic() - started
        story.rows.append((step.name, outcome, seconds))
        print(f"        {outcome}  ({seconds:.1f} s)\n", flush=True)


def summary(rows: Sequence[tuple[str, str, float]]) -> str:
    """The closing table."""
    width = max(len(name) for name, _, _ in rows)
    lines = [f"  {name:{width}}  {seconds:6.1f} s  {outcome[:90]}" for name, outcome, seconds in rows]
    return "\n".join(lines)


def main() -> int:
    """Run the demo; 0 when every step showed what it must."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    print("starting the sandbox: OpenBao, AWS, two SSH hosts, HAProxy, OTLP, OSV, Prefect ...", flush=True)
    try:
        with Sandbox(OPTIONS) as sandbox, joined(sandbox):
            story = Story(sandbox)
            slowest = max(sandbox.start_seconds.values())
            story.rows.append(("start the sandbox", f"{len(sandbox.start_seconds)} services", time.monotonic() - began))
            print(f"        the slowest service took {slowest:.1f} s\n", flush=True)
            tell(story, STEPS)
            spans = len(sandbox.otlp.spans())
            print(summary(story.rows))
            print(f"\n{len(STEPS)} steps in {time.monotonic() - began:.0f} s; {spans} spans in the OTLP sink.")
            if os.environ.get("KEEP") == "1":
                wait_for_interrupt(sandbox)
    except (StepFailed, SandboxError) as error:
        print(f"\nDEMO FAILED: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; everything is stopped.", file=sys.stderr)
        return 130
    return 0


def wait_for_interrupt(sandbox: Sandbox) -> None:
    """Leave everything up until Ctrl-C."""
    print(f"\nUI: {sandbox.prefect.ui_url}   Ctrl-C stops everything.", flush=True)
    try:
        signal.pause()
    except KeyboardInterrupt:
        print("\nstopping ...", flush=True)


if __name__ == "__main__":
    sys.exit(main())
