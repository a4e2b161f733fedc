"""The sandbox's hosts as the library knows them, and a way to them with a certificate of the sandbox's authority."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from holdtrue.adapters.ssh import generate_key_pair, open_ssh_access, reach
from holdtrue.models.credentials import SshAccess, SshIdentity
from holdtrue.models.host import Host
from sandbox import Sandbox

_TTL_SECONDS = 600


def hosts_of(sandbox: Sandbox) -> list[Host]:
    return [
        Host(
            name=host.name,
            address=host.address,
            port=host.port,
            user=host.user,
            variables={"root": str(host.root), "http_port": host.http_port, "ansible_python_interpreter": host.python},
        )
        for host in sandbox.hosts
    ]


@contextmanager
def access_to(sandbox: Sandbox, hosts: Sequence[Host]) -> Iterator[SshAccess]:
    private_key, public_key = generate_key_pair()
    identity = SshIdentity(
        private_key=private_key,
        certificate=sandbox.openbao.sign_user_key(public_key, ttl_seconds=_TTL_SECONDS),
        principals=("deploy",),
        expires_at=datetime.now(UTC) + timedelta(seconds=_TTL_SECONDS),
    )
    with open_ssh_access(hosts, identity, [sandbox.hosts[0].host_ca_line]) as opened:
        reach(opened, hosts, 30)
        yield opened
