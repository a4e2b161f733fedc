"""Templates of a manifest: none is forgotten, and what nothing fills is named before anything runs."""

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel, JsonValue

from holdtrue.adapters.manifest import parse_environment
from holdtrue.adapters.program_text import has_word
from holdtrue.core.hosts import parse_hosts
from holdtrue.core.template import TemplateUse, template_uses, unfilled
from holdtrue.models.environment import Environment
from holdtrue.models.stack import StackOutputs
from holdtrue.models.template import check_template

DEMO = Path(__file__).parents[3] / "fleet" / "environments" / "demo.yaml"
HOSTS: JsonValue = [
    {"name": "web-1", "address": "10.0.0.1", "user": "deploy", "variables": {"http_port": 80}},
    {"name": "web-2", "address": "10.0.0.2", "user": "deploy", "variables": {}},
]
OUTPUTS = StackOutputs(values={"hosts": HOSTS, "load_balancer_url": "http://lb"}, secret_names=("token",))


def templates_of(model: type[BaseModel]) -> Iterator[str]:
    """Names of all fields below the model that are declared as templates."""
    for name, field in model.model_fields.items():
        if any(getattr(item, "func", None) is check_template for item in field.metadata):
            yield f"{model.__name__}.{name}"
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from templates_of(part)


def test_every_template_of_a_manifest_is_looked_at() -> None:
    declared = {name.rpartition(".")[2] for name in templates_of(Environment)}
    environment = parse_environment(DEMO)
    uses = template_uses(environment)

    assert declared == {"url", "socket"}
    assert {use.field.rpartition(".")[2] for use in uses} == declared
    assert [use.field for use in uses] == [
        "validation.probes[health].url",
        "traffic.socket",
        "traffic.probes[front].url",
    ]


def ask(
    template: str, *, of_a_host: bool = True, program: str = "", outputs: StackOutputs | None = OUTPUTS
) -> list[str]:
    hosts = parse_hosts(outputs, "hosts") if outputs else ()
    found = unfilled(
        [TemplateUse("f", template, of_a_host)], outputs, hosts, is_in_program=lambda name: name in program
    )
    return [f"{'later' if item.may_come else 'never'}: {item.reason} {item.next_step}" for item in found]


@pytest.mark.parametrize("outputs", [OUTPUTS, None])
def test_what_every_host_has_can_be_filled(outputs: StackOutputs | None) -> None:
    assert ask("http://{name}.{address}:{port}/{{x}}", outputs=outputs) == []
    assert ask("{load_balancer_url}/", of_a_host=False) == []
    assert ask("plain") == []


def test_a_misspelt_name_is_told_with_the_one_that_is_meant() -> None:
    (line,) = ask("http://{adress}/{port}")

    assert line.startswith("never")
    assert "{adress}" in line
    assert "{address}" in line


def test_a_name_of_a_host_is_none_for_the_balancer() -> None:
    (line,) = ask("http://{address}/", of_a_host=False)

    assert line.startswith("never")


def test_what_the_next_apply_may_export_is_not_refused() -> None:
    assert [line[:5] for line in ask("{metrics_port}", program="metrics_port")] == ["later"]
    assert [line[:5] for line in ask("{metrics_port}", program="metrics_port", outputs=None)] == ["later"]
    assert [line[:5] for line in ask("{metrics_port}", program="metric", outputs=None)] == ["never"]


def test_a_host_without_the_variable_is_named() -> None:
    (line,) = ask("{http_port}", program="http_port")

    assert "web-2" in line
    assert "web-1" not in line


@pytest.mark.parametrize(("name", "kind"), [("token", "secret"), ("hosts", "list")])
def test_an_output_that_is_no_text_is_refused_even_if_the_program_has_it(name: str, kind: str) -> None:
    (line,) = ask(f"{{{name}}}", program=name)

    assert line.startswith("never")
    assert kind in line


def test_a_word_of_the_program_is_found_whole_and_in_its_own_files_only(tmp_path: Path) -> None:
    for path, text in {
        "__main__.py": "pulumi.export('http_port', 80)",
        "deep/values.json": '{"zone": 1}',
        "venv/lib.py": "other_port",
        ".git/config": "other_port",
        "large.txt": "large_port" + "x" * (1 << 20),
    }.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)

    words = ("http_port", "zone", "port", "http", "other_port", "large_port")
    assert [word for word in words if has_word(tmp_path, word)] == ["http_port", "zone"]
