"""What Holdtrue costs on top of the tools: an unchanged provision on a worker against a plain script.

    python benchmarks/overhead.py [--rounds 5]

Both run the same commands against the same sandbox, in turn (A B A B ...). Wall time of A is counted from the moment
the worker takes the run to its final state, the start of its interpreter included. CPU seconds count the run's process
and all it started.
Claims: ratio of the medians at most 1.25; the run's own process at most 400 MB.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from sandbox import Sandbox  # noqa: E402 - the checkout is put on the path first
from sandbox.deployment import (  # noqa: E402
    deploy_all,
    flow_environment,
    joined,
    run_flow,
    save_blocks,
)
from sandbox.openbao import server_binary  # noqa: E402
from sandbox.schedules import pause_schedules  # noqa: E402

RATIO_CLAIM = 1.25
MEMORY_CLAIM_MB = 400
SAMPLE_SECONDS = 0.1
DEMO = {"environment": "demo"}


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run."""

    wall_seconds: float
    cpu_seconds: float
    waited_seconds: float
    """From the request, the worker's polling included; the same as wall for the plain script."""


@dataclass(slots=True)
class Usage:
    """What was seen of the flow runs below a worker."""

    engine_mb: float = 0.0
    """Largest resident size of a run's own process."""
    tree_mb: float = 0.0
    """Largest proportional size of it and everything it had started."""
    cpu_seconds: dict[int, float] = field(default_factory=dict)
    """By process id of a run: its own, and of all it has waited for. The worker itself does not count them."""


@contextmanager
def watched(worker_pid: int) -> Iterator[Usage]:
    """Sample the memory of the flow run below a worker."""
    usage, stop = Usage(), threading.Event()

    def sample() -> None:
        while not stop.wait(SAMPLE_SECONDS):
            with suppress(psutil.Error):
                for engine in psutil.Process(worker_pid).children():
                    usage.cpu_seconds[engine.pid] = sum(engine.cpu_times()[:4])
                    usage.engine_mb = max(usage.engine_mb, engine.memory_info().rss / 1e6)
                    tree = [engine, *engine.children(recursive=True)]
                    usage.tree_mb = max(usage.tree_mb, sum(_proportional(process) for process in tree) / 1e6)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield usage
    finally:
        stop.set()
        thread.join()


def _proportional(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0


def holdtrue(usage: Usage) -> Measurement:
    """One unchanged provision through the deployment."""
    before = sum(usage.cpu_seconds.values())
    run = run_flow("provision/provision", DEMO, timeout_seconds=300)
    if run.state_name != "Unchanged":
        sys.exit(f"the provision ended in {run.state_name}: {run.message}")
    time.sleep(1.0)  # the run's process ends a moment after its final state
    return Measurement(run.worker_seconds, sum(usage.cpu_seconds.values()) - before, run.seconds)


def plain(sandbox: Sandbox) -> Measurement:
    """One run of the plain script."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    subprocess.run(
        [sys.executable, str(ROOT / "benchmarks/plain/provision.py")], check=True, env=plain_variables(sandbox)
    )
    wall = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Measurement(wall, cpu, wall)


def stack_file(sandbox: Sandbox) -> Path:
    """The stack's settings as `pulumi stack init` would have left them in the script's repository, key included."""
    state = json.loads((sandbox.state_directory / ".pulumi/stacks/demo/demo.json").read_text())
    key = state["checkpoint"]["latest"]["secrets_providers"]["state"]["encryptedkey"]
    settings = (ROOT / "fleet/pulumi/demo/Pulumi.demo.yaml").read_text()
    path = sandbox.directory / "Pulumi.demo.yaml"
    path.write_text(f"secretsprovider: hashivault://pulumi\nencryptedkey: {key}\n{settings}")
    return path


def plain_variables(sandbox: Sandbox) -> dict[str, str]:
    """What the script's author would have exported."""
    return os.environ | {
        "VAULT_ADDR": sandbox.openbao.address,
        "VAULT_CACERT": str(sandbox.openbao.ca_file),
        "AWS_ENDPOINT_URL": sandbox.aws.endpoint_url,
        "AWS_REGION": sandbox.aws.region,
        "AWS_DEFAULT_REGION": sandbox.aws.region,
        "PULUMI_BACKEND_URL": sandbox.state_url,
        "PULUMI_SKIP_UPDATE_CHECK": "1",
        "PULUMI_PYTHON_CMD": sys.executable,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PLAIN_BAO": str(server_binary()),
        "PLAIN_FLEET": str(ROOT / "fleet"),
        "PLAIN_PROJECT_NAME": "demo",
        "PLAIN_ROLE_ID": sandbox.openbao.role_id,
        "PLAIN_SECRET_ID": sandbox.openbao.secret_id.get_secret_value(),
        "PLAIN_STACK_FILE": str(stack_file(sandbox)),
        "PLAIN_SECRETS_PROVIDER": "hashivault://pulumi",
    }


def main() -> int:
    """Measure, print, and fail when a claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with Sandbox() as sandbox, joined(sandbox):
        save_blocks(sandbox)
        deploy_all(sandbox)
        pause_schedules()
        worker = sandbox.start_worker(env=flow_environment(sandbox))
        run_flow("provision/provision", DEMO, timeout_seconds=300)  # makes the stack
        plain(sandbox)  # warms the script's files as the first provision has warmed ours
        ours, theirs = [], []
        with watched(worker.pid) as usage:
            for number in range(1, rounds + 1):
                ours.append(holdtrue(usage))
                theirs.append(plain(sandbox))
                print(f"round {number}: holdtrue {ours[-1].wall_seconds:.1f} s, script {theirs[-1].wall_seconds:.1f} s")
    return report(ours, theirs, usage)


def report(ours: list[Measurement], theirs: list[Measurement], usage: Usage) -> int:
    """Print the medians and whether the claims hold."""

    def median(runs: list[Measurement], name: str) -> float:
        return statistics.median(float(getattr(run, name)) for run in runs)

    print(f"\n{'':26}{'holdtrue':>10}{'script':>10}{'ratio':>8}")
    for label, name in (
        ("wall in the worker, s", "wall_seconds"),
        ("wall as waited for, s", "waited_seconds"),
        ("CPU, s", "cpu_seconds"),
    ):
        a, b = median(ours, name), median(theirs, name)
        print(f"{label:26}{a:10.2f}{b:10.2f}{a / b:8.2f}")
    ratio = median(ours, "wall_seconds") / median(theirs, "wall_seconds")
    print(f"\npeak memory: {usage.engine_mb:.0f} MB the run's process, {usage.tree_mb:.0f} MB with all its tools")
    holds = ratio <= RATIO_CLAIM and usage.engine_mb <= MEMORY_CLAIM_MB
    print(
        f"claims (ratio at most {RATIO_CLAIM}, process at most {MEMORY_CLAIM_MB} MB): {'hold' if holds else 'MISSED'}"
    )
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
