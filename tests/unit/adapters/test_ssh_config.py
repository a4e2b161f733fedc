import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncssh
import pytest
from pydantic import SecretStr, ValidationError

from holdtrue.adapters.ssh import generate_key_pair
from holdtrue.adapters.ssh.config import render_config, render_known_hosts
from holdtrue.adapters.ssh.keys import add_to_agent, remaining_seconds
from holdtrue.adapters.ssh.reach import explain
from holdtrue.errors import AccessDenied, ConfigurationFailed, SecretInvalid
from holdtrue.models.credentials import SshIdentity
from holdtrue.models.host import Host

_NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _config(*hosts: Host) -> str:
    folder = Path("/dev/shm/x")  # noqa: S108 - a name only
    return render_config(hosts, agent_socket=folder / "agent", known_hosts=folder / "known", masters=folder / "m")


def _host(name: str = "web-1", **changes: object) -> Host:
    return Host.model_validate({"name": name, "address": "10.0.0.1", "port": 2222, "user": "deploy"} | changes)


def _identity(expires_at: datetime, certificate: str = "", private_key: str = "") -> SshIdentity:
    return SshIdentity(
        private_key=SecretStr(private_key), certificate=certificate, principals=("deploy",), expires_at=expires_at
    )


def _block(config: str, name: str) -> dict[str, str]:
    """The options of one `Host` block."""
    block = re.split(r"^Host ", config, flags=re.MULTILINE)[1:]
    lines = next(part.splitlines() for part in block if part.splitlines()[0] == name)
    return dict(line.strip().split(" ", 1) for line in lines[1:] if line.strip())


def test_a_host_has_its_own_block() -> None:
    assert _block(_config(_host(), _host("web-2", port=22)), "web-1") == {
        "HostName": "10.0.0.1",
        "Port": "2222",
        "User": "deploy",
    }


def test_a_host_may_have_an_ipv6_address() -> None:
    assert _block(_config(_host(address="2001:db8::5")), "web-1")["HostName"] == "2001:db8::5"


def test_a_host_key_alias_is_a_variable_of_the_host() -> None:
    host = _host(variables={"host_key_alias": "web-1.example.org"})
    assert _block(_config(host), "web-1")["HostKeyAlias"] == "web-1.example.org"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("StrictHostKeyChecking", "yes"),
        ("GlobalKnownHostsFile", "none"),
        ("IdentityFile", "none"),
        ("BatchMode", "yes"),
        ("ForwardAgent", "no"),
        ("PreferredAuthentications", "publickey"),
    ],
)
def test_every_host_is_strict(option: str, value: str) -> None:
    assert _block(_config(_host()), "*")[option] == value


@pytest.mark.parametrize("name", ["-oProxyCommand=touch x", "a b", "a\nb", "a\n", "*", "%h", "", "a;b", "ä"])
def test_a_hostile_name_is_refused_by_type_and_by_the_renderer(name: str) -> None:
    with pytest.raises(ValidationError):
        _host(name)
    for host in (
        _host().model_copy(update={"name": name}),
        _host().model_copy(update={"address": name}),
        _host().model_copy(update={"variables": {"host_key_alias": name}}),
    ):
        with pytest.raises(ConfigurationFailed):
            _config(host)


def test_two_hosts_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigurationFailed, match="web-1"):
        _config(_host(), _host())


def test_known_hosts_holds_authorities_only() -> None:
    assert render_known_hosts(["ssh-ed25519 AAAA\n", "@cert-authority *.example.org ssh-rsa BBBB", " "]) == (
        "@cert-authority * ssh-ed25519 AAAA\n@cert-authority *.example.org ssh-rsa BBBB\n"
    )


def test_a_generated_pair_belongs_together() -> None:
    private_key, public_key = generate_key_pair()
    assert private_key.get_secret_value() not in repr(private_key)
    key = asyncssh.import_private_key(private_key.get_secret_value())
    assert key.export_public_key().decode().strip() == public_key
    assert public_key.startswith("ssh-ed25519 ")
    assert "\n" not in public_key


def test_the_agent_keeps_a_key_as_long_as_its_certificate_is_good() -> None:
    assert remaining_seconds(_identity(_NOW + timedelta(seconds=9.2)), _NOW) == 10
    with pytest.raises(AccessDenied):
        remaining_seconds(_identity(_NOW), _NOW)


def test_an_unreadable_or_foreign_certificate_is_refused_without_its_key(tmp_path: Path) -> None:
    private_key, public_key = generate_key_pair()
    authority = asyncssh.generate_private_key("ssh-ed25519")
    other = asyncssh.generate_private_key("ssh-ed25519").convert_to_public()
    foreign = authority.generate_user_certificate(other, "x", principals=["deploy"])
    later = datetime.now(UTC) + timedelta(minutes=1)
    for certificate in ("ssh-ed25519-cert-v01@openssh.com AAAA", public_key, "", foreign.export_certificate().decode()):
        identity = _identity(later, certificate, private_key.get_secret_value())
        with pytest.raises(SecretInvalid) as refusal:
            add_to_agent(tmp_path / "agent", identity)
        assert private_key.get_secret_value().splitlines()[1] not in str(refusal.value)
    with pytest.raises(SecretInvalid):
        add_to_agent(tmp_path / "agent", _identity(later, foreign.export_certificate().decode(), "not a key"))


@pytest.mark.parametrize(
    ("stderr", "word"),
    [
        ("ssh: connect to host 127.0.0.1 port 1: Connection refused", "refused"),
        ("ssh: connect to host 10.1.1.1 port 22: Connection timed out", "timed out"),
        ("Connection timed out during banner exchange\nConnection to 127.0.0.1 port 2 timed out", "timed out"),
        ("No ED25519 host key is known for x and you have requested strict checking.\n", "host CA"),
        ("Host key verification failed.", "host CA"),
        ("root@127.0.0.1: Permission denied (publickey).", "certificate"),
        ("ssh: Could not resolve hostname nowhere: Name or service not known", "known name"),
        ("kex_exchange_identification: Connection closed by remote host", "before the login"),
        ("", "without a word"),
    ],
)
def test_the_cause_is_in_words(stderr: str, word: str) -> None:
    assert word in explain(stderr)


def test_an_empty_agent_means_an_expired_certificate() -> None:
    assert "expired" in explain("x: Permission denied (publickey).", agent_is_empty=True)


def test_terminal_sequences_from_a_host_are_not_passed_on() -> None:
    assert "\x1b" not in explain("\x1b[31mevil\x1b]0;title\x07")
