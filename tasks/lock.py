"""The environment's lock: held by every flow that writes, from before it looks until after it has written."""

from collections.abc import Iterator
from contextlib import contextmanager

from prefect import task

from holdtrue.credentials import environment_lock as locking
from holdtrue.credentials.environment_lock import HeldLock
from holdtrue.models.environment import Environment
from tasks.journal import staged, watch
from tasks.policy import MUTATES


@contextmanager
def environment_lock(environment: Environment) -> Iterator[HeldLock]:
    """Hold the environment; no other run of a flow that writes gets it until the block is left.

    Raises:
        EnvironmentLocked: another run held it for as long as `policy.lock_wait_seconds` lets this one wait.
    """
    lock = lock_environment(environment)
    try:
        yield lock
    finally:
        lock.release()


@task(name="lock environment", **MUTATES)  # Not retried: it has its own limit on waiting.
@staged
def lock_environment(environment: Environment) -> HeldLock:
    """Take the lock, or wait for it."""
    return locking.lock_environment(
        environment.name, wait_seconds=environment.policy.lock_wait_seconds, on_progress=watch
    )
