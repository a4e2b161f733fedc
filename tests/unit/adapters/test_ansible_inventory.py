from typing import Any

import pytest
import yaml

from holdtrue.adapters.ansible.inventory import render_inventory, render_variables
from holdtrue.models.host import Host


class _Loader(yaml.SafeLoader):
    """Reads `!unsafe` texts as pairs, so that a test sees which texts carry the tag."""


_Loader.add_constructor("!unsafe", lambda _, node: ("unsafe", node.value))


def _load(text: str) -> Any:
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader with one more scalar


def _host(name: str, **variables: str | float) -> Host:
    return Host(name=name, address="10.0.0.1", user="deploy", variables=variables)


@pytest.mark.parametrize(
    "text",
    ["{{ 7 * 7 }}", "a: b", "'\"\\", "line\nline\r\n", "tab\t\x7f\x85\u2028", "täst 🔐", "", "!unsafe x", "yes", "- 1"],
)
def test_every_text_is_data(text: str) -> None:
    assert _load(render_variables({"value": text})) == {"value": ("unsafe", text)}


def test_numbers_and_booleans_keep_their_type() -> None:
    assert _load(render_variables({"port": 80, "on": True, "share": 0.5})) == {"port": 80, "on": True, "share": 0.5}


def test_a_host_is_reached_by_its_name_as_its_user() -> None:
    inventory = _load(render_inventory([_host("web-1", http_port=8080, ansible_host="elsewhere", ansible_user="x")]))
    assert inventory["all"]["hosts"]["web-1"] == {
        "address": ("unsafe", "10.0.0.1"),
        "http_port": 8080,
        "ansible_host": ("unsafe", "web-1"),
        "ansible_port": 22,
        "ansible_user": ("unsafe", "deploy"),
    }


def test_groups_come_from_a_variable() -> None:
    inventory = _load(render_inventory([_host("a", groups="web, eu"), _host("b", groups="web"), _host("c")]))
    assert inventory["all"]["children"] == {
        "web": {"hosts": {"a": None, "b": None}},
        "eu": {"hosts": {"a": None}},
    }
    assert "groups" not in inventory["all"]["hosts"]["a"]
