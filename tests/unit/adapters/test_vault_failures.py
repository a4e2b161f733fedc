"""The rows of the translation that no healthy server can be brought to answer."""

import ssl
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from hvac import exceptions
from pydantic import SecretStr

from holdtrue.adapters.vault import VaultServer
from holdtrue.adapters.vault.failures import Call, translate
from holdtrue.errors import HoldtrueError, RejectedError, ResourceMissing, ServiceNotReady, ServiceUnreachable

SERVER = VaultServer(address="https://vault.example.org:8200", namespace="team", ca_file=Path("ca.pem"))
CALL = Call("read the secret", "kv/team/data/app", "read")


def _wrapped(inner: Exception, outer: Exception) -> Exception:
    """As requests wraps what urllib3 raised."""
    try:
        raise outer from inner
    except type(outer) as error:
        return error


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (exceptions.InternalServerError("internal error"), ServiceNotReady),
        (exceptions.BadGateway("<html>"), ServiceNotReady),
        (exceptions.VaultNotInitialized("not initialized"), ServiceNotReady),
        (exceptions.UnexpectedError("504 from a load balancer", text="504"), ServiceNotReady),
        (exceptions.UnexpectedError(errors=["1 error occurred: * unsupported operation"]), ResourceMissing),
        (exceptions.InvalidRequest(errors=["something new"]), RejectedError),
        (requests.exceptions.ChunkedEncodingError("cut off"), ServiceUnreachable),
        (requests.exceptions.ProxyError("no proxy"), ServiceUnreachable),
        (requests.exceptions.TooManyRedirects("a loop"), RejectedError),
        (_wrapped(ssl.SSLEOFError(8, "EOF"), requests.exceptions.SSLError("EOF")), ServiceUnreachable),
        (requests.exceptions.SSLError("nothing below"), RejectedError),
    ],
)
def test_each_failure_has_its_place_in_the_tree(raised: Exception, kind: type[HoldtrueError]) -> None:
    with pytest.raises(HoldtrueError) as caught, translate(SERVER, CALL):
        raise raised
    assert type(caught.value) is kind
    assert caught.value.__cause__ is raised
    assert "mount kv/team, path kv/team/data/app" in caught.value.where
    assert "namespace team" in caught.value.where
    assert caught.value.next_step


def test_what_vault_quotes_back_is_blanked_out_and_cut() -> None:
    secret = SecretStr("hvs.a-token-that-must-not-show")
    said = f"odd input {secret.get_secret_value()}\nand so on " * 50
    with pytest.raises(RejectedError) as caught, translate(SERVER, CALL, secrets=(secret,)):
        raise exceptions.InvalidRequest(errors=[said])
    assert "odd input" in str(caught.value)
    assert secret.get_secret_value() not in str(caught.value)
    assert len(caught.value.what) < 500


def test_what_is_not_about_the_call_passes_unchanged() -> None:
    for error in (KeyError("mine"), ResourceMissing("mine"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught, translate(SERVER, CALL):
            raise error
        assert caught.value is error


def test_importing_the_adapters_does_not_pay_for_their_sdks() -> None:
    program = "import sys, holdtrue.adapters.vault, holdtrue.adapters.aws; print({'hvac', 'boto3'} & set(sys.modules))"
    answer = subprocess.run((sys.executable, "-c", program), capture_output=True, text=True, check=True, timeout=30)
    assert answer.stdout.strip() == "set()"
