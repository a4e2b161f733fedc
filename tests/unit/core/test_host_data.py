"""What the data of a host may be: everything else is refused by name, before any tool sees it."""

import time
from typing import Any

import pytest
from pydantic import JsonValue

from holdtrue.core.hosts import parse_hosts, placeholders
from holdtrue.core.template import fill_path, fill_url
from holdtrue.errors import RejectedError
from holdtrue.models.host import Host
from holdtrue.models.stack import StackOutputs

WEB: dict[str, Any] = {"name": "web-1", "address": "10.0.0.1", "port": 22.0, "user": "deploy"}


def parse(**changes: Any) -> Host:
    (host,) = parse_hosts(StackOutputs(values={"hosts": [WEB | changes]}), "hosts")
    return host


def refusal(**changes: Any) -> RejectedError:
    with pytest.raises(RejectedError) as caught:
        parse(**changes)
    return caught.value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ansible_connection", "local"),
        ("ansible_ssh_common_args", "-oProxyCommand=true"),
        ("ansible_python_interpreter", "/opt/script"),
        ("ansible_python_interpreter", "python3"),
        ("ansible_python_interpreter", "/usr/bin/python3 -c x"),
        ("ansible_python_interpreter", "/usr/bin/env python3"),
        ("ansible_python_interpreter", "/usr/bin/../../tmp/x/python3"),
        ("ansible_python_interpreter", "/usr/bin/python3\n"),
        ("ansible_python_interpreter", "{{ lookup('pipe', 'true') }}"),
        ("ansible_python_interpreter", "auto_loud"),
        ("ansible_python_interpreter", ["/usr/bin/python3"]),
        ("ansible_python_interpreter", None),
        ("ansible_perl_interpreter", "/usr/bin/perl"),
        ("ansible_host", "10.0.0.2"),
        ("ansible_user", "root"),
        ("ansible_port", 22),
        ("ansible_become", True),
        ("ansible_become_exe", "/tmp/x"),  # noqa: S108 - only a value
        ("ansible_facts", {"discovered_interpreter_python": "/x"}),
        ("_ansible_remote_tmp", "x"),
        ("delegated_vars", {}),
        ("inventory_hostname", "localhost"),
        ("playbook_dir", "/x"),
        ("hostvars", {}),
        ("vars", {}),
        ("host_key_alias", "a b"),
        ("host_key_alias", "-x"),
        ("host_key_alias", 1),
        ("groups", "../../evil"),
        ("groups", ["web", "/etc"]),
        ("groups", "all"),
        ("groups", {"web": 1}),
        ("groups", [1]),
        ("marked", {"__ansible_type": "x"}),
        ("marked", [1, {"deep": [{"__ansible_vault": "x"}]}]),
        ("a b", 1),
        ("1st", 1),
        ("täst", 1),
        ("a\n", 1),
        ("a\n", {"__ansible_type": 1}),
        ("ansible_connection\n\x1b[2J", "local"),
        ("", 1),
    ],
)
def test_a_variable_that_could_decide_what_runs_is_refused_by_name(name: str, value: JsonValue) -> None:
    error = refusal(variables={"fine": 1, name: value})
    assert name.encode("unicode_escape").decode().replace("\\xe4", "\\xe4") in error.what
    assert "fine" not in error.what
    assert error.where == "host web-1, stack output 'hosts'[0]"
    assert error.next_step


@pytest.mark.parametrize(
    "path",
    [
        *("/usr/bin/python3", "/usr/bin/python", "/usr/bin/python3.13t", "/usr/libexec/platform-python"),
        *("/opt/my-app_1/venv+x/bin/pypy3", "/srv/.pyenv/3.11.7/bin/python3.11", "auto", "auto_silent"),
    ],
)
def test_the_python_of_a_host_may_be_given(path: str) -> None:
    assert parse(variables={"ansible_python_interpreter": path}).variables == {"ansible_python_interpreter": path}


def test_ordinary_variables_may_have_any_value() -> None:
    variables: dict[str, JsonValue] = {
        "text": "{{ lookup('pipe', 'true') }}",
        "list": ["{% raw %}", {"ansible_connection": "local"}],
        "class": None,
        "peer": "localhost",
        "groups": ["web", "eu-1"],
        "host_key_alias": "web-1.example.org",
        "ansible": "not one of Ansible's own",
    }
    assert parse(variables=variables).variables == variables


def test_everything_that_is_refused_is_named_at_once() -> None:
    error = refusal(user="-root", port=0, variables={"ansible_connection": "local", "ansible_shell_type": "sh"})
    assert [
        word for word in ("user", "port", "ansible_connection", "ansible_shell_type") if word not in error.what
    ] == []


def test_what_the_data_calls_its_fields_cannot_forge_a_line() -> None:
    error = refusal(**{"name": "web\n\x1b[2Jx", "x\nINFO all is well\x1b": 1, "variables": {"y\u202e\n": 1}})
    for text in (error.what, error.where):
        assert text.isascii()
        assert text.isprintable()


@pytest.mark.parametrize(
    "name",
    ["localhost", "127.0.0.1", "all", "ungrouped", "-x", "a,b", "a/b", "a?b", "a:b", "a;b", "*", "a b", "a\n", ""],
)
def test_a_name_that_means_something_to_a_tool_is_refused(name: str) -> None:
    assert "name" in refusal(name=name).what


