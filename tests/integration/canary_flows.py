"""Flows that repeat every secret they get hold of, in a process of its own at log level DEBUG; test_canary searches.

`python -m tests.integration.canary_flows clean` sends secrets through every block and flow, with a failure at each
stage. `... leaky` passes one that nothing knows by value through the same channels, so that the search has to find it.
What was registered as secret, and how each run ended, goes to the file descriptor CANARY_RESULT and rests nowhere.
"""

import base64
import json
import logging
import os
import secrets
import shlex
import subprocess
import sys
import urllib.parse
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

from opentelemetry import trace
from prefect import Flow, flow, task
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.events.worker import EventsWorker
from prefect.logging import get_run_logger
from prefect.logging.handlers import APILogWorker
from prefect.states import Failed
from pydantic import SecretStr

from blocks.aws import VaultAwsCredentials
from blocks.database import VaultDatabaseCredentials
from blocks.loading import load_block
from blocks.pki import VaultPki
from blocks.pulumi import PulumiBackend
from blocks.ssh import VaultSshCertificates
from blocks.transit import VaultTransit
from blocks.vault import VaultCredentials, VaultSecret
from flows.audit import audit
from flows.drift import drift
from flows.provision import provision
from flows.sweep import sweep
from flows.validate import validate
from holdtrue.credentials.scope import RunLabel, credential_scope
from holdtrue.runtime.folder import private_folder
from holdtrue.runtime.redaction import SecretHolder, SecretRegistry, register_secret
from holdtrue.runtime.tracing import flush_tracing, start_tracing
from tasks.redaction import redacted, redacted_run
from tests.integration.flow_stage import TINY_PROGRAM, Fleet

ENVIRONMENT: Final = "canary"
CONTROL: Final = "CANARY_CONTROL"
"""Variable with the path of the value that the leaky run must be caught with."""

DUMP: Final = "CANARY-DUMP"
"""Stands before everything that a hostile program of the fleet prints, to prove that it did."""

HOSTILE_TEST: Final = f"import os\n\ndef test_it():\n    assert {{}} == dict(os.environ), '{DUMP} test'\n"
HOSTILE_CHECK: Final = f"import os\n\ndef test_it(host):\n    assert {{}} == dict(os.environ), '{DUMP} check'\n"
HOSTILE_PROGRAM: Final = f"""\
import os, sys, base64
import pulumi

text = repr(dict(sorted(os.environ.items(), key=lambda item: "SECRET" not in item[0] and "TOKEN" not in item[0])))
print(text)
print(text, file=sys.stderr)
pulumi.log.warn(text)
pulumi.log.error(base64.b64encode(text.encode()).decode())
raise RuntimeError("{DUMP} program " + text)
"""
HOSTILE_PLAYBOOK: Final = f"""\
- name: Tell the environment
  hosts: all
  gather_facts: false
  tasks:
    - name: Read it here
      ansible.builtin.command: env
      delegate_to: localhost
      changed_when: true
      register: here
    - name: Show it
      ansible.builtin.debug:
        msg: "{{{{ here.stdout_lines }}}} {{{{ lookup('pipe', 'env | base64') }}}}"
    - name: Fail with it
      ansible.builtin.fail:
        msg: "{DUMP} playbook {{{{ here.stdout }}}}"
      when: FAILS
"""

LEAKY_PLAYBOOK: Final = """\
- name: Say too much
  hosts: all
  gather_facts: false
  vars:
    ansible_remote_tmp: "{{ root }}/.ansible/tmp"
  tasks:
    - name: Write the file
      ansible.builtin.copy:
        content: tiny
        dest: "{{ root }}/tiny.txt"
        mode: "0644"
    - name: Show it
      ansible.builtin.debug:
        msg: "{{ lookup('file', 'SOURCE') }}"
"""

ENDS: Final[list[tuple[str, str]]] = []
"""What was run, and the name of the state that it ended in."""

REGISTERED: Final[list[tuple[str, str]]] = []
"""Name and text of everything that was registered as secret in this process."""


def record_registrations() -> None:
    """Keep what is registered from now on."""
    register = SecretRegistry.register

    def recording(self: SecretRegistry, value: SecretStr, *, name: str, keeper: SecretHolder | None = None) -> bool:
        known = register(self, value, name=name, keeper=keeper)
        if known:
            REGISTERED.append((name, value.get_secret_value()))
        return known

    SecretRegistry.register = recording  # type: ignore[method-assign]


