"""What a project asks for by itself."""

import pytest

from holdtrue.core.lockfiles import Needs, read_needs


def names(text: str) -> frozenset[str] | None:
    needs = read_needs(text)
    return needs.names if needs else None


def test_all_tables_that_name_dependencies_are_read() -> None:
    text = """
[project]
name = "app"
dependencies = ["Demo_A>=1 ; os_name == 'nt'", "demo.b[fast]==1"]
[project.optional-dependencies]
Web_ = ["demo-c @ https://h.example/demo-c.zip"]
all = ["App[web]"]
[dependency-groups]
dev = ["demo-d", { include-group = "more" }]
more = ["demo-e"]
[tool.poetry.group.docs.dependencies]
demo-f = "^1"
demo-g = { version = "^1", python = "<3.9" }
[tool.pdm.dev-dependencies]
lint = ["-e file:///${PROJECT_ROOT}/demo-h#egg=demo-h", "git+https://h.example/x#subdirectory=y&egg=demo-i[fast]"]
[tool.pdm.resolution]
excludes = ["Left_Out"]
"""

    assert read_needs(text) == Needs(
        names=frozenset(f"demo-{letter}" for letter in "abcdefghi"),
        certain={
            "default": frozenset({"demo-b"}),
            "Web_": frozenset({"demo-c"}),
            "dev": frozenset({"demo-d"}),
            "more": frozenset({"demo-e"}),
            "docs": frozenset({"demo-f"}),
            "lint": frozenset({"demo-h", "demo-i"}),
        },
        excluded=frozenset({"left-out", "app"}),
    )


def test_poetry_without_a_project_table() -> None:
    text = """[tool.poetry.dependencies]
python = "^3.11"
Demo = "^1"
maybe = { version = "^1", optional = true }
several = [{ version = "1", python = "<3.9" }, { version = "2", python = ">=3.9" }]
[tool.poetry.dev-dependencies]
more = { version = "*", extras = ["x"] }
"""

    assert read_needs(text) == Needs(
        frozenset({"demo", "maybe", "several", "more"}), {"default": frozenset({"demo"}), "dev": frozenset({"more"})}
    )


def test_dependencies_that_poetry_gives_dynamically_are_told() -> None:
    text = '[project]\nname = "a"\ndynamic = ["dependencies"]\n[tool.poetry.dependencies]\ndemo = "^1"\n'

    assert read_needs(text) == Needs(frozenset({"demo"}), {"default": frozenset({"demo"})}, frozenset({"a"}))


def test_beside_the_project_table_poetry_only_says_where_packages_come_from() -> None:
    text = '[project]\nname = "a"\ndependencies = ["demo"]\n[tool.poetry.dependencies]\nother = "^1"\n'

    told = Needs(frozenset({"demo", "other"}), {"default": frozenset({"demo"})}, frozenset({"a"}))
    assert read_needs(text) == told


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[tool.ruff]\n",
        "[project",
        '[project]\nname = "a"\ndynamic = ["dependencies"]\n',
        '[project]\nname = "a"\ndependencies = "demo"\n',
        '[project]\nname = "a"\ndependencies = [1]\n',
        '[project]\nname = "a"\ndependencies = ["-e file:///demo"]\n',
        '[project]\nname = "a"\ndependencies = ["git+https://h.example/demo"]\n',
        '[project]\nname = "a"\n[dependency-groups]\ndev = "demo"\n',
        '[project]\nname = "a"\n[tool.pdm.dev-dependencies]\ndev = [1]\n',
    ],
)
def test_a_file_that_does_not_tell_says_so(text: str) -> None:
    assert names(text) is None


def test_a_project_without_dependencies_tells_that() -> None:
    assert names('[project]\nname = "a"\n') == frozenset()
