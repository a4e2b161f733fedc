"""The one error tree, split by what the orchestrator must do next.

HoldtrueError
├── TransientError            the service may answer next time: retry, then give up
│   ├── ServiceUnreachable    refused, reset, timed out, no such name
│   ├── ServiceNotReady       it answered, but sealed, standby, starting or overloaded
│   ├── StackLocked           another update holds the stack
│   └── EnvironmentLocked     another run holds the environment's lock, and the wait for it is over
├── RejectedError             retrying cannot help: a person must change something
│   ├── ManifestError         the environment manifest is wrong: file, line, field
│   ├── SettingInvalid        a HOLDTRUE_ variable has no valid value
│   ├── BlockMissing          no saved block of that name
│   ├── AccessDenied          the credential was refused, has expired or its policy lacks the path
│   ├── CertificateRefused    the server's certificate does not belong to the configured CA
│   ├── SecretInvalid         the secret was found, but is not what the caller needs
│   ├── SecretExposed         a secret was given where a reference belongs
│   ├── ParametersInvalid     a run was created with parameters that its flow does not take
│   ├── PreflightFailed       a prerequisite is broken; every broken one is a line of its own
│   ├── ProgramTestsFailed    the program's unit tests failed, or there were none
│   ├── ProgramFailed         the infrastructure program raised, or the engine refused an operation
│   ├── AuditFailed           the environment lets nothing vulnerable or unaudited be provisioned
│   ├── LockLost              the environment's lock is not this run's own any more
│   ├── ApprovalRequired      the plan has changes that a person must approve first
│   ├── ConfigurationFailed   the playbook is wrong or a task failed on a host
│   ├── NotIdempotent         the second run changed something
│   ├── HandlersLost          a handler was notified, in this run or before, and has not run since
│   ├── ValidationFailed      a check or probe failed
│   ├── ValidationInconclusive  nothing, or not everything, could be checked
│   ├── GateClosed            traffic was asked to move without a verdict that admits it
│   ├── TrafficRefused        a host would get no request, or the weights have changed; nothing was moved
│   ├── TrafficRestored       the shift failed and traffic was put back where it was
│   └── TrafficStranded       the shift failed and traffic could not be put back: act now
└── UnavailableError          a tool or a target is missing here: retrying at once cannot help
    ├── ToolMissing           an executable or package is absent or too old
    ├── HostUnreachable       SSH to the host does not come up
    └── ResourceMissing       the stack, path, socket or record does not exist

Every message says what, where and what to do next, and holds no secret.
`state_name` is the name of the Prefect state that a provision ends in.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ClassVar


class HoldtrueError(Exception):
    """What failed, where, and what to do about it.

    Attributes:
        what: What failed.
        where: File, field, host or service.
        next_step: What to do about it.
        done: What was carried out before it failed, as the model that success would have returned; None for nothing.
    """

    state_name: ClassVar[str] = "Failed"

    def __init__(self, what: str, *, where: str = "", next_step: str = "", done: object | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.next_step = next_step
        self.done = done

    def __str__(self) -> str:
        place = f" ({self.where})" if self.where else ""
        advice = f" Next: {self.next_step}" if self.next_step else ""
        return f"{self.what}{place}.{advice}"

    def __reduce__(self) -> tuple[object, ...]:
        """Rebuild from its parts, so that the error crosses process and result boundaries."""
        return _rebuild, (type(self), self.what, self.where, self.next_step, self.done)


def keep_done(error: BaseException, done: object) -> None:
    """Note on any exception, signals to end included, what was carried out before it."""
    error.done = done  # type: ignore[attr-defined] # exceptions take attributes


@contextmanager
def keeping_done(so_far: Callable[[], object]) -> Iterator[None]:
    """Note on whatever leaves the block by exception, a signal to end included, what was carried out by then."""
    try:
        yield
    except BaseException as error:
        keep_done(error, so_far())
        raise


def done_before(error: BaseException) -> object | None:
    """What was carried out before this exception, as far as somebody has noted it."""
    return getattr(error, "done", None)


def _rebuild(
    kind: type[HoldtrueError], what: str, where: str, next_step: str, done: object | None = None
) -> HoldtrueError:
    return kind(what, where=where, next_step=next_step, done=done)


class TransientError(HoldtrueError):
    """The service may answer next time."""

    state_name = "Unavailable"


class ServiceUnreachable(TransientError):
    """Refused, reset, timed out, or no such name."""


class ServiceNotReady(TransientError):
    """The service answered that it cannot serve now: sealed, standby, starting, overloaded."""


class StackLocked(TransientError):
    """Another update holds the stack."""


class EnvironmentLocked(TransientError):
    """Another run holds the environment's lock, and has held it for as long as this one may wait."""

    state_name = "EnvironmentLocked"


