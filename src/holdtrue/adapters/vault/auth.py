"""The logins, as they are at the moment of logging in: with their secrets, in memory only."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr


@dataclass(frozen=True, slots=True)
class AppRole:
    """A machine: a public role id and a secret id that its host keeps."""

    role_id: str
    secret_id: SecretStr
    mount: str = "approle"
    """Path that the auth method is enabled at, without the leading `auth/`; so in all of these."""


@dataclass(frozen=True, slots=True)
class Jwt:
    """A workload with a JWT of its identity provider."""

    role: str
    token: SecretStr
    mount: str = "jwt"


@dataclass(frozen=True, slots=True)
class Kubernetes:
    """A pod with the token of its service account."""

    role: str
    token: SecretStr
    mount: str = "kubernetes"


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A holder of a TLS client certificate."""

    certificate_file: Path
    key_file: Path
    role: str = ""
    """Name of the certificate role; empty lets the server try all."""
    mount: str = "cert"


@dataclass(frozen=True, slots=True)
class Userpass:
    """A user with a password."""

    username: str
    password: SecretStr
    mount: str = "userpass"


@dataclass(frozen=True, slots=True)
class AwsIam:
    """A holder of AWS keys, who proves it by a signed request to STS that the server sends on."""

    role: str
    access_key_id: str
    secret_access_key: SecretStr
    session_token: SecretStr | None
    region: str
    server_id_header: str = ""
    mount: str = "aws"


@dataclass(frozen=True, slots=True)
class Token:
    """A token that somebody else made."""

    token: SecretStr


VaultAuth = AppRole | Jwt | Kubernetes | ClientCertificate | Userpass | AwsIam | Token
"""The closed set. A further one is a dataclass here and a case in `login`."""


def login_path(auth: VaultAuth) -> str:
    """API path of the login, as Vault's audit log has it."""
    match auth:
        case Token():
            return "auth/token/lookup-self"
        case Userpass():
            return f"auth/{auth.mount}/login/{auth.username}"
        case _:
            return f"auth/{auth.mount}/login"
