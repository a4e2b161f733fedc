"""The one table from what Pulumi says to our error tree. Pure.

Pulumi and its providers tell causes by text only, so the rows are texts, each seen from CLI 3.259 and provoked by a
test. The first row that fits wins; what fits none is a ProgramFailed with the engine's own last words.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from holdtrue.adapters.pulumi.messages import Diagnostic
from holdtrue.core.redaction import redact
from holdtrue.errors import (
    AccessDenied,
    HoldtrueError,
    ProgramFailed,
    ResourceMissing,
    ServiceNotReady,
    ServiceUnreachable,
    StackLocked,
    ToolMissing,
)

_MAXIMUM_CHARACTERS = 600


_UNDONE: Final = re.compile(r"expected resource operations for \S+.*")
"""What the engine says of planned steps that it did not come to, as it does not when a resource before them failed."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that is known of a failed operation."""

    operation: str
    stack: str
    project: Path
    backend_url: str = ""
    diagnostics: Sequence[Diagnostic] = ()
    failed_urns: Sequence[str] = ()
    missing_urns: Sequence[str] = ()
    """Resources of an enforced plan that the program did not declare."""
    text: str = ""
    """What the CLI wrote."""
    error_tail: str = ""
    """The last lines of the child's standard error; where a child that answered nothing has said why."""
    exit_code: int = 0
    """The child's; it matters where the child answered nothing."""
    secrets: Sequence[str] = field(default=(), repr=False)

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """The diagnostics that are errors, without the engine's closing words."""
        closing = {"preview failed", "update failed", "refresh failed"}
        found = [item for item in self.diagnostics if item.severity == "error" and item.text not in closing]
        causes = [item for item in found if not _UNDONE.search(item.text)]
        return tuple(causes if any(item.urn for item in causes) else found)

    @property
    def all_text(self) -> str:
        """Every text, the most specific first."""
        text = "\n".join([*(item.text for item in self.errors), self.text, self.error_tail])
        return _UNDONE.sub("", text) if any(item.urn for item in self.errors) else text

    @property
    def place(self) -> str:
        """The stack, as a message names it."""
        return f"stack {self.stack} of {self.project}"

    @property
    def resource(self) -> str:
        """The resource that failed, or an empty text."""
        urn = next((item.urn for item in self.errors if item.urn), "") or next(iter(self.failed_urns), "")
        return name_of(urn)


def name_of(urn: str) -> str:
    """`type name` of a URN, as messages show it; what is no URN stays as it is."""
    _, _, rest = urn.partition("::")
    _, separator, resource = rest.partition("::")
    return resource.replace("::", " ") if separator else urn


Row = tuple[re.Pattern[str], Callable[[Evidence, re.Match[str]], HoldtrueError]]


def translate(evidence: Evidence) -> HoldtrueError:
    """The error for a failed operation, free of the run's secrets."""
    text = evidence.all_text
    error = _unrecognised(evidence)
    for pattern, make in _TABLE:
        match = pattern.search(text)
        if match:
            error = make(evidence, match)
            break
    what, where = (redact(part, evidence.secrets) for part in (error.what, error.where))
    return type(error)(what, where=where, next_step=error.next_step)


def readable(text: str) -> str:
    """A diagnostic as one short text: of a traceback its last line and place, of a plan violation no values."""
    text = _without_plan_values(text.strip())
    if "Traceback (most recent call last)" in text:
        place = _last_frame(text)
        return f"{_last_line(text)}{f' at {place}' if place else ''}"
    return text if len(text) <= _MAXIMUM_CHARACTERS else f"{text[:_MAXIMUM_CHARACTERS]}…"


def _locked(evidence: Evidence, _: re.Match[str]) -> HoldtrueError:
    holders = re.findall(r"created by (.+)", evidence.all_text)
    return StackLocked(
        f"another update holds the stack: {'; '.join(holders) or 'holder unknown'}",
        where=evidence.place,
        next_step="wait for it to end; if its process is dead, let recovery remove the lock",
    )


def _no_stack(evidence: Evidence, _: re.Match[str]) -> HoldtrueError:
    return ResourceMissing(
        "the stack does not exist", where=evidence.place, next_step="provision the environment first"
    )


def _off_plan(evidence: Evidence, match: re.Match[str]) -> HoldtrueError:
    # The engine does not say which resource it would have deleted: it is one that the program left out.
    what = evidence.resource or ", ".join(map(name_of, evidence.missing_urns[:5])) or match.group(0)
    reason = next((readable(item.text) for item in evidence.errors if "plan" in item.text), readable(match.group(0)))
    return ProgramFailed(
        f"{what} was refused: the plan does not hold this step ({reason})",
        where=evidence.place,
        next_step="the program or the cloud changed after the preview: preview again, and approve that plan",
    )


