"""The logins, as they are at the moment of logging in: with their secrets, in memory only."""

from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

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


def login_advice(auth: VaultAuth) -> str:
    """What to do when the server refuses this login, as far as its own answer does not say; empty where it does."""
    match auth:
        case Jwt(role=role, mount=mount):
            return (
                "put a fresh JWT where the block's token points; its issuer, audience, subject and claims have to be "
                f"those of `vault read auth/{mount}/config` and `vault read auth/{mount}/role/{role}`."
            )
        case Kubernetes(role=role, mount=mount):
            return (
                f"`vault read auth/{mount}/role/{role}` has to name the pod's service account, namespace and audience; "
                "Vault answers alike when Kubernetes refuses the token and when Vault cannot ask Kubernetes, and only "
                "its log (level debug) tells which."
            )
        case ClientCertificate(role=role, mount=mount):
            return (
                "put a certificate that is valid now where the block's certificate_file points, with a name and a CA "
                f"that `vault read auth/{mount}/certs/{role or '<role>'}` admits."
            )
        case AwsIam(role=role, mount=mount):
            return (
                f"`vault read auth/{mount}/role/{role}` has to be bound to the worker's AWS identity, and region and "
                f"server_id_header of the block have to be those of `vault read auth/{mount}/config/client`."
            )
        case AppRole() | Userpass() | Token():
            return ""
        case _:
            assert_never(auth)
