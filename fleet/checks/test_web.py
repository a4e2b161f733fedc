"""What must hold on every web host: ordinary Testinfra checks.

    pytest --hosts=ssh://web-1,ssh://web-2 --ssh-config=ssh_config test_web.py

The service's files are below HOLDTRUE_HOST_ROOT as the host's sessions have it, or below / where it is not set.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest
from testinfra.host import Host

ASK = """
import sys, urllib.request
with urllib.request.urlopen(sys.argv[1], timeout=5) as answer:
    print(answer.headers["X-Web-Version"], answer.read().decode())
"""


@pytest.fixture(scope="module")
def home(host: Host) -> str:
    root = host.check_output('printf %s "${HOLDTRUE_HOST_ROOT:-/}"').rstrip("/")
    return f"{root}/srv/web"


@pytest.fixture(scope="module")
def config(host: Host, home: str) -> dict[str, Any]:
    settings: dict[str, Any] = json.loads(host.file(f"{home}/config.json").content_string)
    return settings


def running_command(host: Host, home: str) -> list[str]:
    """Command line of the process that the pid file names."""
    pid = int(host.file(f"{home}/web.pid").content_string)
    process = host.file(f"/proc/{pid}/cmdline")
    assert process.exists, f"process {pid} is gone"
    return str(process.content_string).split("\0")


@pytest.fixture
def ask(host: Host, home: str, config: dict[str, Any]) -> Callable[[str], str]:
    """Ask the service from its own host, with its own Python: nothing else need be installed there."""

    def get(path: str) -> str:
        url = f"http://{config['listen']}:{config['port']}{path}"
        return str(host.check_output("%s -c %s %s", running_command(host, home)[0], ASK, url))

    return get


def test_configuration_is_not_for_everyone(host: Host, home: str) -> None:
    file = host.file(f"{home}/config.json")
    assert file.is_file
    assert file.mode == 0o640


def test_configuration_is_complete(config: dict[str, Any]) -> None:
    assert config["name"]
    assert config["version"]
    assert 0 < config["port"] < 65536


def test_current_release_is_the_configured_one(host: Host, home: str, config: dict[str, Any]) -> None:
    release = host.file(f"{home}/releases/current")
    assert release.is_symlink
    assert release.linked_to.endswith(f"/releases/{config['version']}")
    assert host.file(f"{home}/releases/current/index.html").size > 0


def test_service_runs(host: Host, home: str) -> None:
    assert f"{home}/releases/current/server.py" in running_command(host, home)


def test_service_says_that_it_is_well(ask: Callable[[str], str], config: dict[str, Any]) -> None:
    assert ask("/health").split() == [config["version"], "ok"]


def test_service_shows_the_page_of_its_release(ask: Callable[[str], str], config: dict[str, Any]) -> None:
    version, page = ask("/").split(" ", 1)
    assert version == config["version"]
    assert config["name"] in page
