"""Host configuration: make it so, prove that it stays so, or only look."""

from prefect import task

from holdtrue.core.drift import configuration_drift
from holdtrue.credentials.environment_lock import HeldLock
from holdtrue.errors import NotIdempotent
from holdtrue.models.configuration import ConfigurationRun
from holdtrue.models.credentials import HostAccess
from holdtrue.models.drift import LayerDrift
from holdtrue.models.environment import Environment
from tasks.journal import staged, watch
from tasks.policy import MUTATES, READS
from tasks.toolbox import toolbox


@task(name="configure hosts", **MUTATES)
@staged
def configure_hosts(environment: Environment, access: HostAccess, lock: HeldLock) -> ConfigurationRun:
    """Run the playbook."""
    configurator = toolbox().configurator(environment, access)
    lock.require_held()
    return configurator.apply(watch)


@task(name="prove idempotent", **MUTATES)
@staged
def prove_idempotent(environment: Environment, access: HostAccess, lock: HeldLock) -> ConfigurationRun:
    """Run the playbook again and require zero changes.

    Raises:
        NotIdempotent: naming every host and task that changed something the second time.
    """
    configurator = toolbox().configurator(environment, access)
    lock.require_held()
    run = configurator.apply(watch)
    if run.changed:
        offenders = "; ".join(f"{result.host}: {result.task}" for result in run.changed)
        raise NotIdempotent(
            f"the second run changed {len(run.changed)} things: {offenders}",
            where=environment.configuration.playbook,
            next_step="let these tasks report a change only when they make one (creates, changed_when, a module)",
            done=run,
        )
    return run


@task(name="check configuration", **READS)
@staged
def check_configuration(environment: Environment, access: HostAccess) -> LayerDrift:
    """What the playbook would change, in check mode."""
    return configuration_drift(toolbox().configurator(environment, access).check(watch))
