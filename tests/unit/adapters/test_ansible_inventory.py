from typing import Any

import pytest
import yaml
from pydantic import JsonValue

from holdtrue.adapters.ansible.inventory import render_inventory, render_variables
from holdtrue.models.host import Host


class _Loader(yaml.SafeLoader):
    """Reads `!unsafe` mappings as one more entry, so that a test sees which carry the tag."""


def _tagged(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    return {"!": "unsafe", **loader.construct_mapping(node, deep=True)}


_Loader.add_constructor("!unsafe", _tagged)


def _load(text: str) -> Any:
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader with one more mapping


def _host(name: str, **variables: JsonValue) -> Host:
    return Host(name=name, address="10.0.0.1", user="deploy", variables=variables)


@pytest.mark.parametrize(
    "text",
    [
        *("{{ 7 * 7 }}", "a: b", "'\"\\", "line\nline\r\n", "tab\t\x7f\x85\u2028", "täst 🔐", "", "!unsafe x", "yes"),
        *("- 1", "0123", "12:30:45", "2026-01-01", "<<", "=", "null"),
    ],
)
def test_every_text_is_data_at_every_depth(text: str) -> None:
    value: JsonValue = {"value": text, "deep": [{text: [text]}]}
    assert _load(render_variables({"given": value})) == {"!": "unsafe", "given": value}


def test_what_is_not_a_text_keeps_its_type() -> None:
    given: dict[str, JsonValue] = {"port": 80, "on": True, "share": 0.5, "none": None, "list": [1, []], "map": {}}
    loaded = _load(render_variables(given))
    assert loaded == {"!": "unsafe", **given}
    assert [type(loaded[name]) for name in given] == [type(value) for value in given.values()]


def test_a_value_that_is_given_twice_is_written_twice() -> None:
    shared: JsonValue = ["a"]
    assert _load(render_variables({"one": shared, "two": shared})) == {"!": "unsafe", "one": ["a"], "two": ["a"]}
    assert "&" not in render_variables({"one": shared, "two": shared})


def test_a_host_is_reached_by_its_name_as_its_user() -> None:
    inventory = _load(render_inventory([_host("web-1", http_port=8080)]))
    assert inventory["all"]["hosts"]["web-1"] == {
        "!": "unsafe",
        "address": "10.0.0.1",
        "http_port": 8080,
        "ansible_host": "web-1",
        "ansible_port": 22,
        "ansible_user": "deploy",
    }


def test_groups_come_from_a_variable() -> None:
    hosts = [_host("a", groups="web, eu"), _host("b", groups=["web"]), _host("c"), _host("d", groups=None)]
    inventory = _load(render_inventory(hosts))
    assert inventory["all"]["children"] == {
        "web": {"hosts": {"a": None, "b": None}},
        "eu": {"hosts": {"a": None}},
    }
    assert "groups" not in inventory["all"]["hosts"]["a"]
