"""Starting a deployment without leaving a secret in what Prefect keeps of its runs."""

from collections.abc import Mapping
from typing import Any

from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment

from holdtrue.core.secret_detection import find_secrets
from holdtrue.errors import SecretExposed


def start_run(
    deployment: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    job_variables: Mapping[str, Any] | None = None,
    timeout_seconds: float | None = None,
) -> FlowRun:
    """Prefect's `run_deployment`, after a look at what it would store.

    Args:
        deployment: `flow/deployment`.
        parameters: Of the run; a secret is given as `SecretRef`.
        job_variables: Of the run, such as `env`.
        timeout_seconds: How long to wait for the run's end; None waits for it, 0 does not.

    Raises:
        SecretExposed: something in them is or looks like a secret; no run was created.
    """
    given = {"parameters": dict(parameters or {}), "job_variables": dict(job_variables or {})}
    suspects = find_secrets(given)
    if suspects:
        places = "; ".join(f"{item.at}: {item.why}" for item in suspects)
        raise SecretExposed(
            f"Prefect would keep a secret in clear, so no run was created: {places}",
            where=deployment,
            next_step="put it into Vault, save a VaultSecret block, and pass SecretRef(block=...).",
        )
    return run_deployment(  # type: ignore[return-value] # a coroutine in async code only
        deployment, parameters=given["parameters"], job_variables=given["job_variables"], timeout=timeout_seconds
    )
