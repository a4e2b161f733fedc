"""The net against real tools: what they print, how they quote, and what their libraries log."""

import base64
import json
import logging
import os
import re
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import boto3
import httpx
import hvac
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from pydantic import SecretStr

from holdtrue.adapters.program_tests import run_program_tests
from holdtrue.core.forms import MINIMUM_LENGTH, REPLACEMENT
from holdtrue.core.leaks import NeedleIndex
from holdtrue.core.redaction import redact
from holdtrue.errors import ProgramTestsFailed
from holdtrue.models.base import Progress
from holdtrue.models.leak import KnownValue
from holdtrue.runtime.log_guard import guard_logging
from holdtrue.runtime.process import ToolRun, ToolTimeout, run_tool, tool_environment
from holdtrue.runtime.redaction import SECRETS, register_secret
from holdtrue.runtime.scrubbing import scrubbed
from sandbox import Sandbox

VALUE = "s3cr3t-canary/value+é"
QUOTED = 's3cr3t "it\'s" $(value) `x` \\ #~!é'


@pytest.fixture
def known() -> Iterator[None]:
    guard_logging()
    with SECRETS.open():
        register_secret(SecretStr(VALUE), name="canary")
        yield


def run(script: str, folder: Path, *, timeout_seconds: float = 20.0) -> ToolRun:
    return run_tool(
        [sys.executable, "-c", script],
        environment=tool_environment({"VALUE": VALUE}),
        folder=folder,
        on_line=lambda _: None,
        timeout_seconds=timeout_seconds,
        grace_seconds=0.1,
    )


@pytest.mark.usefixtures("known")
def test_the_tail_of_a_tool_that_writes_a_byte_at_a_time(tmp_path: Path) -> None:
    ended = run(
        "import os, time\n"
        "for byte in f'before {os.environ[\"VALUE\"]} after\\n'.encode():\n"
        "    os.write(2, bytes([byte]))\n"
        "    time.sleep(0.002)\n",
        tmp_path,
    )
    assert ended.error_tail == f"before {REPLACEMENT} after"


def test_positive_control_an_unknown_value_is_in_the_tail(tmp_path: Path) -> None:
    assert run("import os; os.write(2, os.environ['VALUE'].encode())", tmp_path).error_tail == VALUE


def test_a_secret_of_short_lines_and_one_in_a_line_beyond_the_limit(tmp_path: Path) -> None:
    short = "ab1\ncd2\nef3\ngh4"
    with SECRETS.open():
        register_secret(SecretStr(short), name="short lines")
        ended = run(f"import os; os.write(2, b'x\\n' + {short!r}.encode() + b'\\ny\\n')", tmp_path)
        assert ended.error_tail == f"x\n{REPLACEMENT}\ny"
        register_secret(SecretStr(VALUE), name="canary")
        # Whatever the reader cuts at 1 Mi characters, and in chunks of 64 KiB, falls into a secret somewhere.
        ended = run("import os, sys; sys.stderr.write(os.environ['VALUE'] * 60_000)", tmp_path)
        assert VALUE[:MINIMUM_LENGTH] not in ended.error_tail
        assert ended.error_tail.replace("\n", "") == REPLACEMENT * 60_000


@pytest.mark.usefixtures("known")
def test_a_timeout_does_not_show_the_command_line(tmp_path: Path) -> None:
    with pytest.raises(ToolTimeout) as stopped:
        run(f"import time; time.sleep(60) # {VALUE}", tmp_path, timeout_seconds=0.3)
    assert VALUE not in str(stopped.value)


@pytest.mark.usefixtures("known")
def test_a_failed_assertion_that_shows_it(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_leak.py").write_text(
        f"import pytest\nTOKEN = {VALUE!r}\n"
        "def test_a():\n    assert TOKEN == 'x'\n"
        "@pytest.mark.parametrize('token', [TOKEN])\ndef test_b(token):\n    raise RuntimeError({'token': token})\n"
    )
    lines: list[Progress] = []
    with pytest.raises(ProgramTestsFailed) as failed:
        run_program_tests(tmp_path / "tests", project=tmp_path, timeout_seconds=30, on_progress=lines.append)

    shown = str(failed.value) + repr(lines)
    assert f"assert '{REPLACEMENT}' == 'x'" in shown
    assert VALUE not in shown
    assert VALUE.encode("unicode_escape").decode() not in shown, "as pytest names a case"


FORMS = "*&=<b>Kq7+/it's\"\\Wx4 é"


def is_found(shown: str, secret: str) -> bool:
    """By redaction and by `holdtrue leaks`."""
    index = NeedleIndex([KnownValue(name="it", value=SecretStr(secret))])
    return REPLACEMENT in redact(shown, [secret]) and index.holds_any(shown.encode())


