"""No secret that passes a block or a flow comes to rest anywhere, whatever fails; one that is let out is found."""

import json
import os
import re
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import SecretStr

from blocks.aws import VaultAwsCredentials
from blocks.database import VaultDatabaseCredentials
from blocks.pki import VaultPki
from blocks.transit import VaultTransit
from blocks.vault import VaultCredentials, VaultSecret
from holdtrue.adapters.leaks import search
from holdtrue.credentials.aws import KvAwsKeys
from holdtrue.credentials.scope import credential_scope
from holdtrue.models.leak import Database, Files, Form, KnownValue, LeakReport, PrefectApi
from sandbox import Sandbox
from sandbox.deployment import flow_environment
from sandbox.postgres import SUPERUSER
from tests.integration.canary_flows import CONTROL, DUMP, ENVIRONMENT
from tests.integration.flow_stage import Fleet, Stage

RUN_SECONDS: Final = 400.0
ARRIVAL_SECONDS: Final = 30.0
"""The Prefect server writes events some seconds after it got them."""

SAMPLE_SECONDS: Final = 0.05
CONTROL_NAME: Final = "let out on purpose"
MARKERS: Final = tuple(f"{DUMP} {program}" for program in ("test", "program", "playbook", "check"))
"""What the hostile programs of the fleet print in front of all that they were given."""


@dataclass(frozen=True, slots=True)
class Planted:
    """What was put where the blocks fetch it; known here without asking what a run has registered."""

    ciphertext: str
    values: dict[str, str]
    """Text by name."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the two runs left, and what a search for all their secrets found."""

    ends: dict[str, str]
    searched_for: frozenset[str]
    """Names of the values."""
    report: LeakReport
    log: str
    """What the process of the clean runs wrote to its terminal."""


@contextmanager
def sampled(kept: dict[str, bytes], private_folders: Path) -> Iterator[None]:
    """Keep every command line and every file of a private folder that there is meanwhile, each once."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(SAMPLE_SECONDS):
            for name, path in sources(private_folders):
                with suppress(OSError):
                    content = path.read_bytes() if path.is_file() else b""
                    kept[f"{name}-{sha256(content).hexdigest()}"] = content

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def sources(private_folders: Path) -> list[tuple[str, Path]]:
    """Where to look now; what goes meanwhile is left out.

    The command lines are those of all processes: one that got a secret may have lost the marker of the sandbox, and one
    of another run cannot hold the values that are searched for.
    """
    found = [("command-line", path) for path in Path("/proc").glob("[0-9]*/cmdline")]
    for folder in private_folders.iterdir():
        for parent, _, names in os.walk(folder):
            found += [(folder.name.rpartition("-")[0], Path(parent, name)) for name in names]
    return found


def run_canary(mode: str, sandbox: Sandbox, fleet: Fleet, log: Path, **variables: str) -> dict[str, Any]:
    """Run the canary's flows in a process at level DEBUG, whose output goes to `log`."""
    result = os.memfd_create("canary")
    environment = flow_environment(sandbox) | {
        "HOLDTRUE_FLEET": str(fleet.root),
        "CANARY_TEMPLATE": str(fleet.template),
        "CANARY_RESULT": str(result),
        "PREFECT_LOGGING_LEVEL": "DEBUG",
        "PREFECT_LOGGING_ROOT_LEVEL": "DEBUG",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "some.library,botocore,urllib3,hvac,httpx,asyncssh,holdtrue",
        **variables,
    }
    with log.open("wb") as output:
        subprocess.run(
            (sys.executable, "-m", "tests.integration.canary_flows", mode),
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=True,
            pass_fds=(result,),
            timeout=RUN_SECONDS,
        )
    with os.fdopen(result, "rb") as answer:
        answer.seek(0)
        found: dict[str, Any] = json.loads(answer.read())
        return found


@pytest.fixture(scope="module")
def canary_fleet(joined_stage: Stage) -> Fleet:
    """A copy of `tiny` with a stack of its own."""
    fleet = joined_stage.fleet
    template = Fleet(root=fleet.template, template=fleet.template)
    manifest = (fleet.template / "environments/tiny.yaml").read_text()
    template.write(f"environments/{ENVIRONMENT}.yaml", re.sub(r"(name|stack): tiny", rf"\1: {ENVIRONMENT}", manifest))
    fleet.reset()
    return fleet


