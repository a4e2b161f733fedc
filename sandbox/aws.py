"""moto as AWS, with authentication enforced, and the machine registry that an ordinary program reads."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import boto3
from botocore.config import Config
from pydantic import SecretStr

from sandbox.daemon import accepts_connections
from sandbox.workplace import Workplace

REGION = "eu-central-1"
START_SECONDS = 60.0
# Requests that moto lets through unauthenticated: create_user, put_user_policy, create_access_key.
BOOTSTRAP_REQUESTS = 3
ADMINISTRATOR = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
HOSTS_PARAMETER = "/registry/hosts"
LOAD_BALANCER_PARAMETER = "/registry/load-balancer"


@dataclass(frozen=True, slots=True)
class RegisteredHost:
    """One entry of the registry's list of machines."""

    name: str
    address: str
    port: int
    user: str
    http_port: int
    root: str
    python: str


class MotoAws:
    """The server, and the access key of its one user.

    Attributes:
        endpoint_url: What boto3 and Pulumi take as the endpoint of every service.
        region: The region in which the registry is.
        access_key_id: Half of the only key pair that is accepted.
        secret_access_key: The other half.
    """

    region = REGION

    def __init__(self, workplace: Workplace) -> None:
        port = workplace.free_port()
        self.endpoint_url = f"http://127.0.0.1:{port}"
        self._daemon = workplace.launch(
            "aws",
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            env={"INITIAL_NO_AUTH_ACTION_COUNT": str(BOOTSTRAP_REQUESTS)},
        )
        self._daemon.wait_ready(lambda: accepts_connections("127.0.0.1", port), START_SECONDS)
        self.access_key_id, self.secret_access_key = self._make_user()

    def client(
        self, service: str, *, access_key_id: str | None = None, secret_access_key: SecretStr | None = None
    ) -> Any:
        """Return a boto3 client of any service, with the good key pair unless another is given."""
        session = boto3.Session(
            aws_access_key_id=access_key_id or self.access_key_id,
            aws_secret_access_key=(secret_access_key or self.secret_access_key).get_secret_value(),
            region_name=REGION,
        )
        # One attempt: a retry would use up the requests that need no authentication.
        config = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=60, proxies={})
        make_client: Callable[..., Any] = session.client
        return make_client(service, endpoint_url=self.endpoint_url, config=config)

    def register_hosts(self, hosts: Sequence[RegisteredHost]) -> None:
        """Write the list of machines to the parameter `/registry/hosts`."""
        self._put(HOSTS_PARAMETER, [asdict(host) for host in hosts])

    def register_load_balancer(self, *, socket: str, url: str) -> None:
        """Write where the load balancer is to the parameter `/registry/load-balancer`."""
        self._put(LOAD_BALANCER_PARAMETER, {"socket": socket, "url": url})

    def pause(self) -> None:
        """Make the server hang: connections are accepted and never answered."""
        self._daemon.pause()

    def resume(self) -> None:
        """Let a paused server answer again."""
        self._daemon.resume()

    def stop(self) -> None:
        """End the server: connections are refused, and its resources are lost."""
        self._daemon.stop()

    def _put(self, name: str, value: object) -> None:
        self.client("ssm").put_parameter(Name=name, Value=json.dumps(value), Type="String", Overwrite=True)

    def _make_user(self) -> tuple[str, SecretStr]:
        iam = self.client("iam", access_key_id="bootstrap", secret_access_key=SecretStr("bootstrap"))
        iam.create_user(UserName="holdtrue")
        iam.put_user_policy(UserName="holdtrue", PolicyName="administrator", PolicyDocument=json.dumps(ADMINISTRATOR))
        pair = iam.create_access_key(UserName="holdtrue")["AccessKey"]
        return pair["AccessKeyId"], SecretStr(pair["SecretAccessKey"])
