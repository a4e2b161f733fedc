"""What an apply may do beside its plan, and how it is told, on the real CLI."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from pydantic import SecretStr

from holdtrue.adapters.pulumi import plans
from holdtrue.adapters.pulumi.engine import PulumiEngine
from holdtrue.adapters.pulumi.messages import DEEPEST, TOO_DEEP
from holdtrue.errors import ProgramFailed, RejectedError, done_before
from holdtrue.models.credentials import StackAccess
from holdtrue.models.stack import ApplyResult, Operation
from holdtrue.runtime.process import tool_environment
from tests.integration.tiny_stack import PASSPHRASE, Tiny

LATE = "import pulumi\nfrom things import Thing\na = Thing('a', 'one')\nif not pulumi.runtime.is_dry_run():\n    "


def engine_of(tiny: Tiny, *, path: str | None = None, update_plan: bool = True) -> PulumiEngine:
    given = {"THINGS": str(tiny.cloud), "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE, **({"PATH": path} if path else {})}
    return PulumiEngine(
        project=tiny.project,
        stack="dev",
        access=StackAccess(
            backend_url=tiny.backend.as_uri(),
            secrets_provider="passphrase",
            environment={name: SecretStr(value) for name, value in given.items()},
        ),
        timeout_seconds=60,
        update_plan=update_plan,
    )


@pytest.fixture(params=["plan", "events"])
def guard(request: pytest.FixtureRequest) -> str:
    """What holds an apply to its plan."""
    return str(request.param)


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    return Tiny(tmp_path)


@pytest.fixture
def deployed(tiny: Tiny) -> Tiny:
    engine = engine_of(tiny)
    engine.apply(engine.preview())
    return tiny


def names(changes: Sequence[object]) -> set[tuple[str, str]]:
    return {
        (str(getattr(change, "operation", "")), str(getattr(change, "name", "")))
        for change in changes
        if "Stack" not in str(getattr(change, "type", ""))
    }


def test_an_export_that_differs_after_the_apply_is_told_and_nothing_else(tiny: Tiny, guard: str) -> None:
    tiny.write(
        "import os, pulumi\nfrom things import Thing\na = Thing('a', 'one')\nb = Thing('b', 'two')\n"
        "pulumi.export('pid', os.getpid())\npulumi.export('hosts', [{'name': 'web', 'pid': os.getpid(), 'id': a.id}])\n"
        "pulumi.export('same', 'kept')\npulumi.export('later', a.id)\npulumi.export('key', pulumi.Output.secret('x'))\n"
    )
    engine = engine_of(tiny, update_plan=guard == "plan")
    plan = engine.preview()
    result = engine.apply(plan)
    assert names(result.changes) == names(plan.changes)
    assert engine.outputs() == result.outputs
    assert result.outputs.values["later"] == "a"
    (note,) = result.notes
    assert "hosts, pid" in note
    assert not {"same", "later", "key"} & set(note.replace(",", " ").split())


def test_planned_deletes_follow_an_export_that_differs(deployed: Tiny, guard: str) -> None:
    deployed.write(
        "import os, pulumi\nfrom things import Thing\na = Thing('a', 'three')\npulumi.export('pid', os.getpid())\n"
    )
    engine = engine_of(deployed, update_plan=guard == "plan")
    for expected in ({("update", "a"), ("delete", "b")}, set[tuple[str, str]]()):
        result = engine.apply(engine.preview())
        assert names(result.changes) == expected
        assert result.notes
    assert deployed.things() == {"a": "three"}


def test_a_plan_with_an_output_that_differs_each_time_can_be_approved(deployed: Tiny) -> None:
    deployed.write(
        "import os, pulumi\nfrom things import Thing\na = Thing('a', 'one')\npulumi.export('pid', os.getpid())\n"
    )
    reviewed, later = engine_of(deployed).preview(), engine_of(deployed).preview()
    assert reviewed.digest == later.digest
    plans._plans.clear()  # as in another process
    assert names(engine_of(deployed).apply(reviewed).changes) == {("delete", "b")}
    deployed.write("import pulumi\nfrom things import Thing\na = Thing('a', 'one')\npulumi.export('other', 1)\n")
    assert engine_of(deployed).preview().digest != reviewed.digest


def test_what_is_gone_is_made_again(deployed: Tiny, guard: str) -> None:
    (deployed.cloud / "b").unlink()
    engine = engine_of(deployed, update_plan=guard == "plan")
    assert names(engine.apply(engine.preview()).changes) == {("create", "b")}
    assert deployed.things() == {"a": "one", "b": "two"}


def test_outputs_that_stay_go_or_are_of_a_component_may_differ(tiny: Tiny) -> None:
    component = (
        "import os, pulumi\nfrom things import Thing\n"
        "class Group(pulumi.ComponentResource):\n"
        "    def __init__(self, name):\n"
        "        super().__init__('tiny:index:Group', name)\n"
        "        Thing('a', 'one', pulumi.ResourceOptions(parent=self))\n"
        "        self.register_outputs({'pid': os.getpid()})\n"
        "Group('g')\nThing('b', 'two')\n"
    )
    tiny.write(component + "pulumi.export('gone', 'x')\npulumi.export('kept', 'x')\n")
    assert not engine_of(tiny).apply(engine_of(tiny).preview()).notes
    tiny.write(
        component + "if pulumi.runtime.is_dry_run():\n    pulumi.export('gone', 'x')\n"
        "pulumi.export('kept', 'x' if pulumi.runtime.is_dry_run() else 'y')\n"
    )
    result = engine_of(tiny).apply(engine_of(tiny).preview())
    assert result.outputs.values == {"kept": "y"}
    assert "gone, kept" in result.notes[0]


def test_an_export_that_only_the_apply_names_is_recorded(tiny: Tiny, guard: str) -> None:
    tiny.write(f"{LATE}pulumi.export('late', a.id)\npulumi.export('early', 1)\n")
    engine = engine_of(tiny, update_plan=guard == "plan")
    result = engine.apply(engine.preview())
    assert names(result.changes) == {("create", "a")}
    assert result.outputs.values == {"late": "a", "early": 1}
    assert engine.outputs() == result.outputs
    assert "late" in result.notes[0]
    assert not tiny.locks()


@pytest.mark.parametrize(
    ("end", "said", "done"),
    [
        ("exit 1", "exit code 1", set[tuple[str, str]]()),
        ("kill -9 $$", "signal 9", set[tuple[str, str]]()),
        ('"{real}" "$@"; exit 1', "exit code 1", {("create", "a"), ("create", "b")}),
    ],
    ids=["at-once", "killed", "after-everything"],
)
def test_a_failure_without_words_says_so_with_what_was_done(
    tiny: Tiny, tmp_path: Path, end: str, said: str, done: set[tuple[str, str]]
) -> None:
    real = shutil.which("pulumi", path=tool_environment({})["PATH"])
    assert real is not None
    wrapper = tmp_path / "bin" / "pulumi"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\ncase "$*" in *"up "*) {end.replace("{real}", real)};; esac\nexec "{real}" "$@"\n')
    wrapper.chmod(0o755)
    engine = engine_of(tiny, path=f"{wrapper.parent}:/usr/bin:/bin")
    with pytest.raises(ProgramFailed) as failure:
        engine.apply(engine.preview())
    assert said in failure.value.what
    assert "no reason" in failure.value.what
    assert "stderr:" not in failure.value.what
    for operation, name in done:
        assert f"{operation} pulumi-python:dynamic:Thing {name}" in failure.value.what
    carried_out = done_before(failure.value)
    assert isinstance(carried_out, ApplyResult)
    assert names(carried_out.changes) == done
    assert len(tiny.things()) == len(done)


def test_the_update_plan_refuses_an_input_that_differs_and_the_events_do_not(tiny: Tiny) -> None:
    tiny.write("import os\nfrom things import Thing\na = Thing('a', str(os.getpid()))\n")
    engine = engine_of(tiny)
    with pytest.raises(ProgramFailed, match="plan"):
        engine.apply(engine.preview())
    assert tiny.things() == {}
    engine = engine_of(tiny, update_plan=False)
    assert names(engine.apply(engine.preview()).changes) == {("create", "a")}


@pytest.mark.parametrize("levels", [200, 300, 3000])
def test_an_output_that_is_nested_too_deeply_is_refused_by_name(tiny: Tiny, levels: int) -> None:
    """In the program, before anything is applied; and in a state that somebody has changed."""
    program = "import pulumi\nfrom things import Thing\na = Thing('a', 'one')\nvalue = []\n"
    tiny.write(f"{program}for _ in range({min(levels, 300) - 1}):\n    value = [value]\npulumi.export('deep', value)\n")
    if levels > DEEPEST:
        with pytest.raises(RejectedError, match=r"nested more than 200 levels.*'deep'"):
            engine_of(tiny).preview()
        assert tiny.things() == {}
    tiny.write(f"{program}pulumi.export('deep', [])\npulumi.export('flat', 'x')\n")
    engine_of(tiny).apply(engine_of(tiny).preview())
    text = tiny.checkpoint.read_text()
    assert '"deep":[]' in text
    tiny.checkpoint.write_text(text.replace('"deep":[]', f'"deep":{"[" * levels}{"]" * levels}'))
    if levels <= DEEPEST:
        assert engine_of(tiny).outputs().values.keys() == {"deep", "flat"}
        return
    with pytest.raises(RejectedError, match=r"nested more than 200 levels.*'deep'|nested too deeply"):
        engine_of(tiny).outputs()
    if levels == 300:
        assert names(engine_of(tiny).preview().changes) == set(), "the program can repair it"


def test_an_input_that_is_nested_too_deeply_is_shown_cut_and_counts_whole(tiny: Tiny) -> None:
    program = "from things import Thing\nvalue = '{}'\nfor _ in range(300):\n    value = [value]\nThing('a', value)\n"
    tiny.write_outside(program.format("x"))
    before = engine_of(tiny).preview()
    tiny.write_outside(program.format("y"))
    assert TOO_DEEP in before.model_dump_json()
    assert engine_of(tiny).preview().digest != before.digest


def test_the_first_unplanned_step_interrupts_the_engine(tiny: Tiny) -> None:
    extra = "c = Thing('c', 'slow', pulumi.ResourceOptions(depends_on=[a]))\n"
    after = "    Thing('d', 'x', pulumi.ResourceOptions(depends_on=[c]))\n"
    tiny.write(f"{LATE}{extra}{after}")
    engine = engine_of(tiny, update_plan=False)
    plan = engine.preview()
    assert names(plan.changes) == {("create", "a")}
    with pytest.raises(ProgramFailed) as failure:
        engine.apply(plan)
    assert "Thing c" in failure.value.what
    assert "interrupted" in failure.value.what
    done = done_before(failure.value)
    assert isinstance(done, ApplyResult)
    assert ("create", "a") in names(done.changes)
    assert "d" not in tiny.things(), "nothing follows an unplanned step"
    assert not tiny.locks()


def test_without_the_update_plan_a_planned_step_that_does_not_come_is_a_failure(tiny: Tiny) -> None:
    tiny.write(LATE.replace("if not", "if") + "Thing('b', 'two')\n")
    engine = engine_of(tiny, update_plan=False)
    with pytest.raises(ProgramFailed, match="Thing b") as failure:
        engine.apply(engine.preview())
    assert isinstance(done_before(failure.value), ApplyResult)


@pytest.mark.parametrize("before", ["True", "False"])
def test_without_the_update_plan_a_replacement_is_a_planned_step(deployed: Tiny, before: str) -> None:
    things = deployed.project / "things.py"
    text = things.read_text()
    changed = '_olds["value"] != _news["value"]'
    assert changed in text
    things.write_text(text.replace(changed, f'{changed}, replaces=["value"], delete_before_replace={before}'))
    deployed.write("from things import Thing\nThing('a', 'one')\nThing('b', 'new')\n")
    engine = engine_of(deployed, update_plan=False)
    plan = engine.preview()
    assert [change.operation for change in plan.changes] == [Operation.REPLACE]
    plans._plans.clear()  # as in another process
    result = engine.apply(plan)
    assert names(result.changes) == {("replace", "b")}
