"""Programs with what many programs have: ignored properties, protected resources, providers that tell their status."""

import json
from pathlib import Path

import pytest

from holdtrue.adapters.pulumi.engine import PulumiEngine
from holdtrue.errors import ProgramFailed
from holdtrue.models.base import Progress
from tests.integration.tiny_stack import PROGRAM, Tiny

BOXES = """
import json, os
from pathlib import Path
import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

def path(name):
    return Path(os.environ["THINGS"], name)

class BoxProvider(ResourceProvider):
    def create(self, props):
        path(props["name"]).write_text(json.dumps(props))
        return CreateResult(props["name"], props)

    def read(self, id_, props):
        found = json.loads(path(id_).read_text())
        return ReadResult(id_, {**props, **found}, found)

    def diff(self, _id, olds, news):
        changed = any(olds.get(key) != value for key, value in news.items() if key != "__provider")
        replaces = ["size"] if olds["size"] != news["size"] else []
        return DiffResult(changes=changed, replaces=replaces, delete_before_replace=True)

    def update(self, _id, olds, news):
        path(_id).write_text(json.dumps(news))
        return UpdateResult(news)

    def delete(self, _id, _props):
        path(_id).unlink()

class Box(Resource, name="Box"):
    def __init__(self, name, opts=None, size=1):
        props = {"name": "box", "size": size, "tags": {"Note": "a", "Owner": "x"}, "labels": {"one": 1},
                 "rules": [{"port": 1, "net": "n"}, {"port": 2, "net": "n"}]}
        super().__init__(BoxProvider(), name, props, opts)
"""
IGNORED = '["tags.Note", "rules[0].port", "labels.*", "rules[*].net"]'
PROGRAM_WITH_BOX = f"""
import pulumi
from boxes import Box
Box("box", pulumi.ResourceOptions(ignore_changes={IGNORED}))
"""
RENAMED = PROGRAM_WITH_BOX.replace('Box("box", ', 'Box("new", ').replace(
    "ignore_changes", 'aliases=[pulumi.Alias(name="box")], ignore_changes'
)
REPLACED = RENAMED.replace('Box("new", ', 'Box("new", size=2, opts=')


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    return Tiny(tmp_path)


def provision(tiny: Tiny) -> PulumiEngine:
    engine = tiny.engine()
    engine.apply(engine.preview())
    return engine


@pytest.mark.parametrize("later", [(), (RENAMED, REPLACED)], ids=["plain", "renamed-and-replaced"])
def test_what_the_program_ignores_is_not_drift(tiny: Tiny, later: tuple[str, ...]) -> None:
    (tiny.project / "boxes.py").write_text(BOXES)
    engine = tiny.engine()
    for program in (PROGRAM_WITH_BOX, *later):
        tiny.write(program)
        engine = provision(tiny)
    box = json.loads((tiny.cloud / "box").read_text())

    def change(**properties: object) -> None:
        (tiny.cloud / "box").write_text(json.dumps({**box, **properties}))

    ignored = {
        "tags": {"Note": "b", "Owner": "x"},
        "labels": {"two": 2},
        "rules": [{"port": 9, "net": "m"}, {"port": 2, "net": "m"}],
    }
    change(**ignored)
    found = engine.detect()
    assert found.changes == ()
    assert [change.path for change in found.unmanaged[0].changes] == [
        "labels.one", "labels.two", "rules[0].net", "rules[0].port", "rules[1].net", "tags.Note",
    ]  # fmt: skip
    assert engine.preview().changes == (), "and provisioning again changes nothing"

    change(**{**ignored, "tags": {"Note": "b", "Owner": "mallory"}})
    (drift,) = engine.detect().changes
    assert [(item.path, item.after) for item in drift.changes] == [("tags.Owner", "mallory")]


PROTECTED = PROGRAM.replace("depends_on=[a]", 'protect=True, replacement_trigger="one"')


@pytest.mark.parametrize(
    ("changed", "operation"),
    [('from things import Thing\nThing("a", "one")\n', "delete"), (PROTECTED.replace('r="one"', 'r="two"'), "replace")],
    ids=["delete", "replace"],
)
def test_a_protected_resource_says_why_it_stays_and_what_one_can_do(tiny: Tiny, changed: str, operation: str) -> None:
    tiny.write(PROTECTED)
    engine = provision(tiny)
    tiny.write(changed)
    with pytest.raises(ProgramFailed) as refusal:
        engine.preview()
    assert "Thing b is protected and cannot be deleted" in refusal.value.what
    assert "put it back" in refusal.value.next_step
    tiny.run(refusal.value.next_step.split("`")[-2])
    tiny.write(changed.replace("protect=True", "protect=False"))
    (change,) = engine.preview().changes
    assert change.operation == operation


def test_empty_status_lines_are_not_log_lines(tiny: Tiny) -> None:
    tiny.write(
        PROGRAM
        + 'for text in ("", "waiting for b", "", " \\n"):\n    pulumi.log.info(text, b, ephemeral=True)\n'
        + 'pulumi.log.warn("")\n'
    )
    lines: list[Progress] = []
    engine = tiny.engine()
    engine.apply(engine.preview(lines.append), lines.append)
    assert [line.message for line in lines if not line.message.strip()] == []
    assert len([line for line in lines if line.message == "waiting for b"]) == 2, "positive control"
