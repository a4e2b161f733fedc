"""The one table from what Pulumi says to our error tree. Pure.

Pulumi and its providers tell causes by text only, so the rows are texts, each seen from CLI 3.259 and provoked by a
test. The first row that fits wins; what fits none is a ProgramFailed with the engine's own last words.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from holdtrue.adapters.pulumi.engine_words import engine_words, exception_words, last_line, shortened, without_middle
from holdtrue.adapters.pulumi.evidence import Evidence, name_of
from holdtrue.adapters.pulumi.locks import parse_locks
from holdtrue.adapters.pulumi.remedies import cancel_command, forget_command, unprotect_command
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

_REASONS: Final = 3
"""Errors that a message shows; all of them are in the log."""

_PROTECTED: Final = re.compile(r'resource \\?"(urn:[^"\\]+)\\?"[^\n]*\n?[^\n]*(?:is protected|marked for protection)')
_UNKNOWN_STACK: Final = re.compile(r'unknown stack \\?"([^"\\]+)')

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
    return _redacted(error, evidence)


def unknown_fate(evidence: Evidence, urns: Sequence[str]) -> HoldtrueError:
    """The error while the state has unfinished creates: a provision could make a second one of each."""
    names = ", ".join(map(name_of, urns))
    error = ProgramFailed(
        f"a run was killed while it was creating {names}: nobody knows whether that exists",
        where=f"{evidence.place}, backend {evidence.backend_url}",
        next_step=(
            "look in the cloud for each. Where it is there, delete it, or let the program take it over (its provider "
            "may do so by itself, else `import_` in its resource options). Then let the state forget what is "
            f"unfinished with `{forget_command(evidence.stack_place)}`, and provision again"
        ),
    )
    return _redacted(error, evidence)


def _redacted(error: HoldtrueError, evidence: Evidence) -> HoldtrueError:
    what, where, next_step = (redact(part, evidence.secrets) for part in (error.what, error.where, error.next_step))
    return type(error)(what, where=where, next_step=next_step)


def readable(text: str) -> str:
    """A diagnostic as a short text: of a traceback its exception and place, of a plan violation no values."""
    text = _without_plan_values(text.strip())
    if "Traceback (most recent call last)" in text:
        place = _last_frame(text)
        return f"{exception_words(text)}{f' at {place}' if place else ''}"
    return without_middle(text)


def _locked(evidence: Evidence, _: re.Match[str]) -> HoldtrueError:
    holders = "; ".join(map(str, parse_locks(evidence.all_text)))
    return StackLocked(
        f"another update holds the stack: {holders or 'holder unknown'}",
        where=evidence.place,
        next_step=(
            "wait for it to end. Only if its process is certainly gone, remove the lock with "
            f"`{cancel_command(evidence.stack_place)}`"
        ),
    )


def _protected(evidence: Evidence, _: re.Match[str]) -> HoldtrueError:
    urns = list(dict.fromkeys(_PROTECTED.findall(evidence.all_text)))
    commands = " and ".join(f"`{unprotect_command(evidence.stack_place, urn)}`" for urn in urns)
    return ProgramFailed(
        f"{', '.join(map(name_of, urns))} is protected and cannot be deleted or replaced",
        where=evidence.place,
        next_step=(
            "if it is to stay, put it back into the program as it was. If it is to go, provision once with it and "
            f"without its `protect`, or run {commands}; then provision this program again"
        ),
    )


def _unknown_stack(evidence: Evidence, _: re.Match[str]) -> HoldtrueError:
    names = ", ".join(dict.fromkeys(_UNKNOWN_STACK.findall(evidence.all_text)))
    return ResourceMissing(
        f"the program refers to a stack that the backend does not have: {names}",
        where=f"{evidence.place}, backend {evidence.backend_url}",
        next_step="provision that stack first, or correct its name in the program: `organization/<project>/<stack>`",
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
        f"{what} was refused: the plan does not hold this step ({shortened(reason)})",
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
    frame = _last_frame(evidence.all_text, inside=evidence.project)
    reason = _reason(evidence)
    if not reason and evidence.exit_code:
        ended = f"signal {-evidence.exit_code}" if evidence.exit_code < 0 else f"exit code {evidence.exit_code}"
        reason = f"its process ended with {ended} and gave no reason"
    subject = evidence.resource or "the program"
    return ProgramFailed(
        f"{subject} failed during {evidence.operation}: {reason or 'no reason was given'}",
        where=f"{frame}, {evidence.place}" if frame else evidence.place,
        next_step="repair the program" if frame else "read the run's log for the engine's full words",
    )


def _reason(evidence: Evidence) -> str:
    """The first errors, each whole; without any, what the CLI or the child has written."""
    told = dict.fromkeys(_cause(item.text) for item in evidence.errors)
    if told:
        more = f" (and {len(told) - _REASONS} more)" if len(told) > _REASONS else ""
        return "; ".join(list(told)[:_REASONS]) + more
    text = evidence.text or evidence.error_tail
    return _cause(text if "Traceback" in text else engine_words(text))


def _cause(text: str) -> str:
    """Without the place of an exception, which stands in the error's `where`."""
    return exception_words(text) if "Traceback" in text else shortened(readable(text))


def _words(match: re.Match[str]) -> str:
    """The last line that a row matched, without the labels in front of it."""
    return shortened(re.sub(r"^(?:stderr: |stdout: |error: )+", "", last_line(match.group(0))))


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
    _row(_protected, _PROTECTED.pattern),
    _row(_unknown_stack, _UNKNOWN_STACK.pattern),
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