def tell(told: dict[str, str]) -> None:
    """Repeat them in every channel that a flow has, in the forms in which tools repeat them."""
    logger = get_run_logger()
    for name, value in told.items():
        forms = {
            "plain": value,
            "base64": base64.b64encode(f"user:{value}".encode()).decode(),
            "url": urllib.parse.quote(value, safe=""),
            "json": json.dumps({"password": value}),
            "hex": value.encode().hex(),
            "python": repr([value]),
            "shell": shlex.join(["login", "--password", value]),
            "wrapped base64": base64.encodebytes(
                f"a long line in front of it: {value}, and one after".encode()
            ).decode(),
            "json of a command": json.dumps({"argv": shlex.join(["login", value])}),
        }
        for form, text in forms.items():
            logger.debug("%s as %s: %s", name, form, text)
            logging.getLogger("some.library").warning("%s", {"headers": {"X-Token": text}})
            print(f"{name} {text}")  # noqa: T201 - a user's flow may
            warnings.warn(text, stacklevel=1)
        everything = "\n".join(forms.values())
        create_markdown_artifact(markdown=f"# {name}\n{everything}", key="canary-markdown", description=value[:500])
        create_table_artifact(table=[{"name": name, **forms}], key="canary-table")
        create_link_artifact(link=f"https://user:{forms['url']}@example.org/", key="canary-link", link_text=name)
        emit_event(
            event="holdtrue.canary",
            resource={"prefect.resource.id": "holdtrue.canary", "prefect.resource.name": value[:100]},
            payload={"name": name, **forms},
        )
        with trace.get_tracer("canary").start_as_current_span(f"use {value[:60]}") as span:
            span.set_attribute("password", everything)
            span.add_event("used", {"password": everything})
            span.record_exception(RuntimeError(everything))


@task(name="use every block", persist_result=False)
@redacted
def use_every_block() -> None:
    """Fetch a secret through each kind of block, and fail with all of them."""
    held = {
        "token": load_block(VaultCredentials, "demo").connect().session().token,
        "field": load_block(VaultSecret, ENVIRONMENT).get(),
        "aws": load_block(VaultAwsCredentials, "demo").keys().secret_access_key,
        "ssh": load_block(VaultSshCertificates, "demo").issue().private_key,
        "certificate": load_block(VaultPki, ENVIRONMENT).issue().private_key,
        "database": load_block(VaultDatabaseCredentials, ENVIRONMENT).login().url,
        "plaintext": load_block(VaultTransit, ENVIRONMENT).decrypt(os.environ["CANARY_CIPHERTEXT"]),
    }
    access = load_block(PulumiBackend, "demo").open({}, operation_seconds=60)
    held["pulumi"] = access.environment["VAULT_TOKEN"]
    plain = {name: value.get_secret_value() for name, value in held.items()}
    tell(plain)
    raise RuntimeError(*plain.values()) from ValueError(repr(plain))


@flow(name="canary blocks", persist_result=False, log_prints=True)
@redacted_run
def every_block() -> State[Any]:
    """A user's flow over every block, which ends in a state that repeats what it held."""
    start_tracing()
    with credential_scope(RunLabel("canary", "canary", "canary")):
        ended = use_every_block(return_state=True)
        vault = load_block(VaultCredentials, "demo").connect()
        known = f"{secrets.token_hex(12)} is known to the flow"
        register_secret(SecretStr(known), name="a value of the flow")
        return Failed(message=f"{ended.message} {vault.session().token.get_secret_value()} {known}")


def run(name: str, wanted: Flow[..., Any], *args: object) -> None:
    """Run a flow to its end and write down how it ended."""
    state: State[Any] = cast("Callable[..., Any]", wanted)(*args, return_state=True)
    ENDS.append((name, state.name or ""))