def _no_config(evidence: Evidence, match: re.Match[str]) -> HoldtrueError:
    names = re.findall(r"'([^']+)'", match["one"] or match["several"])
    secret = "--secret " if re.search(r"pulumi config set --secret", evidence.all_text) else ""
    commands = "; ".join(f"`pulumi config set {secret}{name} <value> --stack {evidence.stack}`" for name in names)
    return ProgramFailed(
        f"the stack's configuration has no value for {', '.join(names)}",
        where=evidence.place,
        next_step=f"run {commands} in the project's folder, with `--secret` for a secret, and commit "
        f"Pulumi.{evidence.stack}.yaml",
    )


def _no_plugin(evidence: Evidence, match: re.Match[str]) -> HoldtrueError:
    return ToolMissing(
        f"a provider plugin is missing: {_words(match)}",
        where=evidence.place,
        next_step="install it on the worker with `pulumi plugin install`",
    )


def _vault_down(evidence: Evidence, match: re.Match[str]) -> HoldtrueError:
    return ServiceUnreachable(
        f"the secrets provider cannot be reached: {_words(match)}",
        where=evidence.place,
        next_step="check that Vault runs and that its address is right",
    )


def _vault_not_ready(evidence: Evidence, match: re.Match[str]) -> HoldtrueError:
    return ServiceNotReady(
        f"the secrets provider answers, but cannot serve: {_words(match)}",
        where=evidence.place,
        next_step="unseal Vault, or wait until it is up",
    )


def _vault_denied(evidence: Evidence, match: re.Match[str]) -> HoldtrueError:
    return AccessDenied(
        f"the secrets provider refused the credential: {_words(match)}",
        where=evidence.place,
        next_step="check the token's lifetime and that its policy allows encrypt and decrypt with the stack's key",
    )


def _wrong_key(evidence: Evidence, match: re.Match[str]) -> HoldtrueError:
    return AccessDenied(
        f"the stack's secrets cannot be opened: {_words(match)}",
        where=evidence.place,
        next_step="use the secrets provider and key that the stack was made with",
    )


def _backend_missing(evidence: Evidence, match: re.Match[str]) -> HoldtrueError:
    return ServiceUnreachable(
        f"the state backend cannot be reached: {_words(match)}",
        where=f"{evidence.place}, backend {evidence.backend_url}",
        next_step="check the backend's address, that it is mounted, and the credentials for it",
    )


def _state_broken(evidence: Evidence, match: re.Match[str]) -> HoldtrueError:
    return ProgramFailed(
        f"the stack's state cannot be read, and nothing was written: {_words(match)}",
        where=f"{evidence.place}, backend {evidence.backend_url}",
        next_step="restore the newest good file from the backend's .pulumi/backups or history, then preview",
    )


def _cloud_down(evidence: Evidence, match: re.Match[str]) -> HoldtrueError:
    return ServiceUnreachable(
        f"the cloud's API cannot be reached{_for_resource(evidence)}: {_words(match)}",
        where=evidence.place,
        next_step="check the endpoint and the network; what was done before is in the state, so run again",
    )


def _cloud_busy(evidence: Evidence, match: re.Match[str]) -> HoldtrueError:
    return ServiceNotReady(
        f"the cloud's API turned the request away{_for_resource(evidence)}: {_words(match)}",
        where=evidence.place,
        next_step="run again later",
    )


def _cloud_denied(evidence: Evidence, match: re.Match[str]) -> HoldtrueError:
    return AccessDenied(
        f"the cloud refused the credential{_for_resource(evidence)}: {_words(match)}",
        where=evidence.place,
        next_step="check the lease's lifetime and that the role's policy allows the call",
    )


def _for_resource(evidence: Evidence) -> str:
    return f" for {evidence.resource}" if evidence.resource else ""


def _unrecognised(evidence: Evidence) -> HoldtrueError:
    """A program's or provider's own exception, or whatever the engine said last."""
    text = next((item.text for item in evidence.errors), "") or evidence.text or evidence.error_tail
    frame = _last_frame(evidence.all_text, inside=evidence.project)
    reason = _last_line(text) if "Traceback" in text else _engine_words(text)
    if not reason and evidence.exit_code:
        ended = f"signal {-evidence.exit_code}" if evidence.exit_code < 0 else f"exit code {evidence.exit_code}"
        reason = f"its process ended with {ended} and gave no reason"
    subject = evidence.resource or "the program"
    return ProgramFailed(
        f"{subject} failed during {evidence.operation}: {reason or 'no reason was given'}",
        where=f"{frame}, {evidence.place}" if frame else evidence.place,
        next_step="repair the program" if frame else "read the run's log for the engine's full words",
    )