@pytest.mark.parametrize("user", ["-x", "a b", "a@b", "a;b", "a%h", "a\n", "${HOME}", "", "Root"])
def test_a_user_that_means_something_to_a_tool_is_refused(user: str) -> None:
    assert "user" in refusal(user=user).what


@pytest.mark.parametrize(
    "changes",
    [
        {"variables": {f"ansible_{number}": 1 for number in range(1_000)}},
        {"variables": {"ansible_" + "x" * 1_000_000: 1}},
        {"variables": {"x" * 1_000_000: {"__ansible_unsafe": 1}}},
        {"x" * 1_000_000: 1},
    ],
    ids=["many", "long", "long-marked", "long-field"],
)
def test_a_refusal_stays_readable_however_much_is_refused(changes: dict[str, JsonValue]) -> None:
    assert len(str(refusal(**changes))) < 10_000


def test_many_hosts_are_read_at_once_and_many_doubles_are_counted() -> None:
    host = {"address": "10.0.0.1", "user": "deploy"}
    hosts: list[JsonValue] = [{**host, "name": f"web-{number}"} for number in range(50_000)]
    began = time.process_time()
    assert len(parse_hosts(StackOutputs(values={"hosts": hosts}), "hosts")) == len(hosts)
    assert time.process_time() - began < 15, "50,000 names compared with each other take a minute"
    with pytest.raises(RejectedError, match=r"web-0, .* and 995 more") as raised:
        parse_hosts(StackOutputs(values={"hosts": hosts[:1000] * 2}), "hosts")
    assert len(str(raised.value)) < 1_000


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "127.0.0.1", "2001:db8::1", "::1", "web-1.example.org", "localhost", "64:ff9b::a00:1"]
)
def test_an_address_is_an_ip_address_or_a_dns_name(address: str) -> None:
    assert parse(address=address).address == address


@pytest.mark.parametrize(
    "address",
    [
        *("169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "fd00:ec2::254", "0.0.0.0", "::", "224.0.0.1"),  # noqa: S104
        *("fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16", "::169.254.169.254", "2002:a9fe:a9fe::"),
        *("64:ff9b::a9fe:a9fe", "64:ff9b::6464:64c8", "::ffff:0:169.254.169.254"),
        *("fe80::1%eth0", "2852039166", "127.1", "0x7f.1", "10.0.0.256", "1.2.3.4.5", "[::1]", "::1]:80", "a:80"),
        *("-oProxyCommand=x", "a b", "a/b", "a@b", "a#b", "%h", "a\n", "a\nHost *", "", "täst"),
    ],
)
def test_any_other_address_is_refused(address: str) -> None:
    assert "address" in refusal(address=address).what


URL = "http://{address}:{http_port}{path}"


@pytest.mark.parametrize(
    ("template", "changes", "url"),
    [
        (URL, {}, "http://10.0.0.1:80/health?x=1"),
        (URL, {"address": "2001:db8::1"}, "http://[2001:db8::1]:80/health?x=1"),
        ("http://[{address}]/", {"address": "::1"}, "http://[::1]/"),
        ("http://own:word@{address}/", {}, "http://own:word@10.0.0.1/"),
    ],
)
def test_a_url_is_filled_from_a_host(template: str, changes: dict[str, str], url: str) -> None:
    host = parse(**changes, variables={"http_port": 80, "path": "/health?x=1"})
    assert fill_url(template, placeholders(StackOutputs(values={}), host), where="probe") == url


@pytest.mark.parametrize(
    "values",
    [
        {"http_port": "80@169.254.169.254"},
        {"http_port": "80@elsewhere", "path": ""},
        {"path": "/ HTTP/1.1\r\nHost: x"},
        {"path": "\n"},
        {"path": "\\@elsewhere"},
        {"path": "/\x00"},
        {"whole": "http://user:word@elsewhere/"},
        {"whole": "http://169.254.169.254/latest/"},
        {"whole": "http://[fe80::1]/"},
        {"whole": "http://[64:ff9b::a9fe:a9fe]/"},
        {"whole": "http://100.100.100.200/"},
        {"whole": "http://[::1/"},
        {"whole": "http://169.254.169.254./"},
        {"whole": "http://2852039166/"},
        {"whole": "http://0xA9FEA9FE:80/"},
        {"whole": "http://\uff11\uff16\uff19.254.169.254/"},
    ],
)
def test_values_cannot_change_what_kind_of_url_it_is(values: dict[str, JsonValue]) -> None:
    template = "{whole}" if "whole" in values else URL
    with pytest.raises(RejectedError, match="URL"):
        fill_url(template, {"address": "10.0.0.1", "http_port": 80, "path": "/", **values}, where="probe")


def test_a_path_has_no_control_characters() -> None:
    assert fill_path("{socket}", {"socket": "/run/haproxy.sock"}, where="traffic.socket") == "/run/haproxy.sock"
    for socket in ("\x00abstract", "/run/a\nb"):
        with pytest.raises(RejectedError, match="control character"):
            fill_path("{socket}", {"socket": socket}, where="traffic.socket")
