import pytest

from holdtrue.adapters.ansible.events import ModuleResult, TaskEnded
from holdtrue.adapters.ansible.selection import SelectionWitness, TaskSelection
from holdtrue.models.configuration import TaskOutcome, TaskResult


@pytest.mark.parametrize(
    ("selection", "arguments"),
    [
        (TaskSelection(), []),
        (TaskSelection(tags=("a", "b")), ["--tags=a,b"]),
        (TaskSelection(skip_tags=("c",)), ["--skip-tags=c"]),
        (TaskSelection(tags=("a",), skip_tags=("c",)), ["--tags=a", "--skip-tags=c"]),
    ],
)
def test_a_selection_becomes_arguments_and_names_every_tag(selection: TaskSelection, arguments: list[str]) -> None:
    assert selection.arguments() == arguments
    assert bool(selection) is bool(arguments)
    assert all(tag in str(selection) for tag in (*selection.tags, *selection.skip_tags))


def _ended(host: str, module: str) -> TaskEnded:
    return TaskEnded(
        kind="result", event="runner_on_ok", host=host, task="t", module=module, ignored=False, result=ModuleResult()
    )


def test_facts_and_includes_are_no_selected_task() -> None:
    witness = SelectionWitness()
    for module in ("ansible.builtin.setup", "gather_facts", "ansible.legacy.setup", "ansible.builtin.include_tasks"):
        witness.take(_ended("idle", module))
    witness.take(_ended("busy", "ansible.builtin.command"))
    assert witness.idle(["busy", "idle", "silent"], []) == ("idle", "silent")


@pytest.mark.parametrize("outcome", [TaskOutcome.UNREACHABLE, TaskOutcome.FAILED])
def test_a_host_in_trouble_is_told_as_that(outcome: TaskOutcome) -> None:
    results = [TaskResult(host="down", task="Gathering Facts", outcome=outcome)]
    assert SelectionWitness().idle(["down", "idle"], results) == ("idle",)