@pytest.fixture(scope="module")
def planted(sandbox: Sandbox) -> Planted:
    """A block of each kind that the example fleet has none of, and what they point at."""
    password = f"pa ss/{secrets.token_hex(12)}\n+{secrets.token_hex(6)}"
    plaintext = f"plain {secrets.token_hex(16)}"
    admin = sandbox.openbao.client()
    vault = VaultCredentials.load("demo")
    assert isinstance(vault, VaultCredentials)
    sandbox.openbao.write_secret("holdtrue/canary", {"password": password})
    sandbox.openbao.write_secret("holdtrue/canary-broken", {"access_key_id": secrets.token_hex(10)})
    if "canary-pki/" not in admin.sys.list_mounted_secrets_engines()["data"]:
        admin.sys.enable_secrets_engine("pki", path="canary-pki")
    admin.write_data("canary-pki/root/generate/internal", data={"common_name": "canary", "ttl": "2h"})
    admin.write_data("canary-pki/roles/client", data={"allowed_domains": "example.org", "allow_subdomains": True})
    if "canary-db/" not in admin.sys.list_mounted_secrets_engines()["data"]:
        admin.sys.enable_secrets_engine("database", path="canary-db")
    server = f"127.0.0.1:{sandbox.postgres.port}/postgres?sslmode=disable"
    connection = {
        "plugin_name": "postgresql-database-plugin",
        "connection_url": f"postgresql://{{{{username}}}}:{{{{password}}}}@{server}",
        "username": SUPERUSER,
        "password": sandbox.postgres.password.get_secret_value(),
        "allowed_roles": "reader",
    }
    admin.write_data("canary-db/config/postgres", data=connection)
    statements = ["CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}'"]
    admin.write_data("canary-db/roles/reader", data={"db_name": "postgres", "creation_statements": statements})
    rules = 'path "canary-*" { capabilities = ["update", "read"] }\n'
    rules += 'path "sys/leases/*" { capabilities = ["update"] }\n'
    known = admin.sys.read_policy("holdtrue")["data"]["rules"]
    sandbox.openbao.write_policy("holdtrue", known + rules)
    VaultSecret(vault=vault, path="holdtrue/canary", field="password").save(ENVIRONMENT, overwrite=True)
    VaultPki(vault=vault, mount="canary-pki", role="client", common_name="a.example.org").save(
        ENVIRONMENT, overwrite=True
    )
    VaultTransit(vault=vault, key="pulumi").save(ENVIRONMENT, overwrite=True)
    VaultDatabaseCredentials(
        vault=vault, mount="canary-db", role="reader", host="127.0.0.1", port=sandbox.postgres.port, database="postgres"
    ).save(ENVIRONMENT, overwrite=True)
    VaultAwsCredentials(
        vault=vault,
        region=sandbox.aws.region,
        endpoint_url=sandbox.aws.endpoint_url,
        source=KvAwsKeys(path="holdtrue/canary-broken"),
    ).save("canary-broken", overwrite=True)
    transit = VaultTransit.load(ENVIRONMENT)
    assert isinstance(transit, VaultTransit)
    with credential_scope():
        ciphertext = transit.encrypt(SecretStr(plaintext))
    values = {
        "planted password": password,
        "planted plaintext": plaintext,
        "planted AWS secret access key": sandbox.aws.secret_access_key.get_secret_value(),
        "planted secret id": sandbox.openbao.secret_id.get_secret_value(),
        "planted secret id of the sweeper": sandbox.openbao.sweep_role.secret_id.get_secret_value(),
        "planted password of the database": sandbox.postgres.password.get_secret_value(),
        "planted root token": sandbox.openbao.root_token.get_secret_value(),
    }
    return Planted(ciphertext, values)


@pytest.fixture(scope="module")
def evidence(
    sandbox: Sandbox, canary_fleet: Fleet, planted: Planted, tmp_path_factory: pytest.TempPathFactory
) -> Evidence:
    folder = tmp_path_factory.mktemp("canary")
    # With what JSON and shells have to escape, or its forms could not be told apart.
    control = f"c0ntrol \"{secrets.token_hex(12)}/+'{secrets.token_hex(6)}"
    source = folder / "control"
    source.write_text(control)
    logs, home, temporary = folder / "logs", folder / "home", folder / "temporary"
    for made in (logs, home, temporary, sandbox.private_folders):
        made.mkdir(exist_ok=True)
        (made / "here").write_text("so that there is something to search")
    own = {"HOME": str(home), "TMPDIR": str(temporary)}
    texts: dict[str, bytes] = {}
    sandbox.otlp.clear()
    with sampled(texts, sandbox.private_folders):
        good = run_canary(
            "clean", sandbox, canary_fleet, logs / "clean.log", CANARY_CIPHERTEXT=planted.ciphertext, **own
        )
        bad = run_canary("leaky", sandbox, canary_fleet, logs / "leaky.log", **{CONTROL: str(source)}, **own)
    for number, payload in enumerate(sandbox.otlp.payloads()):
        texts[f"otlp-{number}"] = payload
    kept = folder / "kept"
    kept.mkdir()
    for name, content in texts.items():
        (kept / name).write_bytes(content)
    registered = {text: name for name, text in (*good["values"], *bad["values"])}
    values = [(name, text) for text, name in registered.items()]
    values += [*planted.values.items(), (CONTROL_NAME, control), *((marker, marker) for marker in MARKERS)]
    known = [KnownValue(name=name, value=SecretStr(text)) for name, text in values]
    places = (
        Files(path=sandbox.directory),
        Files(path=logs),
        Files(path=kept),
        Files(path=home),
        Files(path=temporary),
        Files(path=sandbox.private_folders),
        Database(url=SecretStr(f"sqlite:///{sandbox.prefect.home / 'prefect.db'}")),
        Database(url=SecretStr(f"sqlite:///{sandbox.directory / 'ledger.db'}")),
        PrefectApi(url=sandbox.prefect.api_url),
    )
    wait_for_events(sandbox, control)
    return Evidence(
        ends=dict(map(tuple, (*good["ends"], *bad["ends"]))),
        searched_for=frozenset(value.name for value in known),
        report=search(known, places),
        log=(logs / "clean.log").read_text(),
    )


