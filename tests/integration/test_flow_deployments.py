"""prefect.yaml: what it names can be loaded, and what it shows to a person is typed."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import flow
from prefect.flows import Flow, load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema

ROOT = Path(__file__).parents[2]
DEPLOYMENTS: list[dict[str, Any]] = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]


def untyped(schema: dict[str, Any]) -> list[str]:
    """Parameters whose schema says nothing about their type."""
    kinds = {"type", "anyOf", "allOf", "$ref"}
    return [name for name, entry in schema["properties"].items() if not kinds & entry.keys()]


def open_texts(schema: object) -> list[object]:
    """Schemas of texts that match no pattern, or match one with a line break after it."""
    if isinstance(schema, list):
        return [found for item in schema for found in open_texts(item)]
    if not isinstance(schema, dict):
        return []
    is_open = schema.get("type") == "string" and ("pattern" not in schema or schema.get("not") != {"pattern": r"\n"})
    return [*([schema] if is_open else []), *open_texts(list(schema.values()))]


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda item: item["name"])
def test_entrypoint_is_the_real_flow_with_typed_parameters(deployment: dict[str, Any]) -> None:
    loaded: Flow[..., Any] = load_flow_from_entrypoint(deployment["entrypoint"], use_placeholder_flow=False)
    assert loaded.name == deployment["name"]
    schema = parameter_schema(loaded.fn).model_dump_for_openapi()
    assert schema["properties"]
    assert untyped(schema) == []
    assert schema["additionalProperties"] is False
    assert open_texts(schema) == []
    assert deployment["enforce_parameter_schema"] is True


def test_untyped_parameters_are_seen() -> None:
    @flow
    def careless(environment, typed: str) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001
        """Has a parameter without a type."""

    schema = parameter_schema(careless.fn).model_dump_for_openapi()
    assert untyped(schema) == ["environment"]
    assert open_texts(schema) == [schema["properties"]["typed"]]


@pytest.mark.parametrize("name", ["drift", "audit", "sweep"])
def test_scheduled_flows_say_when_and_in_which_timezone(name: str) -> None:
    (deployment,) = [item for item in DEPLOYMENTS if item["name"] == name]
    (schedule,) = deployment["schedules"]
    assert len(schedule["cron"].split()) == 5
    assert schedule["timezone"]
    assert schedule["active"] is True


def test_provision_has_no_concurrency_limit() -> None:
    limited = {item["name"] for item in DEPLOYMENTS if "concurrency_limit" in item}
    assert limited == {"drift", "sweep", "audit"}


def test_flows_that_change_something_run_on_request_only() -> None:
    assert {item["name"] for item in DEPLOYMENTS if "schedules" not in item} == {"provision", "validate"}