def clean(fleet: Fleet) -> None:
    """Every block, and every flow with a failure at each of its stages."""
    run("blocks", every_block)
    run("good", provision, ENVIRONMENT)
    for name, hostile in hostilities().items():
        fleet.reset()
        hostile(fleet)
        run(name, provision, ENVIRONMENT)
    fleet.reset()
    fleet.write("ansible/tiny.yml", HOSTILE_PLAYBOOK.replace("FAILS", "false"))
    run("drift", drift, [ENVIRONMENT])
    fleet.write("checks/tiny/test_tiny.py", HOSTILE_CHECK)
    run("validate", validate, ENVIRONMENT)
    run("audit", audit, [ENVIRONMENT])
    os.environ |= {"HOLDTRUE_AUDIT_SOURCES": '["osv"]', "HOLDTRUE_OSV_URL": "http://127.0.0.1:1"}
    run("audit without source", audit, [ENVIRONMENT])
    run("sweep", sweep, ["sweeper"])


def hostilities() -> dict[str, Callable[[Fleet], object]]:
    """For each stage of a provision what makes it fail, and repeat what it was given."""
    made = 'return CreateResult(props["text"], props)'
    return {
        "manifest": lambda it: it.edit_manifest(ENVIRONMENT, policy="none"),
        "prerequisites": lambda it: it.edit_manifest(ENVIRONMENT, credentials={"aws": "canary-broken"}),
        "program tests": lambda it: it.write("pulumi/tiny/tests/test_tiny.py", HOSTILE_TEST),
        "preview": lambda it: it.write("pulumi/tiny/__main__.py", HOSTILE_PROGRAM),
        "approval": lambda it: it.write("pulumi/tiny/notes.json", '["kept"]'),
        "apply": lambda it: it.write(
            "pulumi/tiny/__main__.py",
            TINY_PROGRAM.replace(made, "import os; raise RuntimeError(dict(os.environ))") + "\nNote('new')\n",
        ),
        "configuration": lambda it: it.write("ansible/tiny.yml", HOSTILE_PLAYBOOK.replace("FAILS", "true")),
        "idempotence": lambda it: it.write("ansible/tiny.yml", HOSTILE_PLAYBOOK.replace("FAILS", "false")),
        "validation": lambda it: it.write("checks/tiny/test_tiny.py", HOSTILE_CHECK),
        "traffic": lambda it: it.replace(
            f"environments/{ENVIRONMENT}.yaml", "{load_balancer_url}/", "http://127.0.0.1:1/"
        ),
    }


def leaky(fleet: Fleet) -> None:
    """Let a value that no block fetched come to rest in every place that is searched."""
    source = Path(os.environ[CONTROL])
    value = source.read_text()

    @task(persist_result=True, result_serializer="json")
    def result() -> dict[str, str]:
        return {"password": value}

    @flow(name="canary leak", persist_result=True, log_prints=True)
    @redacted_run
    def leak(password: str) -> State[Any]:
        start_tracing()
        tell({"leak": value})
        result()
        return Failed(message=f"{password} is wrong")

    run("leak", leak, value)
    with credential_scope(RunLabel("leak", value, "leak")) as scope:
        scope.ledger()
    with private_folder("holdtrue-leak") as folder, private_folder("ht-ansible") as other:
        (folder / "key").write_text(value)
        (other / "extravars").write_text(f"password: {value}")
        subprocess.run((sys.executable, "-c", "import time; time.sleep(1)", value), check=True)
    read = f"open({str(source)!r}).read()"
    fleet.write("pulumi/tiny/__main__.py", TINY_PROGRAM + f"\npulumi.export('password', {read})\n")
    fleet.write("ansible/tiny.yml", LEAKY_PLAYBOOK.replace("SOURCE", str(source)))
    fleet.write("checks/tiny/test_tiny.py", f"def test_it(host):\n    assert '' == {read}\n")
    run("leaky provision", provision, ENVIRONMENT)
    run("leaky validate", validate, ENVIRONMENT)


def main() -> None:
    """Run one of the two, and hand over what was registered."""
    record_registrations()
    fleet = Fleet(root=Path(os.environ["HOLDTRUE_FLEET"]), template=Path(os.environ["CANARY_TEMPLATE"]))
    try:
        {"clean": clean, "leaky": leaky}[sys.argv[1]](fleet)
    finally:
        fleet.reset()
        APILogWorker.drain_all(timeout=10)
        EventsWorker.drain_all(timeout=10)
        flush_tracing()
        with os.fdopen(int(os.environ["CANARY_RESULT"]), "w") as result:
            json.dump({"values": REGISTERED, "ends": ENDS}, result)


if __name__ == "__main__":
    main()
