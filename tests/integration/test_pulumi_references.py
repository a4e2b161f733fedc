"""Programs that read what others manage: stack references and `.get()`."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from holdtrue.adapters.pulumi.engine import PulumiEngine
from holdtrue.core.plan_policy import review_plan
from holdtrue.errors import ResourceMissing
from holdtrue.models.base import Progress
from holdtrue.models.environment import Policy
from holdtrue.models.stack import ApplyResult, Operation
from sandbox import Sandbox
from tests.integration.test_pulumi import fingerprint
from tests.integration.tiny_stack import Tiny

BASE = """
import pulumi
from things import Thing

Thing("net", "n-1")
pulumi.export("net", "n-1")
pulumi.export("next", "organization/other/dev")
pulumi.export("key", pulumi.Output.secret("hunter2hunter2"))
"""
APP = """
import pulumi
from things import Thing

base = pulumi.StackReference("organization/base/dev")
Thing("c", base.get_output("key"))
pulumi.export("net", base.get_output("net"))
"""
CHAIN = """
other = pulumi.StackReference("other", stack_name=base.get_output("next"))
pulumi.export("other", other.get_output("net"))
"""


class Pair:
    """A stack, and one whose program refers to it."""

    def __init__(self, folder: Path, environment: Mapping[str, str] = MappingProxyType({}), provider: str = "") -> None:
        self._environment = environment
        self._provider = provider or "passphrase"
        self.base, self.app = (Tiny(folder, name) for name in ("base", "app"))
        self.base.write(BASE)
        self.app.write(APP)
        self.provision(self.base)

    def engine(self, tiny: Tiny) -> PulumiEngine:
        return tiny.engine(self._environment, provider=self._provider)

    def provision(self, tiny: Tiny) -> ApplyResult:
        engine = self.engine(tiny)
        return engine.apply(engine.preview())


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


@pytest.fixture(params=["passphrase", "vault"])
def encrypted(request: pytest.FixtureRequest, tmp_path: Path) -> Pair:
    """With secrets under a passphrase, and under a key in Vault."""
    if request.param == "passphrase":
        return Pair(tmp_path)
    vault: Sandbox = request.getfixturevalue("sandbox")
    environment = {
        "VAULT_ADDR": vault.openbao.address,
        "VAULT_CACERT": str(vault.openbao.ca_file),
        "VAULT_TOKEN": vault.openbao.issue_token(ttl_seconds=600).get_secret_value(),
    }
    return Pair(tmp_path, environment, "hashivault://pulumi")


def test_the_first_preview_of_a_stack_reads_another_and_its_secrets(encrypted: Pair) -> None:
    app = encrypted.app
    before = fingerprint(app.backend)
    lines: list[Progress] = []
    plan = encrypted.engine(app).preview(lines.append)
    assert fingerprint(app.backend) == before, "a preview leaves no stack behind and writes nothing"
    assert {change.name: change.operation for change in plan.changes} == {
        "app-dev": Operation.CREATE, "c": Operation.CREATE,
    }  # fmt: skip
    assert not [line for line in lines if line.level == "error"]
    assert "hunter2" not in plan.model_dump_json() + "".join(line.message for line in lines)

    result = encrypted.engine(app).apply(plan)
    assert result.outputs.values == {"net": "n-1"}
    assert app.things()["c"] == "hunter2hunter2"


def test_provisioned_again_nothing_has_changed(pair: Pair) -> None:
    pair.provision(pair.app)
    plan = pair.engine(pair.app).preview()
    assert plan.changes == ()
    review_plan(plan, Policy(max_changes=0))
    assert pair.engine(pair.app).apply(plan).changes == ()
    assert pair.engine(pair.app).detect().changes == ()


def test_a_reference_that_another_one_names_is_read_too(pair: Pair, tmp_path: Path) -> None:
    other = Tiny(tmp_path, "other")
    other.write(BASE.replace("n-1", "n-2").replace('Thing("net"', 'Thing("net2"'))
    pair.provision(other)
    pair.app.write(APP + CHAIN)
    assert pair.provision(pair.app).outputs.values == {"net": "n-1", "other": "n-2"}


def test_a_stack_that_nobody_has_is_missing_by_name(pair: Pair) -> None:
    pair.app.write(APP.replace("organization/base/dev", "organization/base/live"))
    before = fingerprint(pair.app.backend)
    with pytest.raises(ResourceMissing, match="organization/base/live"):
        pair.engine(pair.app).preview()
    assert fingerprint(pair.app.backend) == before


def test_what_the_other_stack_changes_is_not_drift_of_this_one(pair: Pair) -> None:
    pair.provision(pair.app)
    pair.base.write(BASE.replace('"net", "n-1"', '"net", "n-3"'))
    pair.provision(pair.base)
    found = pair.engine(pair.app).detect()
    assert found.changes == ()
    assert [(change.type, change.changes[0].path) for change in found.unmanaged] == [
        ("pulumi:pulumi:StackReference", "outputs.net")
    ]
    assert len(found.checked) == 2


def test_to_drop_a_reference_deletes_nothing(pair: Pair) -> None:
    pair.provision(pair.app)
    pair.app.write('from things import Thing\nThing("c", "hunter2hunter2")\n')
    plan = pair.engine(pair.app).preview()
    assert plan.changes == ()


GET = """
import pulumi
from things import Thing, ThingProvider
from pulumi.dynamic import Resource

class Found(Resource, name="Thing"):
    def __init__(self, name):
        super().__init__(ThingProvider(), name, {"name": name, "value": None}, pulumi.ResourceOptions(id=name))

Found("net")
Thing("c", "one")
"""


def test_what_get_returns_is_read_and_neither_change_nor_drift(pair: Pair) -> None:
    pair.app.write(GET)
    plan = pair.engine(pair.app).preview()
    assert "net" not in {change.name for change in plan.changes}
    pair.engine(pair.app).apply(plan)
    assert pair.engine(pair.app).preview().changes == ()
    (pair.app.cloud / "net").write_text("n-9")
    found = pair.engine(pair.app).detect()
    assert found.changes == ()
    assert [change.name for change in found.unmanaged] == ["net"]
    (pair.app.cloud / "net").unlink()
    assert [change.operation for change in pair.engine(pair.app).detect().changes] == [Operation.DELETE]


def test_to_give_a_resource_out_of_hand_is_a_change(pair: Pair) -> None:
    pair.app.write('from things import Thing\nThing("c", "one")\nThing("net", "n-1")\n')
    pair.provision(pair.app)
    pair.app.write(GET)
    engine = pair.engine(pair.app)
    plan = engine.preview()
    assert [(change.name, change.operation) for change in plan.changes] == [("net", Operation.READ)]
    assert [change.name for change in engine.apply(plan).changes] == ["net"]
    assert pair.app.things()["net"] == "n-1"
