"""The way to an environment's hosts."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache

from holdtrue.core.hosts import parse_hosts
from holdtrue.models.credentials import HostAccess
from holdtrue.models.environment import Environment
from holdtrue.models.host import Host
from holdtrue.models.stack import StackOutputs
from tasks.infrastructure import read_outputs
from tasks.journal import Journal, current_journal
from tasks.toolbox import toolbox


def hosts_of(journal: Journal) -> tuple[Host, ...]:
    """The hosts of the run, as far as it knows them."""
    return journal.result("hosts", tuple) or ()


@contextmanager
def host_access(environment: Environment, outputs: StackOutputs) -> Iterator[HostAccess]:
    """An agent with a certificate of this run; agent, connections and folder are gone when the block is left."""
    hosts = parse_hosts(outputs, environment.infrastructure.hosts_output)
    current_journal().results["hosts"] = hosts
    with toolbox().host_access(environment, hosts) as ssh:
        yield HostAccess(hosts=hosts, outputs=outputs, ssh=ssh)


@contextmanager
def host_access_on_demand(environment: Environment) -> Iterator[Callable[[], HostAccess]]:
    """A function that opens the access on its first call and returns the same one after that."""
    with ExitStack() as cleanup:

        @cache
        def open_access() -> HostAccess:
            return cleanup.enter_context(host_access(environment, read_outputs(environment)))

        yield open_access
