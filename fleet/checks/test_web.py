"""What must hold on every web host: ordinary Testinfra checks.

    pytest --hosts=ssh://web-1,ssh://web-2 --ssh-config=ssh_config test_web.py

The service's files are below HOLDTRUE_HOST_ROOT as the host's sessions have it, or below / where it is not set.
"""

import json
from typing import Any

import pytest
from testinfra.host import Host


@pytest.fixture(scope="module")
def home(host: Host) -> str:
    root = host.check_output('printf %s "${HOLDTRUE_HOST_ROOT:-/}"').rstrip("/")
    return f"{root}/srv/web"


@pytest.fixture(scope="module")
def config(host: Host, home: str) -> dict[str, Any]:
    settings: dict[str, Any] = json.loads(host.file(f"{home}/config.json").content_string)
    return settings


@pytest.fixture(scope="module")
def pid(host: Host, home: str) -> int:
    return int(host.file(f"{home}/web.pid").content_string)


def test_configuration_is_for_the_service_only(host: Host, home: str) -> None:
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


def test_service_runs(host: Host, home: str, pid: int) -> None:
    command = host.file(f"/proc/{pid}/cmdline").content_string.split("\0")
    assert f"{home}/releases/current/server.py" in command


def test_service_listens_where_it_should(host: Host, config: dict[str, Any]) -> None:
    assert host.socket(f"tcp://{config['listen']}:{config['port']}").is_listening


def test_service_answers(host: Host, config: dict[str, Any]) -> None:
    ask = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=5).read().decode())"
    url = f"http://{config['listen']}:{config['port']}/health"
    assert host.check_output("python3 -c %s %s", ask, url).strip() == "ok"
