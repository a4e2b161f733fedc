from typing import Any

import pytest

from holdtrue.core.hosts import parse_hosts, placeholders
from holdtrue.core.template import fill
from holdtrue.errors import RejectedError
from holdtrue.models.stack import StackOutputs

WEB: dict[str, Any] = {"name": "web-1", "address": "10.0.0.1", "port": 22.0, "user": "deploy"}


def outputs(hosts: Any, **others: Any) -> StackOutputs:
    return StackOutputs(values={"hosts": hosts, **others})


def test_hosts_are_read_with_whole_numbers_and_variables() -> None:
    (host,) = parse_hosts(outputs([{**WEB, "variables": {"http_port": 8080.0}}]), "hosts")

    assert host.port == 22
    assert host.variables == {"http_port": 8080}


def test_a_host_may_have_lists_and_mappings_among_its_variables() -> None:
    variables = {"disks": [{"size": 20.0, "tags": ["a"]}], "limits": {"share": 0.5}, "none": None}
    (host,) = parse_hosts(outputs([{**WEB, "variables": variables}]), "hosts")
    assert host.variables == {"disks": [{"size": 20, "tags": ["a"]}], "limits": {"share": 0.5}, "none": None}
    size = host.variables["disks"][0]["size"]  # type: ignore[index,call-overload] # as asserted above
    assert isinstance(size, int)
    assert fill("{limits_of}", {**placeholders(outputs([WEB]), host), "limits_of": 1}, where="probe") == "1"
    with pytest.raises(RejectedError, match="disks"):
        fill("{disks}", placeholders(outputs([WEB]), host), where="probe")


@pytest.mark.parametrize(
    "hosts",
    [
        None,
        {},
        "web-1",
        [],
        ["web-1"],
        [{**WEB, "port": 0}],
        [{**WEB, "port": 22.5}],
        [{**WEB, "extra": 1}],
        [{**WEB, "name": "-oProxyCommand=touch /tmp/x"}],
        [{**WEB, "address": "a b"}],
        [{**WEB, "user": "-root"}],
        [{**WEB, "name": "web-1\n[other]"}],
        [WEB, WEB],
    ],
)
def test_anything_else_is_refused_by_name(hosts: Any) -> None:
    with pytest.raises(RejectedError) as refusal:
        parse_hosts(outputs(hosts), "hosts")

    assert "hosts" in refusal.value.where


def test_a_secret_output_is_said_to_be_one() -> None:
    with pytest.raises(RejectedError, match="secret"):
        parse_hosts(StackOutputs(values={}, secret_names=("hosts",)), "hosts")


def test_templates_are_filled_from_outputs_and_the_host() -> None:
    stack = outputs([{**WEB, "variables": {"http_port": 8080.0}}], url="http://lb")
    (host,) = parse_hosts(stack, "hosts")

    filled = fill("{url}/{name} {address}:{http_port} {{x}}", placeholders(stack, host), where="probe")

    assert filled == "http://lb/web-1 10.0.0.1:8080 {x}"


@pytest.mark.parametrize(
    "template", ["{unknown}", "{}", "{0}", "{url.x}", "{url[0]}", "{url!r}", "{url:>9}", "{", "{hosts}"]
)
def test_a_template_that_cannot_be_filled_is_refused(template: str) -> None:
    with pytest.raises(RejectedError):
        fill(template, placeholders(outputs([WEB], url="x")), where="probe")