def wait_for_events(sandbox: Sandbox, control: str) -> None:
    only = [KnownValue(name=CONTROL_NAME, value=SecretStr(control))]
    database = Database(url=SecretStr(f"sqlite:///{sandbox.prefect.home / 'prefect.db'}"))
    deadline = time.monotonic() + ARRIVAL_SECONDS
    while not any("events" in leak.place for leak in search(only, [database]).leaks):
        assert time.monotonic() < deadline, "the event of the leaky flow has not come into the database"
        time.sleep(0.5)


def test_every_flow_ran_and_failed_where_it_was_made_to(evidence: Evidence) -> None:
    assert evidence.ends == {
        "blocks": "Failed",
        "good": "Provisioned",
        "manifest": "Rejected",
        "prerequisites": "PreflightFailed",
        "program tests": "TestsFailed",
        "preview": "ProgramFailed",
        "approval": "ApprovalRequired",
        "apply": "ProgramFailed",
        "configuration": "ConfigurationFailed",
        "idempotence": "NotIdempotent",
        "validation": "ValidationFailed",
        "traffic": "ValidationFailed",  # Traffic is on the hosts already, so nothing is moved or put back.
        "drift": "Incomplete",
        "validate": "ChecksFailed",
        "audit": "Vulnerable",
        "audit without source": "Incomplete",
        "sweep": "NothingLeft",
        "leak": "Failed",
        "leaky provision": "ValidationFailed",
        "leaky validate": "ChecksFailed",
    }


@pytest.mark.parametrize(
    "kind",
    [
        "the variable HOLDTRUE_VAULT_SECRET_ID",
        "the Vault token with accessor",
        "AWS keys of kv",
        "secret/holdtrue/canary, field password",
        "the SSH key for ssh/sign/deploy",
        "private key of the certificate",
        "plaintext of transit/pulumi",
        "canary-db/creds/reader, field password",
        "planted password",
        "planted AWS secret access key",
        "planted root token",
    ],
)
def test_a_secret_of_each_kind_is_searched_for(evidence: Evidence, kind: str) -> None:
    assert any(kind in name for name in evidence.searched_for)


def test_no_secret_rests_anywhere(evidence: Evidence) -> None:
    assert [leak for leak in evidence.report.leaks if leak.name not in (CONTROL_NAME, *MARKERS)] == []
    # The watcher may copy an archive that is being written.
    gaps = [gap for gap in evidence.report.not_searched if "/kept/holdtrue-pulumi" not in gap.place]
    assert gaps == []


@pytest.mark.parametrize(
    "place",
    [
        r"/prefect/prefect\.db$",
        r"/prefect\.db table log, column message",
        r"/prefect\.db table flow_run, column parameters",
        r"/prefect\.db table flow_run_state, column message",
        r"/prefect\.db table artifact, column data",
        r"/prefect\.db table events, column payload",
        r"/api logs ",
        r"/api artifacts ",
        r"/api events ",
        r"/api flow_runs ",
        r"/prefect/storage/",
        r"/ledger\.db table holders",
        r"/state/\.pulumi/stacks/",
        r"/state/\.pulumi/backups/",
        r"/state/\.pulumi/history/",
        r"/reports/.*/junit\.xml",
        r"/logs/leaky\.log",
        r"/kept/otlp-",
        r"/kept/command-line-",
        r"/kept/holdtrue-leak-",
        r"/kept/ht-ansible-",
    ],
)
def test_positive_control_what_was_let_out_is_found_there(evidence: Evidence, place: str) -> None:
    assert any(leak.name == CONTROL_NAME and re.search(place, leak.place) for leak in evidence.report.leaks)


@pytest.mark.parametrize(
    "form", [Form.PLAIN, Form.JSON, Form.URL, Form.SHELL, Form.BASE64, Form.BASE64_WRAPPED, Form.HEX]
)
def test_positive_control_what_was_let_out_is_found_in_each_form(evidence: Evidence, form: Form) -> None:
    assert any(
        leak.name == CONTROL_NAME and leak.form is form and "table log, column message" in leak.place
        for leak in evidence.report.leaks
    )


@pytest.mark.parametrize("marker", MARKERS)
def test_positive_control_hostile_programs_were_heard(evidence: Evidence, marker: str) -> None:
    assert any(leak.name == marker and "table log, column message" in leak.place for leak in evidence.report.leaks)


def test_positive_control_what_the_engine_gave_its_program_was_taken_out(evidence: Evidence) -> None:
    assert re.search(rf"{DUMP} program .*'AWS_SECRET_ACCESS_KEY': '\[redacted\]'", evidence.log)
    assert re.search(rf"{DUMP} program .*'VAULT_TOKEN': '\[redacted\]'", evidence.log)
