"""Sweep: no login and no lease of a dead run stays alive."""

from holdtrue.models.environment import BlockName
from holdtrue.models.sweep import SweepReport
from tasks.conclusions import conclude_sweep
from tasks.run import as_run
from tasks.submission import flow
from tasks.sweep import sweep_leases


@flow(name="sweep", persist_result=False, timeout_seconds=300)
@as_run(conclude=conclude_sweep, error_state="Incomplete")
def sweep(vaults: list[BlockName]) -> SweepReport:
    """Revoke the tokens and leases of runs that died without doing so; those of live runs are never touched.

    Args:
        vaults: Names of VaultCredentials blocks, one for each server and namespace, whose policy may revoke.
    """
    return sweep_leases(vaults)
