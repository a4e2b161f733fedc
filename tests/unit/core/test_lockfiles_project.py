"""What a project asks for by itself."""

import pytest

from holdtrue.core.lockfiles import read_direct_names


def test_all_tables_that_name_dependencies_are_read() -> None:
    text = """
[project]
name = "app"
dependencies = ["Demo_A>=1 ; os_name == 'nt'", "demo.b[fast]==1"]
[project.optional-dependencies]
web = ["demo-c @ https://h.example/demo-c.zip"]
[dependency-groups]
dev = ["demo-d", { include-group = "more" }]
more = ["demo-e"]
[tool.poetry.group.docs.dependencies]
demo-f = "^1"
[tool.pdm.dev-dependencies]
lint = ["demo-g", "-e file:///demo-h"]
"""

    assert read_direct_names(text) == frozenset(f"demo-{letter}" for letter in "abcdefg")


def test_poetry_without_a_project_table() -> None:
    text = '[tool.poetry.dependencies]\npython = "^3.11"\nDemo = "^1"\n[tool.poetry.dev-dependencies]\nmore = "*"\n'

    assert read_direct_names(text) == frozenset({"python", "demo", "more"})


def test_dependencies_that_poetry_gives_dynamically_are_told() -> None:
    text = '[project]\nname = "a"\ndynamic = ["dependencies"]\n[tool.poetry.dependencies]\ndemo = "^1"\n'

    assert read_direct_names(text) == frozenset({"demo"})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[tool.ruff]\n",
        "[project",
        '[project]\nname = "a"\ndynamic = ["dependencies"]\n',
        '[project]\nname = "a"\ndependencies = "demo"\n',
        '[project]\nname = "a"\ndependencies = [1]\n',
    ],
)
def test_a_file_that_does_not_tell_says_so(text: str) -> None:
    assert read_direct_names(text) is None


def test_a_project_without_dependencies_tells_that() -> None:
    assert read_direct_names('[project]\nname = "a"\n') == frozenset()