class RejectedError(HoldtrueError):
    """Retrying cannot help: a person must change something first."""

    state_name = "Rejected"


class ManifestError(RejectedError):
    """The environment manifest is wrong; `where` is `file:line field`."""


class SettingInvalid(RejectedError):
    """A HOLDTRUE_ variable has no valid value; `where` names it."""


class BlockMissing(RejectedError):
    """No saved block of that type and name."""


class AccessDenied(RejectedError):
    """The credential was refused, has expired, or its policy lacks the path."""


class CertificateRefused(RejectedError):
    """The server's certificate does not belong to the configured CA."""


class SecretInvalid(RejectedError):
    """The secret was found, but is not what the caller needs."""


class SecretExposed(RejectedError):
    """A secret was given where it would be kept for others to read; a reference to it belongs there."""

    state_name = "SecretExposed"


class ParametersInvalid(RejectedError):
    """A parameter of a run is unknown, missing or of the wrong type; the message names it, never its value."""


class PreflightFailed(RejectedError):
    """At least one prerequisite is broken; the message has a line for each."""

    state_name = "PreflightFailed"


class ProgramTestsFailed(RejectedError):
    """The program's unit tests failed, or there were none."""

    state_name = "TestsFailed"


class ProgramFailed(RejectedError):
    """The infrastructure program raised, or the engine refused an operation."""

    state_name = "ProgramFailed"


class AuditFailed(RejectedError):
    """Dependencies are vulnerable or could not be audited, and the manifest says that this stops a provision."""

    state_name = "AuditFailed"


class LockLost(RejectedError):
    """The environment's lock was released or taken over while this run worked; it has stopped writing."""

    state_name = "LockLost"


class ApprovalRequired(RejectedError):
    """The plan has changes that a person must approve, and no approval that counts covers it."""

    state_name = "ApprovalRequired"


class ConfigurationFailed(RejectedError):
    """The playbook is wrong or a task failed on a host."""

    state_name = "ConfigurationFailed"


class NotIdempotent(RejectedError):
    """The second configuration run changed something; the message names host and task."""

    state_name = "NotIdempotent"


class HandlersLost(RejectedError):
    """A handler was notified and has not run, and no run notifies it again; the message names host and handler."""

    state_name = "HandlersLost"


class ValidationFailed(RejectedError):
    """A check or probe failed."""

    state_name = "ValidationFailed"


class ValidationInconclusive(RejectedError):
    """Nothing, or not everything, could be checked."""

    state_name = "Inconclusive"


class GateClosed(RejectedError):
    """Traffic was asked to move without a verdict that admits it."""

    state_name = "GateClosed"


class TrafficRefused(RejectedError):
    """The load balancer sends no request to a host, or something else has changed the weights; nothing was moved."""

    state_name = "TrafficRefused"


class TrafficRestored(RejectedError):
    """The shift failed after it had begun to write, and traffic was put back where it was."""

    state_name = "TrafficRestored"


class TrafficStranded(RejectedError):
    """The shift failed or was ended, and the weights found at the start could not be set again."""

    state_name = "TrafficStranded"


class UnavailableError(HoldtrueError):
    """A tool or a target is missing here."""

    state_name = "Unavailable"


class ToolMissing(UnavailableError):
    """An executable or package is absent or too old."""


class HostUnreachable(UnavailableError):
    """SSH to the host does not come up."""


class ResourceMissing(UnavailableError):
    """The stack, path, socket or record does not exist."""


def is_transient(error: BaseException) -> bool:
    """True when a retry may help; the only question the retry layer asks."""
    return isinstance(error, TransientError)
