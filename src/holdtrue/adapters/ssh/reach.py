"""Does every host answer, and if not, why: one command a host, all at once."""

import re
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from holdtrue.models.credentials import SshAccess
from holdtrue.models.host import Host
from holdtrue.models.validation import CheckOutcome, CheckResult
from holdtrue.runtime.folder import private_folder
from holdtrue.runtime.process import tool_environment

_CHECK_NAME = "ssh login"
_AT_ONCE = 32
"""Logins at the same time; sshd drops more than 10 to 100 unauthenticated ones (MaxStartups), but that is per host."""

_CAUSES = (
    (r"Connection refused", "refused: nothing listens on the port; is sshd running, is the port right?"),
    (r"timed out", "timed out: no answer; is the host up, does a firewall drop the packets?"),
    (r"No route to host|Network is unreachable", "no route to the address"),
    (r"Could not resolve hostname", "the address is not a known name"),
    (
        r"Host key verification failed|host key is known|REMOTE HOST IDENTIFICATION|certificate.*(?:invalid|expired)",
        "the host key is not signed by the configured host CA for this address",
    ),
    (
        r"Permission denied",
        "the host refused the certificate: it does not trust the CA, or the user is not among the principals",
    ),
    (
        r"Connection (?:closed|reset)|kex_exchange|banner",
        "the connection was closed before the login: the port is not SSH's, or sshd is overloaded",
    ),
)
"""What OpenSSH 9 writes to standard error, and what it means to a person."""

_EXPIRED = "the certificate has expired and the agent has dropped it: have it signed with a longer TTL"


@dataclass(slots=True)
class _Login:
    host: Host
    process: subprocess.Popen[bytes]
    errors: IO[bytes]
    started: float


def reach(access: SshAccess, hosts: Sequence[Host], timeout_seconds: float) -> tuple[CheckResult, ...]:
    """Log in to every host, in the order given; `passed`, or `error` with a cause that a person understands.

    The connections stay open and are shared by every later ssh of this access, and end with it. `timeout_seconds`
    is for one host, from its own start.
    """
    results: list[CheckResult] = []
    with private_folder("ht-reach") as folder:
        for first in range(0, len(hosts), _AT_ONCE):
            results += _reach_batch(access, hosts[first : first + _AT_ONCE], timeout_seconds, folder)
    return tuple(results)


def explain(stderr: str, *, agent_is_empty: bool = False) -> str:
    """The cause behind ssh's own words, with those words after it."""
    said = " ".join(re.sub(r"[^\x20-\x7e\n]", "?", stderr).split())[-300:]
    cause = next((cause for pattern, cause in _CAUSES if re.search(pattern, stderr)), "")
    if agent_is_empty and "Permission denied" in stderr:
        cause = _EXPIRED
    return f"{cause} ({said})" if cause and said else cause or said or "ssh ended without a word"


def _reach_batch(access: SshAccess, hosts: Sequence[Host], timeout_seconds: float, folder: Path) -> list[CheckResult]:
    with ExitStack() as stack:
        logins: list[_Login] = []
        try:
            for host in hosts:
                # A file, not a pipe: the shared connection goes to the background and would keep a pipe open.
                errors = stack.enter_context((folder / host.name).open("w+b"))
                logins.append(_Login(host, _start(access, host, errors), errors, time.monotonic()))
            return [_finish(access, login, timeout_seconds) for login in logins]
        finally:
            for login in logins:
                with suppress(ProcessLookupError):
                    login.process.kill()
                login.process.wait()


def _start(access: SshAccess, host: Host, errors: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["ssh", "-F", str(access.config), "-T", "--", host.name, "true"],
        env=tool_environment({"SSH_AUTH_SOCK": str(access.agent_socket)}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=errors,
        start_new_session=True,
    )


def _finish(access: SshAccess, login: _Login, timeout_seconds: float) -> CheckResult:
    remaining = max(0.0, login.started + timeout_seconds - time.monotonic())
    detail = ""
    try:
        exit_code = login.process.wait(remaining)
    except subprocess.TimeoutExpired:
        exit_code, detail = -1, f"timed out: no login within {timeout_seconds:g} s"
    if exit_code and not detail:
        login.errors.seek(0)
        stderr = login.errors.read().decode(errors="replace")
        detail = explain(stderr, agent_is_empty=_agent_is_empty(access))
    return CheckResult(
        target=login.host.name,
        name=_CHECK_NAME,
        kind="ssh",
        outcome=CheckOutcome.ERROR if exit_code else CheckOutcome.PASSED,
        detail=detail,
        duration_seconds=time.monotonic() - login.started,
    )


def _agent_is_empty(access: SshAccess) -> bool:
    """True when the agent has dropped the certificate (ssh-add(1): `-l` exits 1 when there are no identities)."""
    answer = subprocess.run(
        ["ssh-add", "-l"],
        env=tool_environment({"SSH_AUTH_SOCK": str(access.agent_socket)}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=5,
        check=False,
    )
    return answer.returncode == 1
