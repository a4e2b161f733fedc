"""What a run may leave behind, and the search for what it must not."""

import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterId,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.logging.handlers import APILogWorker

from sandbox import Sandbox, guardian
from tests.integration.test_pulumi import fingerprint

TOKEN = re.compile(r"\b(?:hvs\.|s\.)[A-Za-z0-9]{20,}")
"""A service token of Vault or OpenBao."""

PRIVATE_KEY = re.compile(r"BEGIN [A-Z ]*PRIVATE KEY")
_SETTLE_SECONDS = 6.0
_LOG_PAGE = 200


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that a failed run has to leave as it was."""

    weights: Mapping[str, int]
    state_files: Mapping[str, str]
    tokens: frozenset[str]
    processes: Counter[str]
    """Command lines outside the hosts; by number they would differ after a service was started again."""
    files: frozenset[str]
    """What lies in the temporary folder of the sandbox's processes."""


def take_snapshot(sandbox: Sandbox) -> Snapshot:
    return Snapshot(
        weights=dict(sandbox.load_balancer.weights()),
        state_files=fingerprint(sandbox.state_directory),
        tokens=live_tokens(sandbox),
        processes=tool_processes(sandbox),
        files=frozenset(path.name for path in (sandbox.directory / "tmp").iterdir()),
    )


def live_tokens(sandbox: Sandbox) -> frozenset[str]:
    """Accessors of every token that Vault would accept."""
    return frozenset(sandbox.openbao.client().list("auth/token/accessors")["data"]["keys"])


def tool_processes(sandbox: Sandbox) -> Counter[str]:
    """The sandbox's processes but for what runs in its hosts, by command line."""
    in_hosts = {found.pid for host in sandbox.hosts for found in host.processes()}
    return Counter(
        " ".join(found.command)
        for found in guardian.marked_processes(sandbox.marker, sandbox.directory)
        if found.pid not in in_hosts and not found.name.startswith("sshd")
    )


@contextmanager
def nothing_left(
    sandbox: Sandbox, *, state_may_change: bool = False, settle_seconds: float = _SETTLE_SECONDS
) -> Iterator[None]:
    """Assert that the body leaves traffic, state, tokens, processes and folders as they were.

    What ends by itself, like a token whose life is over, has a few seconds to do so.
    """
    before = take_snapshot(sandbox)
    with recorded_folders() as folders:
        yield
    deadline = time.monotonic() + settle_seconds
    while (rest := _differences(before, sandbox, folders, state_may_change)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not rest, "\n".join(rest)


@contextmanager
def recorded_folders() -> Iterator[list[Path]]:
    """The temporary folders that this process makes inside the body, wherever they are."""
    made: list[Path] = []
    make = tempfile.mkdtemp

    def recording(*args: Any, **kwargs: Any) -> str:
        path: str = make(*args, **kwargs)
        made.append(Path(path))
        return path

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "mkdtemp", recording)
        yield made


def _differences(before: Snapshot, sandbox: Sandbox, folders: Iterable[Path], state_may_change: bool) -> list[str]:  # noqa: FBT001
    after = take_snapshot(sandbox)
    found = [f"folder {path}" for path in folders if path.exists()]
    found += [f"file {name}" for name in sorted(after.files - before.files)]
    found += [f"token {accessor}" for accessor in sorted(after.tokens - before.tokens)]
    found += [f"process {line}" for line in (after.processes - before.processes).elements()]
    if after.weights != before.weights:
        found.append(f"weights {dict(before.weights)} became {dict(after.weights)}")
    if not state_may_change and after.state_files != before.state_files:
        changed = dict(before.state_files.items() ^ after.state_files.items())
        found.append(f"state files {sorted(changed)}")
    return found


def texts_of(run_id: UUID, reports: Path) -> dict[str, str]:
    """Everything that Prefect's API and the report folder hold of one run, by where it is."""
    APILogWorker.drain_all(timeout=10)
    texts: dict[str, str] = {}
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(run_id)
        texts["flow run"] = run.model_dump_json()
        task_runs = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run_id])))
        texts |= {f"task run {task_run.name}": task_run.model_dump_json() for task_run in task_runs}
        artifacts = client.read_artifacts(
            artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
        )
        texts |= {f"artifact {item.key or item.type}": item.model_dump_json() for item in artifacts}
        wanted = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run_id]))
        offset = 0
        while page := client.read_logs(log_filter=wanted, limit=_LOG_PAGE, offset=offset):
            texts |= {f"log {offset + number}": log.message for number, log in enumerate(page)}
            offset += len(page)
    for path in (reports / str(run_id)).glob("*"):
        texts[f"report {path.name}"] = path.read_text()
    return texts


def holders(texts: Mapping[str, str], is_held: Callable[[str], bool]) -> list[str]:
    """Names of the texts in which something is."""
    return sorted(name for name, text in texts.items() if is_held(text))


def holds_secret(values: Iterable[str]) -> Callable[[str], bool]:
    """A test for any of the values, any Vault token and any private key."""
    known = [value for value in values if value]
    return lambda text: (
        any(value in text for value in known) or bool(TOKEN.search(text)) or bool(PRIVATE_KEY.search(text))
    )


def secret_values(sandbox: Sandbox) -> tuple[str, ...]:
    """The sandbox's credentials, and the secret output of the demo stack where it has been made."""
    names = sandbox.aws.client("ssm").get_parameters(Names=["/demo-demo/app-token"], WithDecryption=True)
    return (
        sandbox.openbao.secret_id.get_secret_value(),
        sandbox.openbao.root_token.get_secret_value(),
        sandbox.aws.secret_access_key.get_secret_value(),
        *(parameter["Value"] for parameter in names["Parameters"]),
    )
