import pytest

from holdtrue.adapters.ansible.selection import TaskSelection


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