def _words(match: re.Match[str]) -> str:
    """The last line that a row matched, without the labels in front of it."""
    return re.sub(r"^(?:stderr: |stdout: |error: )+", "", _last_line(match.group(0)))


def _engine_words(text: str) -> str:
    """The lines that the CLI marks as errors, or its last line."""
    marked = re.findall(r"^\s*error: (.+)", text, re.MULTILINE)
    return readable("; ".join(marked) if marked else _last_line(text))


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:_MAXIMUM_CHARACTERS] if lines else ""


def _last_frame(text: str, inside: Path | None = None) -> str:
    """`file:line` of the deepest frame, of those in the user's project if that is given."""
    frames = re.findall(r'File "([^"]+)", line (\d+)', text)
    if inside is not None:
        root = inside.resolve()
        frames = [(file, line) for file, line in frames if Path(file).is_relative_to(root)]
    return f"{frames[-1][0]}:{frames[-1][1]}" if frames else ""


def _without_plan_values(text: str) -> str:
    """A plan violation quotes property values, secret ones in clear: keep the names."""
    head, marker, tail = text.partition("properties changed: ")
    if not marker:
        return text
    names = sorted(set(re.findall(r"(?:^|, )(?:\+\+|--|~~|==|[+~=-])?([^\[\], ]+)\[", tail)))
    return f"{head}{marker}{', '.join(names) or 'values not shown'}"


def _row(make: Callable[[Evidence, re.Match[str]], HoldtrueError], *patterns: str) -> Row:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.MULTILINE), make


_NETWORK = r"(?:connection refused|no such host|i/o timeout|connection reset|network is unreachable|EOF)"
_VAULT = r"(?:hashivault|/v1/[\w-]+/(?:encrypt|decrypt|keys)|secrets manager)"
_NEAR = r"(?:.*\n){0,12}.*"
"""Vault's client writes the address and the cause on different lines."""
_CODE, _END = r"[(>]", r"[)<]"
"""What surrounds AWS's error codes: botocore's parentheses, or the tags of an answer that it could not read."""

_TABLE: tuple[Row, ...] = (
    _row(_locked, r"the stack is currently locked by"),
    _row(_no_stack, r"no stack named .* found"),
    _row(
        _off_plan,
        r"(?:resource \S+ )?violates plan",
        r"is not allowed by the plan",
        r"expected resource operations for \S+",
    ),
    _row(
        _no_config,
        r"Missing required configuration variable (?P<one>'[^']+')",
        r"[Ss]tack '[^']+' is missing configuration values? (?P<several>'.+)",
    ),
    _row(_no_plugin, r"(?:no resource plugin|no language plugin|could not (?:find|load) plugin).{0,200}"),
    _row(_vault_down, rf".*{_VAULT}.*{_NETWORK}"),
    _row(_vault_not_ready, rf"{_VAULT}{_NEAR}(?:Vault is sealed|Code: 503|Code: 429).*"),
    _row(_vault_denied, rf"{_VAULT}{_NEAR}(?:permission denied|Code: 403|invalid token).*"),
    _row(
        _wrong_key,
        r"(?:incorrect passphrase|passphrase must be set).*",
        r"(?:message authentication failed|encryption key not found).*",
        rf"{_VAULT}{_NEAR}(?:Code: 400|invalid ciphertext).*",
    ),
    _row(
        _backend_missing,
        r".*(?:unable to open (?:bucket|state directory)|unable to check if bucket).*",
        r".*(?:could not list bucket|failed to open bucket).*",
    ),
    _row(
        _state_broken,
        r".*(?:failed to load checkpoint|could not deserialize).*",
        r".*(?:unexpected end of JSON input|invalid character).*",
    ),
    _row(
        _cloud_down,
        r"(?:\w+\.)*(?:EndpointConnectionError|ConnectTimeoutError|ConnectionClosedError): .*",
        r"(?:\w+\.)*(?:ReadTimeoutError|ProxyConnectionError): .*",
    ),
    _row(_cloud_busy, rf".*{_CODE}(?:Throttling\w*|RequestLimitExceeded|ServiceUnavailable|SlowDown){_END}.*"),
    _row(
        _cloud_denied,
        rf".*{_CODE}(?:AccessDenied\w*|UnauthorizedOperation|ExpiredToken\w*|InvalidClientTokenId){_END}.*",
        rf".*{_CODE}(?:InvalidAccessKeyId|SignatureDoesNotMatch|AuthFailure|UnrecognizedClient\w*){_END}.*",
        r"(?:\w+\.)*(?:NoCredentialsError|PartialCredentialsError): .*",
    ),
)
