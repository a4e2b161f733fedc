"""Sweep: no login and no lease of a dead run stays alive."""

from holdtrue.models.environment import BlockName
from holdtrue.models.sweep import SweepReport
from tasks.conclusions import SWEEP
from tasks.policy import FLOW
from tasks.run import as_run
from tasks.submission import flow
from tasks.sweep import sweep_leases


@flow(name="sweep", timeout_seconds=300, **FLOW)
@as_run(SWEEP)
def sweep(vaults: list[BlockName]) -> SweepReport:
    """Revoke the tokens and leases of runs that died without doing so; those of live runs are never touched.

    Args:
        vaults: Names of VaultCredentials blocks, one for each server and namespace, whose policy may revoke.
    """
    return sweep_leases(vaults)
