"""Translates Pulumi's error messages to Holdtrue's errors. Pure.

Pulumi and its providers describe causes in text only, so the table has patterns of messages, each seen from CLI 3.259
and covered by a test. The first row that matches wins; without a match the error is a ProgramFailed with Pulumi's own
message.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from holdtrue.adapters.pulumi.cli import MINIMUM_VERSION
from holdtrue.adapters.pulumi.engine_words import engine_words, exception_words, last_line, shortened, without_middle
from holdtrue.adapters.pulumi.evidence import Evidence, name_of
from holdtrue.adapters.pulumi.locks import parse_locks
from holdtrue.adapters.pulumi.remedies import (
    PROVISION_AGAIN,
    cancel_command,
    configure_command,
    create_command,
    export_command,
    forget_command,
    unprotect_command,
)
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
"""How many errors a message shows; the log has all of them."""

_PROTECTED: Final = re.compile(r'resource \\?"(urn:[^"\\]+)\\?"[^\n]*\n?[^\n]*(?:is protected|marked for protection)')
_INSTALL: Final = re.compile(r"pulumi plugin install [a-z]+ [\w-]+(?: v?\d[\w.+-]*)?")
_UNKNOWN_STACK: Final = re.compile(r'unknown stack \\?"([^"\\]+)')

Row = tuple[re.Pattern[str], Callable[[Evidence, re.Match[str]], HoldtrueError]]


def translate(evidence: Evidence) -> HoldtrueError:
    """The error for a failed operation, free of the run's secrets."""
    if evidence.source in {"message", "event"}:
        return _redacted(_incomplete(evidence), evidence)
    text = evidence.all_text
    error = _unread_state(evidence) if evidence.source == "state" else _unrecognised(evidence)
    for pattern, make in _TABLE:
        match = pattern.search(text)
        if match:
            error = make(evidence, match)
            break
    return _redacted(error, evidence)


def unknown_fate(evidence: Evidence, urns: Sequence[str]) -> HoldtrueError:
    """The error while the state has pending creates: a provision could create each of these resources twice."""
    names = ", ".join(map(name_of, urns))
    error = ProgramFailed(
        f"a run was killed while it was creating {names}: Pulumi cannot tell whether they exist",
        where=f"{evidence.place}, backend {evidence.backend_url}",
        next_step=(
            "(1) look for each of them in the cloud; (2) if one exists, delete it, or let the program import it "
            "(some providers do so themselves, otherwise set `import_` in its resource options); (3) remove the "
            f"pending operations from the state with `{forget_command(evidence.stack_place)}`; (4) provision again"
        ),
    )
    return _redacted(error, evidence)


def _redacted(error: HoldtrueError, evidence: Evidence) -> HoldtrueError:
    what, where, next_step = (redact(part, evidence.secrets) for part in (error.what, error.where, error.next_step))
    return type(error)(what, where=where, next_step=next_step)


def readable(text: str) -> str:
    """The diagnostic, shortened: a traceback to its exception and place, a plan violation without the values."""
    text = _without_plan_values(text.strip())
    if "Traceback (most recent call last)" in text:
        place = _last_frame(text)
        return f"{exception_words(text)}{f' at {place}' if place else ''}"
    return without_middle(text)


def _locked(evidence: Evidence, _: re.Match[str]) -> HoldtrueError:
    holders = "; ".join(map(str, parse_locks(evidence.all_text)))
    return StackLocked(
        f"another update has locked the stack: {holders or 'holder unknown'}",
        where=evidence.place,
        next_step=(
            "wait until it ends. Only if its process has certainly ended, remove the lock with "
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
            "if it is to stay, put it back into the program as it was. To delete it, first provision with `protect` "
            f"removed, or run {commands}; then provision this program again"
        ),
    )


def _unknown_stack(evidence: Evidence, _: re.Match[str]) -> HoldtrueError:
    names = ", ".join(dict.fromkeys(_UNKNOWN_STACK.findall(evidence.all_text)))
    return ResourceMissing(
        f"the program refers to a stack that the backend does not have: {names}",
        where=f"{evidence.place}, backend {evidence.backend_url}",
        next_step="provision that stack first, or correct its name in the program (`organization/<project>/<stack>`)",
    )


def _no_stack(evidence: Evidence, _: re.Match[str]) -> HoldtrueError:
    return ResourceMissing(
        "the stack does not exist", where=evidence.place, next_step="run `provision` for the environment first"
    )