def test_as_openbao_writes_json_within_json(sandbox: Sandbox) -> None:
    client = sandbox.openbao.client()
    trusted = ssl.create_default_context(cafile=sandbox.openbao.ca_file)

    def stored(value: str) -> str:
        path = "secret/data/forms"
        client.write_data(path, data={"data": {"value": value}})
        address, headers = f"{sandbox.openbao.address}/v1/{path}", {"X-Vault-Token": client.token}
        return httpx.get(address, headers=headers, verify=trusted).text

    once = stored(FORMS)
    twice = stored(once)

    assert r"\u003cb\u003eKq7" in once, "positive control: Go's JSON"
    assert r"\\u003cb\\u003eKq7" in twice, "positive control: Go's JSON in Go's JSON"
    for shown in (once, twice):
        assert is_found(shown, FORMS)
        assert "Kq7" not in redact(shown, [FORMS])
    assert not is_found(twice, FORMS[::-1])


def test_as_httpx_logs_an_address_with_a_password(echo: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    address = httpx.URL(echo, username="app", password=FORMS)
    with httpx.Client() as client:
        client.get(address, headers={"Referer": str(address)})

    shown = str(address)
    assert "*&%3D" in shown, "positive control: httpx quotes some of it"
    assert is_found(shown, FORMS)
    assert "Kq7" not in redact(shown + caplog.text, [FORMS])


@pytest.mark.parametrize("form", ["%q", "%s"])
def test_as_bash_quotes(form: str) -> None:
    shown = subprocess.run(
        ["bash", "-c", f"printf '{form}' \"$1\"", "bash", QUOTED], capture_output=True, text=True, check=True
    ).stdout
    assert redact(f"<{shown}>", [QUOTED]).replace("\\", "") == f"<{REPLACEMENT}>"


def test_as_bash_traces() -> None:
    shown = subprocess.run(
        ["bash", "-c", 'set -x; true "$1"', "bash", QUOTED], capture_output=True, text=True, check=True
    ).stderr
    assert redact(shown, [QUOTED]) == f"+ true '{REPLACEMENT}'\n"


def test_as_base64_prints(tmp_path: Path) -> None:
    key = "".join(f"line {number} of a long secret\n" for number in range(20))
    (tmp_path / "key").write_text(key)
    encoded = subprocess.run(["base64", "key"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    lines = encoded.splitlines()

    assert len(lines) > 5
    # The end of the last group belongs to whatever follows.
    assert [line for line in redact(encoded, [key]).splitlines() if line in lines] == []


@pytest.mark.parametrize("shift", range(0, 76, 5))
@pytest.mark.parametrize("command", ["env | base64", "env | base64 -w 64", "env | openssl base64"])
def test_as_base64_prints_a_text_that_holds_it(command: str, shift: int) -> None:
    environment = {"PATH": os.environ["PATH"], "A": "x" * shift, "PASSWORD": VALUE, "Z": "z" * 100}
    shown, plain = (
        subprocess.run(["sh", "-c", script], env=environment, capture_output=True, check=True).stdout.decode()
        for script in (command, "env")
    )
    whole = "".join(shown.splitlines())
    assert base64.b64decode(whole).decode() == plain, "positive control"
    at = plain.encode().index(VALUE.encode())
    groups = whole[-(-at // 3) * 4 : (at + len(VALUE.encode())) // 3 * 4]

    for text in (shown, json.dumps(shown), json.dumps(json.dumps(shown))):
        left = re.sub(r"\s|\\+n", "", redact(text, [VALUE]))
        assert REPLACEMENT in left
        assert not any(groups[index : index + MINIMUM_LENGTH] in left for index in range(len(groups) - MINIMUM_LENGTH))


class _Echo(BaseHTTPRequestHandler):
    """Refuses every request and repeats it."""

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        body = f'{{"errors": ["{VALUE}"]}}'.encode()
        self.send_response(403)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.send_header("x-echo", base64.b64encode(VALUE.encode()).decode())
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - the name that the base class looks for

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def echo() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Echo) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def ask(url: str) -> list[BaseException]:
    """One refused request by each library, all of them logging what they do."""
    errors: list[BaseException] = []
    client = boto3.client(
        "ssm",
        endpoint_url=url,
        region_name="eu-central-1",
        aws_access_key_id="AKIA" + "X" * 16,
        aws_secret_access_key=VALUE,
        config=Config(retries={"total_max_attempts": 1}),
    )
    vault = hvac.Client(url=url, token="t")
    with httpx.Client(params={"token": VALUE}) as plain:
        for request in (
            lambda: client.put_parameter(Name="n", Value=VALUE, Type="String"),
            lambda: vault.adapter.get(f"/v1/secret/{VALUE}"),
            lambda: plain.get(url).raise_for_status(),
        ):
            with pytest.raises((ClientError, hvac.exceptions.VaultError, httpx.HTTPError)) as refused:
                request()
            errors.append(refused.value)
    client.close()
    vault.adapter.close()
    return errors


@pytest.mark.parametrize("registered", [True, False])
def test_what_libraries_log_at_debug_level(
    registered: bool,  # noqa: FBT001 - a parameter of the test
    echo: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    guard_logging()
    caplog.set_level(logging.DEBUG)
    with SECRETS.open():
        if registered:
            register_secret(SecretStr(VALUE), name="canary")
        errors = [scrubbed(error) for error in ask(echo)]

    assert {record.name.partition(".")[0] for record in caplog.records} >= {"botocore", "urllib3", "httpx"}
    shown = caplog.text + "".join(f"{error} {error!r} {error.args}" for error in errors)
    assert (redact(shown, [VALUE]) == shown) is registered
