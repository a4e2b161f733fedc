"""The sandbox: its services started beside each other, wired to each other, and stopped in reverse order."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self, TypeVar

from sandbox.aws import MotoAws
from sandbox.errors import SandboxError
from sandbox.guardian import MARKER_VARIABLE, private_folders
from sandbox.hosts import RootlessHost, SshHost
from sandbox.isolated import HostNetwork, IsolatedHost, require_root
from sandbox.load_balancer import BackendServer, LoadBalancer
from sandbox.openbao import OpenBao
from sandbox.options import HostKind, SandboxOptions, Service
from sandbox.orchestrator import PrefectServer, PrefectWorker
from sandbox.osv import OsvServer, write_dump
from sandbox.otlp import OtlpSink
from sandbox.postgres import Postgres
from sandbox.workplace import Workplace

AWS_SECRET_PATH = "holdtrue/aws"  # noqa: S105 - where the secret is, not what it is
OSV_DUMP = "advisories.jsonl"
THREADS = 4

Part = TypeVar("Part")


class Sandbox:
    """Services that live as long as the `with` block, or as the process if that ends first.

    Every service's property raises SandboxError when the service was left out or the sandbox is not running.

    Attributes:
        options: What was asked for.
    """

    def __init__(self, options: SandboxOptions | None = None) -> None:
        self.options = options or SandboxOptions()
        self._workplace: Workplace | None = None
        self._start_seconds: dict[Service, float] = {}
        self._openbao: OpenBao | None = None
        self._aws: MotoAws | None = None
        self._hosts: tuple[SshHost, ...] | None = None
        self._load_balancer: LoadBalancer | None = None
        self._otlp: OtlpSink | None = None
        self._osv: OsvServer | None = None
        self._postgres: Postgres | None = None
        self._prefect: PrefectServer | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start every chosen service and return when all answer.

        Raises:
            SandboxError: One did not start; nothing of the sandbox is left then.
        """
        if self._chosen(Service.HOSTS) and self.options.hosts is HostKind.ISOLATED:
            require_root()
        self._workplace = Workplace()
        try:
            with ThreadPoolExecutor(THREADS) as pool:
                self._start_services(self._workplace, pool)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop everything in reverse order and remove the directory; harmless when done twice.

        Raises:
            SandboxError: Something could not be removed.
        """
        if self._workplace is None:
            return
        workplace, self._workplace = self._workplace, None
        try:
            if self._load_balancer is not None:
                self._load_balancer.close()
            for receiver in (self._osv, self._otlp):
                if receiver is not None:
                    receiver.stop()
            for host in self._hosts or ():
                host.stop()
            if self._postgres is not None:
                self._postgres.stop()
        finally:
            workplace.close()
            self._openbao = self._aws = self._hosts = self._load_balancer = None
            self._otlp = self._osv = self._postgres = self._prefect = None

    def restore(self) -> None:
        """Undo what a test did: pausing, stopping, sealing, weighting, sending spans, leaving things in a host.

        Resources in AWS and Prefect and secrets in OpenBao stay. A stopped AWS, OSV or OTLP service stays stopped.
        """
        if self._openbao is not None:
            self._openbao.resume()
            self._openbao.start()
            self._openbao.unseal()
        if self._aws is not None:
            self._aws.resume()
        for host in self._hosts or ():
            host.resume()
            host.start()
            host.wipe()
        if self._load_balancer is not None:
            self._load_balancer.reset()
        if self._postgres is not None:
            self._postgres.resume()
            self._postgres.start()
        if self._prefect is not None:
            self._prefect.resume()
            self._prefect.start()
        for receiver in (self._otlp, self._osv):
            if receiver is not None:
                receiver.clear()

    def start_worker(self, *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> PrefectWorker:
        """Start a process worker of the pool `holdtrue`.

        Args:
            env: Added to `environment()`.
            cwd: Where it works, the current directory by default; a flow run goes where its pull step says.
        """
        return self.prefect.start_worker(env=self.environment() | dict(env or {}), cwd=cwd or Path.cwd())

    def environment(self) -> dict[str, str]:
        """Return the variables that make a worker, a tool or an in-process flow use this sandbox; one is a secret."""
        base = self._running().environment()
        kept = (MARKER_VARIABLE, "PATH", "TMPDIR", "HOLDTRUE_PRIVATE_FOLDERS", "NO_PROXY", "no_proxy")
        variables = {name: base[name] for name in kept}
        if self._prefect is not None:
            variables |= self._prefect.environment()
        if self._openbao is not None:
            variables["HOLDTRUE_VAULT_SECRET_ID"] = self._openbao.secret_id.get_secret_value()
            variables["HOLDTRUE_SWEEP_SECRET_ID"] = self._openbao.sweep_role.secret_id.get_secret_value()
        if self._osv is not None:
            variables |= {
                "HOLDTRUE_AUDIT_SOURCES": '["osv", "osv-db"]',
                "HOLDTRUE_OSV_URL": self._osv.url,
                "HOLDTRUE_OSV_DB": str(self.directory / OSV_DUMP),
                "HOLDTRUE_CACHE": str(self.directory / "cache"),
            }
        if self._otlp is not None:
            variables |= {
                "OTEL_EXPORTER_OTLP_ENDPOINT": self._otlp.endpoint,
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
                "OTEL_TRACES_EXPORTER": "otlp",
                "OTEL_METRICS_EXPORTER": "none",
                "OTEL_LOGS_EXPORTER": "none",
                "OTEL_SERVICE_NAME": "holdtrue",
            }
        return variables

    @property
    def marker(self) -> str:
        """The value of `HOLDTRUE_SANDBOX` in every process of the sandbox."""
        return self._running().marker

    @property
    def directory(self) -> Path:
        """The one directory (mode 0700) that everything is in; short enough for unix sockets below it."""
        return self._running().directory

    @property
    def log_directory(self) -> Path:
        """Where each service and worker writes `NAME.log`."""
        return self._running().log_directory

    @property
    def private_folders(self) -> Path:
        """The folder (mode 0700), in memory where the machine has it, of the private folders of all runs in here."""
        return private_folders(self.directory)

    @property
    def state_directory(self) -> Path:
        """An empty directory for a Pulumi file backend."""
        return self.directory / "state"

    @property
    def state_url(self) -> str:
        """The state directory as Pulumi's backend URL."""
        return self.state_directory.as_uri()

    @property
    def start_seconds(self) -> Mapping[Service, float]:
        """How long each service took to start, beside the others."""
        return MappingProxyType(self._start_seconds)

    @property
    def openbao(self) -> OpenBao:
        """The Vault API server."""
        return _present(self._openbao, Service.OPENBAO)

    @property
    def aws(self) -> MotoAws:
        """The AWS API server."""
        return _present(self._aws, Service.AWS)

    @property
    def hosts(self) -> tuple[SshHost, ...]:
        """The SSH hosts, `web-1` first."""
        return _present(self._hosts, Service.HOSTS)

    @property
    def load_balancer(self) -> LoadBalancer:
        """HAProxy."""
        return _present(self._load_balancer, Service.LOAD_BALANCER)

    @property
    def otlp(self) -> OtlpSink:
        """The trace receiver."""
        return _present(self._otlp, Service.OTLP)

    @property
    def osv(self) -> OsvServer:
        """The advisory server."""
        return _present(self._osv, Service.OSV)

    @property
    def postgres(self) -> Postgres:
        """The database server."""
        return _present(self._postgres, Service.POSTGRES)

    @property
    def prefect(self) -> PrefectServer:
        """The Prefect server."""
        return _present(self._prefect, Service.PREFECT)

    def _start_services(self, workplace: Workplace, pool: ThreadPoolExecutor) -> None:
        """Start the slow services in threads and the others, which need each other, here."""
        slow = {Service.PREFECT: self._start_prefect, Service.AWS: self._start_aws}
        try:
            futures = {
                service: pool.submit(self._timed, service, start, workplace)
                for service, start in slow.items()
                if self._chosen(service)
            }
            for service, start in (
                (Service.OTLP, self._start_otlp),
                (Service.OSV, self._start_osv),
                (Service.POSTGRES, self._start_postgres),
                (Service.OPENBAO, self._start_openbao),
                (Service.HOSTS, self._start_hosts),
                (Service.LOAD_BALANCER, self._start_load_balancer),
            ):
                if self._chosen(service):
                    self._timed(service, start, workplace)
            if Service.AWS in futures:
                futures[Service.AWS].result()
                self._wire(self.aws)
            for future in futures.values():
                future.result()
        except BaseException:
            # The threads wait for processes: without those they end at once.
            workplace.halt()
            raise

    def _timed(self, service: Service, start: Callable[[Workplace], None], workplace: Workplace) -> None:
        began = time.monotonic()
        start(workplace)
        self._start_seconds[service] = time.monotonic() - began

    def _start_prefect(self, workplace: Workplace) -> None:
        self._prefect = PrefectServer(workplace)

    def _start_aws(self, workplace: Workplace) -> None:
        self._aws = MotoAws(workplace)

    def _start_otlp(self, workplace: Workplace) -> None:
        self._otlp = OtlpSink(workplace.free_port())

    def _start_osv(self, workplace: Workplace) -> None:
        self._osv = OsvServer(workplace.free_port())
        write_dump(workplace.directory / OSV_DUMP)

    def _start_postgres(self, workplace: Workplace) -> None:
        self._postgres = Postgres(workplace)

    def _start_openbao(self, workplace: Workplace) -> None:
        self._openbao = OpenBao(workplace, durable=self.options.durable_vault)

    def _start_hosts(self, workplace: Workplace) -> None:
        vault = self.openbao
        numbers = range(1, self.options.host_count + 1)
        if self.options.hosts is HostKind.ROOTLESS:
            self._hosts = tuple(RootlessHost(workplace, vault, number) for number in numbers)
        else:
            network = HostNetwork(workplace)
            self._hosts = tuple(IsolatedHost(workplace, vault, network, number) for number in numbers)

    def _start_load_balancer(self, workplace: Workplace) -> None:
        servers = [BackendServer(host.name, host.address, host.http_port) for host in self._hosts or ()]
        self._load_balancer = LoadBalancer(workplace, servers)

    def _wire(self, aws: MotoAws) -> None:
        """Write to each service what is known only when the others run."""
        if self._openbao is not None:
            pair = {
                "access_key_id": aws.access_key_id,
                "secret_access_key": aws.secret_access_key.get_secret_value(),
            }
            self._openbao.write_secret(AWS_SECRET_PATH, pair)
        if self._hosts is not None:
            aws.register_hosts([host.registration() for host in self._hosts])
        if self._load_balancer is not None:
            aws.register_load_balancer(socket=str(self._load_balancer.socket_path), url=self._load_balancer.url)

    def _chosen(self, service: Service) -> bool:
        return service in self.options.services

    def _running(self) -> Workplace:
        if self._workplace is None:
            raise SandboxError("The sandbox is not running: use it as `with Sandbox(...) as sandbox:`.")
        return self._workplace


def _present(part: Part | None, service: Service) -> Part:
    if part is None:
        raise SandboxError(f"{service} does not run here: add Service.{service.name} to the sandbox's services.")
    return part