def _off_plan(evidence: Evidence, match: re.Match[str]) -> HoldtrueError:
    # The engine does not name the resource that it would have deleted: it is one that the program left out.
    what = evidence.resource or ", ".join(map(name_of, evidence.missing_urns[:5])) or match.group(0)
    reason = next((readable(item.text) for item in evidence.errors if "plan" in item.text), readable(match.group(0)))
    return ProgramFailed(
        f"{what} was refused: the plan does not contain this step ({shortened(reason)})",
        where=evidence.place,
        next_step=f"{PROVISION_AGAIN}. If it fails in the same way, inputs of the program differ in each run: make "
        "them stable, or set `infrastructure.update_plan: false` (docs/pulumi.md)",
    )


def _no_config(evidence: Evidence, match: re.Match[str]) -> HoldtrueError:
    names = re.findall(r"'([^']+)'", match["one"] or match["several"])
    secret = re.search(r"pulumi config set --secret", evidence.all_text) is not None
    place, key = evidence.stack_place, evidence.secrets_provider
    commands = [configure_command(place, name, secret=secret) for name in names]
    if evidence.stack_absent:
        commands.insert(0, create_command(place, key))
    notes: list[str] = []
    if match["several"]:
        notes.append("for a secret, `--secret` in place of `<value>`")
    if secret:
        notes.append("it asks for the value")
    if secret and key and not evidence.stack_absent:
        notes.append(
            f"if Pulumi.{evidence.stack}.yaml has no line `secretsprovider`, first add `secretsprovider: {key}`"
        )
    if key.startswith("hashivault:"):
        notes.append("VAULT_ADDR and VAULT_TOKEN have to be set")
    run, hints = ", then ".join(f"`{command}`" for command in commands), f" ({'; '.join(notes)})" if notes else ""
    return ProgramFailed(
        f"the stack's configuration has no value for {', '.join(names)}",
        where=evidence.place,
        next_step=f"in the project's folder, run {run}{hints}, and commit Pulumi.{evidence.stack}.yaml",
    )


def _no_plugin(evidence: Evidence, match: re.Match[str]) -> HoldtrueError:
    named = _INSTALL.search(evidence.all_text)
    return ToolMissing(
        f"a provider plugin is missing: {_words(match)}",
        where=evidence.place,
        next_step=f"on the worker, as the worker's user, run `{named[0]}`"
        if named
        else "on the worker, as the worker's user, run `pulumi plugin install` in the project's folder",
    )


def _vault_down(evidence: Evidence, match: re.Match[str]) -> HoldtrueError:
    return ServiceUnreachable(
        f"the secrets provider cannot be reached: {_words(match)}",
        where=evidence.key_place,
        next_step="start Vault, or correct its URL in the block with which the PulumiBackend block logs in",
    )


def _vault_not_ready(evidence: Evidence, match: re.Match[str]) -> HoldtrueError:
    return ServiceNotReady(
        f"the secrets provider answers, but is not ready: {_words(match)}",
        where=evidence.key_place,
        next_step="unseal Vault, or wait until it has started; then run again",
    )


def _vault_denied(evidence: Evidence, match: re.Match[str]) -> HoldtrueError:
    return AccessDenied(
        f"the secrets provider refused the credential: {_words(match)}",
        where=evidence.key_place,
        next_step="check that the token's policy allows encrypt and decrypt with the stack's key, and that the token "
        "lives as long as the run",
    )


def _wrong_key(evidence: Evidence, match: re.Match[str]) -> HoldtrueError:
    return AccessDenied(
        f"the stack's secrets cannot be opened: {_words(match)}",
        where=evidence.key_place,
        next_step="the values were encrypted with another key: set `secrets_provider` of the PulumiBackend block to "
        "the one that the stack was created with; if the values were copied from another stack's file, set them again",
    )


def _backend_missing(evidence: Evidence, match: re.Match[str]) -> HoldtrueError:
    return ServiceUnreachable(
        f"the state backend cannot be reached: {_words(match)}",
        where=f"{evidence.place}, backend {evidence.backend_url}",
        next_step="check `url` of the PulumiBackend block, that a `file://` folder is mounted on the worker, and the "
        "credentials for a bucket",
    )


def _state_broken(evidence: Evidence, match: re.Match[str]) -> HoldtrueError:
    return ProgramFailed(
        f"the stack's state cannot be read, and nothing was written: {_words(match)}",
        where=f"{evidence.place}, backend {evidence.backend_url}",
        next_step="restore the stack's newest good file from .pulumi/backups or .pulumi/history of the backend, then "
        "run again",
    )


