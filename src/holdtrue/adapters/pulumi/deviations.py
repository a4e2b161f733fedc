"""Errors for applies that did not go as planned and for which the engine gives no reason. Pure."""

import re
from collections.abc import Sequence
from typing import Final

from holdtrue.adapters.pulumi.evidence import name_of
from holdtrue.adapters.pulumi.journal import Journal
from holdtrue.adapters.pulumi.messages import Unplanned
from holdtrue.adapters.pulumi.remedies import PROVISION_AGAIN
from holdtrue.errors import ProgramFailed
from holdtrue.models.stack import ResourceChange

_LABELS: Final = re.compile(r"^\s*(?:code: -?\d+|stdout: |stderr: )", re.MULTILINE)
_CODE: Final = re.compile(r"^\s*code: (-?\d+)", re.MULTILINE)
_ERRORS: Final = re.compile(r"^\s*stderr: ", re.MULTILINE)
_LINES: Final = 3
_NAMES: Final = 5
_MAXIMUM_CHARACTERS: Final = 600


def is_wordless(journal: Journal) -> bool:
    """Whether the CLI failed without a reason from itself, the engine or a resource."""
    if journal.failure is None or any(item.severity == "error" for item in journal.diagnostics):
        return False
    if any(step.phase == "failed" for step in journal.steps):
        return False
    *output, errors = _ERRORS.split(journal.failure)
    return bool(output) and not errors.strip() and "error: " not in "".join(output)


def wordless(journal: Journal, done: Sequence[ResourceChange], place: str) -> ProgramFailed:
    """The error for a failure without a reason: the engine's last lines, and what was carried out."""
    code = _CODE.search(journal.failure or "")
    ended = f" ({_end(int(code[1]))})" if code else ""
    lines = [line.strip() for line in _LABELS.sub("", journal.failure or "").splitlines() if line.strip()]
    last = " / ".join(lines[-_LINES:])[-_MAXIMUM_CHARACTERS:]
    return ProgramFailed(
        f"the engine failed{ended} and gave no reason; its last lines: {last or 'none'}; {_told(done)}",
        where=place,
        next_step="run `provision` again. If it fails in the same way, set `infrastructure.update_plan: false` to rule "
        "out Pulumi's update plan, or run `pulumi up` by hand",
    )


def interrupted(unplanned: Unplanned, journal: Journal, place: str) -> ProgramFailed:
    """The error for a step that the plan does not contain, and at which the engine was interrupted."""
    ended = any(step.phase == "done" and step.urn == unplanned.urn for step in journal.carried_out())
    fate = "it was carried out" if ended else "it had begun, and may be partly carried out"
    return ProgramFailed(
        f"{name_of(unplanned.urn)}: the plan does not contain the step `{unplanned.operation}`; the engine was "
        f"interrupted, but {fate}",
        where=place,
        next_step=f"check that resource, then {PROVISION_AGAIN}",
    )


def unfinished(undone: Sequence[str], place: str) -> ProgramFailed:
    """The error for planned steps that the engine did not carry out."""
    return ProgramFailed(
        f"the apply ended without these planned steps: {_names([name_of(urn) for urn in undone])}; "
        "the other steps were carried out",
        where=place,
        next_step=PROVISION_AGAIN,
    )


def moved(found: Sequence[str], place: str) -> ProgramFailed:
    """The error for a plan whose program, configuration or state has changed since; nothing was applied."""
    return ProgramFailed(f"the plan is out of date: {'; '.join(found)}", where=place, next_step=PROVISION_AGAIN)


def _end(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _told(done: Sequence[ResourceChange]) -> str:
    if not done:
        return "nothing was carried out"
    return f"carried out: {_names([f'{change.operation} {name_of(change.urn)}' for change in done])}"


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return ", ".join(names[:_NAMES]) + more
