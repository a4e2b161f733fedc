"""Host configuration: make it so, prove that it stays so, or only look."""

from prefect import task

from holdtrue.core.drift import configuration_drift
from holdtrue.core.handlers import require_all_run
from holdtrue.credentials.environment_lock import HeldLock
from holdtrue.credentials.handler_memory import HandlerMemory, open_handlers
from holdtrue.errors import HoldtrueError, NotIdempotent, done_before, keep_done
from holdtrue.models.configuration import ConfigurationRun
from holdtrue.models.credentials import HostAccess
from holdtrue.models.drift import LayerDrift
from holdtrue.models.environment import Environment
from holdtrue.runtime.redaction import redact_text
from tasks.journal import staged, watch
from tasks.policy import MUTATES, READS
from tasks.toolbox import toolbox


@task(name="configure hosts", **MUTATES)
@staged
def configure_hosts(environment: Environment, access: HostAccess, lock: HeldLock) -> ConfigurationRun:
    """Run the playbook."""
    return _apply(environment, access, lock)


@task(name="prove idempotent", **MUTATES)
@staged
def prove_idempotent(environment: Environment, access: HostAccess, lock: HeldLock) -> ConfigurationRun:
    """Run the playbook again and require zero changes, and that no handler is still to run.

    Raises:
        NotIdempotent: naming every host and task that changed something the second time.
        HandlersLost: naming every host and handler that was notified, in this run or before, and has not run.
    """
    run = _apply(environment, access, lock)
    if run.changed:
        offenders = "; ".join(f"{result.host}: {result.task}" for result in run.changed)
        raise NotIdempotent(
            f"the second run changed {len(run.changed)} things: {offenders}",
            where=environment.configuration.playbook,
            next_step="let these tasks report a change only when they make one (creates, changed_when, a module)",
            done=run,
        )
    require_all_run(open_handlers(environment.name, access.names), run, where=environment.configuration.playbook)
    return run


def _apply(environment: Environment, access: HostAccess, lock: HeldLock) -> ConfigurationRun:
    configurator = toolbox().configurator(environment, access)
    memory = HandlerMemory(environment.name, watch)
    lock.require_held()
    try:
        return configurator.apply(watch, memory.take)
    finally:
        memory.settle()


@task(name="check configuration", **READS)
@staged
def check_configuration(environment: Environment, access: HostAccess) -> LayerDrift:
    """What the playbook would change, in check mode, and the handlers that still have to run.

    What was seen before an error, and on other hosts, counts all the same: it is the error's `done`, a LayerDrift.
    """
    missing = open_handlers(environment.name, access.names)
    try:
        run = toolbox().configurator(environment, access).check(watch)
    except HoldtrueError as error:
        seen = done_before(error)
        begun = seen if isinstance(seen, ConfigurationRun) else None
        keep_done(error, configuration_drift(begun, missing, failure=redact_text(str(error))))
        raise
    return configuration_drift(run, missing)