def _cloud_down(evidence: Evidence, match: re.Match[str]) -> HoldtrueError:
    return ServiceUnreachable(
        f"the cloud's API cannot be reached{_for_resource(evidence)}: {_words(match)}",
        where=evidence.place,
        next_step="check the endpoint and the network, then run again; what was done is in the state",
    )


def _cloud_busy(evidence: Evidence, match: re.Match[str]) -> HoldtrueError:
    return ServiceNotReady(
        f"the cloud's API throttled or refused the request{_for_resource(evidence)}: {_words(match)}",
        where=evidence.place,
        next_step="run again in a few minutes; what was done is in the state",
    )


def _cloud_denied(evidence: Evidence, match: re.Match[str]) -> HoldtrueError:
    return AccessDenied(
        f"the cloud refused the credential{_for_resource(evidence)}: {_words(match)}",
        where=evidence.place,
        next_step="check that the role's policy allows the call, and that the lease lives as long as the run",
    )


def _for_resource(evidence: Evidence) -> str:
    return f" for {evidence.resource}" if evidence.resource else ""


def _unrecognised(evidence: Evidence) -> HoldtrueError:
    """An exception of the program or a provider, or else the engine's last message."""
    frame = _last_frame(evidence.all_text, inside=evidence.project)
    reason = _reason(evidence)
    if not reason and evidence.exit_code:
        ended = f"signal {-evidence.exit_code}" if evidence.exit_code < 0 else f"exit code {evidence.exit_code}"
        reason = f"its process ended with {ended} and gave no reason"
    subject = evidence.resource or "the program"
    return ProgramFailed(
        f"{subject} failed during {evidence.operation}: {reason or 'no reason was given'}",
        where=f"{frame}, {evidence.place}" if frame else evidence.place,
        next_step="correct the program" if frame else "see the run's log for Pulumi's full output",
    )


def _incomplete(evidence: Evidence) -> HoldtrueError:
    """Holdtrue lost an event, so it does not know all that the operation did."""
    text, ended = evidence.text, f"pulumi {evidence.operation} ended, but Holdtrue did not get all of its results"
    if evidence.source == "message":
        return ProgramFailed(
            f"{ended}: properties of a resource, or a message, are too large ({text})",
            where=evidence.place,
            next_step="make the resource's properties, or what the program logs, smaller; then run again",
        )
    return ProgramFailed(
        f"{ended}: Pulumi sent an event that this version of Holdtrue cannot read ({shortened(text)})",
        where=evidence.place,
        next_step=f"install Pulumi {'.'.join(map(str, MINIMUM_VERSION))}, which Holdtrue is tested with, on the worker",
    )


def _unread_state(evidence: Evidence) -> HoldtrueError:
    return ProgramFailed(
        f"the stack's state could not be exported: {_reason(evidence) or 'no reason was given'}",
        where=f"{evidence.place}, backend {evidence.backend_url}",
        next_step=f"run `{export_command(evidence.stack_place)}` to see the cause, then run again",
    )


def _reason(evidence: Evidence) -> str:
    """The first errors, each in full; without any, what the CLI or the child wrote."""
    told = dict.fromkeys(_cause(item.text) for item in evidence.errors)
    if told:
        more = f" (and {len(told) - _REASONS} more)" if len(told) > _REASONS else ""
        return "; ".join(list(told)[:_REASONS]) + more
    text = evidence.text or evidence.error_tail
    return _cause(text if "Traceback" in text else engine_words(text))


def _cause(text: str) -> str:
    """The error without the place of an exception, which is in the error's `where`."""
    return exception_words(text) if "Traceback" in text else shortened(readable(text))


def _words(match: re.Match[str]) -> str:
    """The last line that a row matched, without the labels in front of it."""
    return shortened(re.sub(r"^(?:stderr: |stdout: |error: )+", "", last_line(match.group(0))))


def _last_frame(text: str, inside: Path | None = None) -> str:
    """`file:line` of the deepest frame; with `inside`, of the deepest frame in that folder."""
    frames = re.findall(r'File "([^"]+)", line (\d+)', text)
    if inside is not None:
        root = inside.resolve()
        frames = [(file, line) for file, line in frames if Path(file).is_relative_to(root)]
    return f"{frames[-1][0]}:{frames[-1][1]}" if frames else ""


def _without_plan_values(text: str) -> str:
    """A plan violation quotes property values, even secret ones in plain text: keep only the names."""
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
"""Vault's client writes the URL and the cause on different lines."""
_CODE, _END = r"[(>]", r"[)<]"
"""What surrounds AWS's error codes: botocore's parentheses, or the XML tags of an answer that it could not parse."""

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
