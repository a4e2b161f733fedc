"""References of every kind into the sandbox's Vault, under a login whose tokens live for seconds unless renewed."""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel, SecretStr

from holdtrue.credentials.aws import AssumedRole, KvAwsKeys, VaultAwsCredentials
from holdtrue.credentials.database import VaultDatabaseCredentials
from holdtrue.credentials.logins import AppRoleAuth
from holdtrue.credentials.pki import VaultPki
from holdtrue.credentials.pulumi import PulumiBackend
from holdtrue.credentials.scope import credential_scope
from holdtrue.credentials.sources import FileSource
from holdtrue.credentials.ssh import VaultSshCertificates
from holdtrue.credentials.transit import VaultTransit
from holdtrue.credentials.vault import VaultCredentials, VaultSecret
from sandbox import Sandbox
from sandbox.openbao import POLICY
from sandbox.postgres import SUPERUSER

NAME: Final = "held"
PATH: Final = "holdtrue/held"
RULES: Final = """
path "held-pki/issue/client" { capabilities = ["update"] }
path "held-pki/revoke"       { capabilities = ["update"] }
path "held-db/creds/reader"  { capabilities = ["read"] }
path "sys/leases/*"          { capabilities = ["update"] }
"""


class References(BaseModel):
    """One of each kind; as JSON they cross to another process."""

    vault: VaultCredentials
    secret: VaultSecret
    kv_keys: VaultAwsCredentials
    role_keys: VaultAwsCredentials
    ssh: VaultSshCertificates
    pki: VaultPki
    database: VaultDatabaseCredentials
    transit: VaultTransit
    pulumi: PulumiBackend
    ciphertext: str


@dataclass(frozen=True, slots=True)
class Held:
    """The references, and how to make the engines of one sandbox ready for them."""

    sandbox: Sandbox
    folder: Path

    def references(self, *, ttl_seconds: int, lease_seconds: int = 60) -> References:
        """Under a login of its own."""
        admin = self.sandbox.openbao.client()
        self._mount(lease_seconds)
        self.sandbox.openbao.write_policy(NAME, POLICY + RULES)
        admin.auth.approle.create_or_update_approle(
            NAME,
            token_policies=[NAME],
            token_no_default_policy=True,
            token_ttl=f"{ttl_seconds}s",
            token_max_ttl="10m",
        )
        secret_id = self.folder / "held-secret-id"
        secret_id.write_text(admin.auth.approle.generate_secret_id(NAME)["data"]["secret_id"])
        role_id = admin.auth.approle.read_role_id(NAME)["data"]["role_id"]
        vault = self._login(role_id, secret_id)
        transit = VaultTransit(vault=vault, key="pulumi")
        with credential_scope():
            ciphertext = transit.encrypt(SecretStr(f"plain-{secrets.token_hex(12)}"))
        keys = KvAwsKeys(path="holdtrue/aws")
        role = AssumedRole(role_arn="arn:aws:iam::123456789012:role/held", identity=keys)
        aws = {"vault": vault, "region": self.sandbox.aws.region, "endpoint_url": self.sandbox.aws.endpoint_url}
        return References(
            vault=vault,
            secret=VaultSecret(vault=vault, path=PATH, field="password"),
            kv_keys=VaultAwsCredentials.model_validate({**aws, "source": keys}),
            role_keys=VaultAwsCredentials.model_validate({**aws, "source": role}),
            ssh=VaultSshCertificates(vault=vault, role="deploy", principals=("deploy",), host_ca_mount="ssh-host"),
            pki=VaultPki(vault=vault, mount="held-pki", role="client", common_name="a.example.org"),
            database=VaultDatabaseCredentials(
                vault=vault,
                mount="held-db",
                role="reader",
                host="127.0.0.1",
                port=self.sandbox.postgres.port,
                database="postgres",
            ),
            transit=transit,
            pulumi=PulumiBackend(vault=vault, url="file:///tmp/none", secrets_provider="hashivault://pulumi"),
            ciphertext=ciphertext,
        )

    def sweeper(self) -> VaultCredentials:
        """The login of the sweep."""
        secret_id = self.folder / "sweeper-secret-id"
        secret_id.write_text(self.sandbox.openbao.sweep_role.secret_id.get_secret_value())
        return self._login(self.sandbox.openbao.sweep_role.role_id, secret_id)

    def _login(self, role_id: str, secret_id: Path) -> VaultCredentials:
        openbao = self.sandbox.openbao
        auth = AppRoleAuth(role_id=role_id, secret_id=FileSource(path=secret_id))
        return VaultCredentials(address=openbao.address, ca_file=openbao.ca_file, timeout_seconds=5, auth=auth)

    def _mount(self, lease_seconds: int) -> None:
        admin = self.sandbox.openbao.client()
        self.sandbox.openbao.write_secret(PATH, {"password": f"value-{secrets.token_hex(12)}"})
        mounted = admin.sys.list_mounted_secrets_engines()["data"]
        if "held-pki/" not in mounted:
            admin.sys.enable_secrets_engine("pki", path="held-pki")
            admin.write_data("held-pki/root/generate/internal", data={"common_name": "held", "ttl": "2h"})
            names = {"allowed_domains": "example.org", "allow_subdomains": True, "key_type": "ec", "key_bits": 256}
            admin.write_data("held-pki/roles/client", data=names)
        if "held-db/" not in mounted:
            admin.sys.enable_secrets_engine("database", path="held-db")
            server = f"127.0.0.1:{self.sandbox.postgres.port}/postgres?sslmode=disable"
            connection = {
                "plugin_name": "postgresql-database-plugin",
                "connection_url": f"postgresql://{{{{username}}}}:{{{{password}}}}@{server}",
                "username": SUPERUSER,
                "password": self.sandbox.postgres.password.get_secret_value(),
                "allowed_roles": "reader",
            }
            admin.write_data("held-db/config/postgres", data=connection)
        user = "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'"
        role = {
            "db_name": "postgres",
            "creation_statements": [user],
            "default_ttl": f"{lease_seconds}s",
            "max_ttl": "10m",
        }
        admin.write_data("held-db/roles/reader", data=role)
