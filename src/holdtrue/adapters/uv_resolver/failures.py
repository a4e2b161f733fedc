"""What uv says when it fails, as our errors, without the addresses: they may hold a credential.

The texts are those of uv 0.13, and of the older ones that say the same; integration tests guard them.
"""

import re
from typing import Final

from holdtrue.core.fix_resolution import NoSolution
from holdtrue.errors import AccessDenied, HoldtrueError, RejectedError, ServiceNotReady, ServiceUnreachable

_DENIED: Final = re.compile(r"lack of valid authentication|\b40[13] (?:Unauthorized|Forbidden)|error \(40[13] ")
_STATUS: Final = re.compile(r"HTTP status (?:server|client) error \((\d{3})")
_OFFLINE: Final = re.compile(r"network (?:was|is) disabled", re.IGNORECASE)
_UNREACHABLE: Final = re.compile(
    r"error sending request|client error \(Connect\)|tcp connect error|dns error|timed out|connection (?:reset|closed)"
    r"|Could not resolve host|Couldn't connect to server|Failed to connect|tunnel error|error decoding response body"
    r"|Failed to fetch",
    re.IGNORECASE,
)
_TOO_MANY, _SERVER_ERROR = 429, 500
_NO_SOLUTION: Final = "No solution found"
_ADDRESS: Final = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?P<host>[^\s/?#`'\"<>()]*)(?P<rest>[^\s`'\"<>()]*)"
)
_NOISE: Final = re.compile(r"^(?:warning|hint|Using |Resolved |Updating |Updated |For more information)", re.IGNORECASE)
_LEAD: Final = re.compile(r"^(?:error|cause|Caused by)?\s*:?\s*(?:[\u00d7\u2500-\u25b6]+\s*)*")
_EXCLUDED: Final = re.compile(r"exclude[- ]newer", re.IGNORECASE)
_CUTOFF: Final = re.compile(r"uploaded before (\d{4}-\d\d-\d\d[T0-9:.]*Z?)")
_GIT: Final = re.compile(r"Git operation failed")
_GIT_REASON: Final = re.compile(r"^\s*fatal: (.*)$", re.MULTILINE)
_LINES: Final = 6
_LONGEST: Final = 800


def explain_failure(exit_code: int, tail: str) -> NoSolution:
    """Why nothing goes together.

    Raises:
        HoldtrueError: something else failed; of which class, `UvResolver.run` says.
    """
    # An index that refuses or does not answer makes packages look as if there were none: that is no answer.
    failure = _index_failure(tail)
    if failure is not None:
        raise failure
    reason = first_lines(tail)
    if _NO_SOLUTION in tail:
        return NoSolution(f"{reason}{_held_back(tail)}")
    raise RejectedError(
        f"uv cannot resolve it: {reason or f'it ended with {exit_code}'}",
        next_step="correct the file, or the configuration of uv",
    )


def _held_back(tail: str) -> str:
    """That the setting `exclude-newer` takes newer versions out, where uv says so in its reason or in a hint."""
    if not _EXCLUDED.search(tail):
        return ""
    cutoff = _CUTOFF.search(tail)
    since = f" (nothing uploaded from {cutoff[1]} on)" if cutoff else ""
    return (
        f" The setting exclude-newer{since} holds newer versions back: raise it where it is set (UV_EXCLUDE_NEWER, "
        "pyproject.toml, uv.toml), or except the package with exclude-newer-package."
    )


def _index_failure(tail: str) -> HoldtrueError | None:
    if _DENIED.search(tail):
        return AccessDenied(
            "the package index refused the credentials, or there were none", next_step="give uv valid ones for it"
        )
    if _OFFLINE.search(tail):
        return ServiceUnreachable("uv may not use the network", next_step="unset UV_OFFLINE")
    if _GIT.search(tail):
        said = _GIT_REASON.search(tail)
        reason = without_addresses(said[1].strip()) if said else "git failed"
        return ServiceUnreachable(
            f"a repository cannot be read: {reason[:_LONGEST]}", next_step="check its address, and your access to it"
        )
    status = _STATUS.search(tail)
    if status and (int(status[1]) >= _SERVER_ERROR or int(status[1]) == _TOO_MANY):
        return ServiceNotReady(f"the package index answered HTTP {status[1]}", next_step="ask again later")
    if status is None and _UNREACHABLE.search(tail):
        return ServiceUnreachable(
            f"the package index did not answer: {first_lines(tail)}",
            next_step="check its address, the network, the proxy and SSL_CERT_FILE",
        )
    return None


def first_lines(tail: str) -> str:
    """The first lines that tell something, on one line."""
    stripped = (_LEAD.sub("", line.strip()).strip() for line in tail.splitlines())
    told = [line for line in stripped if line and not _NOISE.match(line)]
    kept = [line for line in told if _NO_SOLUTION not in line] or told
    return without_addresses(" ".join(kept[:_LINES]))[:_LONGEST]


def without_addresses(text: str) -> str:
    """Of each address the scheme and host, and not even that when it may hold a user name."""
    return _ADDRESS.sub(_shorten, text)


def _shorten(found: re.Match[str]) -> str:
    if "@" in found["host"] + found["rest"]:
        return f"{found['scheme']}[not repeated]"
    return found["scheme"] + found["host"]
