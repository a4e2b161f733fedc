"""Infrastructure: the program's own tests, preview, apply, and the read-only looks at a stack."""

from prefect import task

from holdtrue.core.drift import infrastructure_drift
from holdtrue.credentials.environment_lock import HeldLock
from holdtrue.models.drift import LayerDrift
from holdtrue.models.environment import Environment
from holdtrue.models.report import ProgramTests
from holdtrue.models.stack import ApplyResult, Plan, StackOutputs
from tasks.journal import staged, watch
from tasks.policy import MUTATES, READS
from tasks.toolbox import toolbox


@task(name="test program", **READS)
@staged
def test_program(environment: Environment) -> ProgramTests:
    """Run the program's own unit tests on synthesized resources, without credentials, before anything real."""
    return toolbox().program_tests(environment, watch)


@task(name="preview stack", **READS)
@staged
def preview_stack(environment: Environment) -> Plan:
    """Program against the refreshed state; changes nothing."""
    with toolbox().stack_engine(environment) as engine:
        return engine.preview(watch)


@task(name="apply stack", **MUTATES)
@staged
def apply_stack(environment: Environment, plan: Plan, lock: HeldLock) -> ApplyResult:
    """Carry out exactly the plan that was reviewed."""
    with toolbox().stack_engine(environment) as engine:
        lock.require_held()
        return engine.apply(plan, watch)


@task(name="refresh stack", **READS)
@staged
def refresh_stack(environment: Environment) -> LayerDrift:
    """Cloud against state, read-only."""
    with toolbox().stack_engine(environment) as engine:
        return infrastructure_drift(engine.detect(watch))


@task(name="read outputs", **READS)
@staged
def read_outputs(environment: Environment) -> StackOutputs:
    """The outputs of the last apply, read-only."""
    with toolbox().stack_engine(environment) as engine:
        return engine.outputs()
