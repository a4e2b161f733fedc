"""The sweep: what dead runs left in Vault is revoked."""

from collections.abc import Sequence

from prefect import task

from blocks.loading import load_block
from blocks.vault import VaultCredentials
from holdtrue.core.render_sweep import sweep_lines
from holdtrue.credentials import sweep as sweeping
from holdtrue.credentials.scope import current_scope
from holdtrue.models.base import Progress
from holdtrue.models.sweep import SweepReport
from tasks.journal import staged, watch
from tasks.policy import READS


@task(name="sweep leases", **READS)  # Retried: to revoke twice is to revoke.
@staged
def sweep_leases(vaults: Sequence[str]) -> SweepReport:
    """Revoke what the ledger lists of dead runs, and look it up to prove it."""
    report = sweeping.sweep(current_scope().ledger(), [load_block(VaultCredentials, name) for name in vaults])
    for line in sweep_lines(report):
        watch(Progress(message=line))
    return report
