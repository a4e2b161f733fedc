"""A fix proposal for a person at a terminal. The patch itself goes to a file or a pipe as it is."""

from collections.abc import Iterator
from typing import Final

from holdtrue.core.audit_output.phrases import amount, gap_lines
from holdtrue.core.neutral import for_terminal
from holdtrue.models.fix import Bump, FixProposal, Unfixed

_LONGEST_LINE: Final = 1_000
"""Characters; a resolver tells its reason in 800."""


def summary_lines(proposal: FixProposal) -> list[str]:
    """What is proposed, what is left, and how far to trust it; one line each, safe for a terminal."""
    return [for_terminal(line, _LONGEST_LINE) for line in _lines(proposal)]


def _lines(proposal: FixProposal) -> Iterator[str]:
    state = "verified by a second audit" if proposal.is_verified else "not verified"
    if proposal.bumps:
        yield f"{proposal.project}: {amount(len(proposal.bumps), 'change')} proposed, {state}"
    else:
        gaps = f", but {amount(len(proposal.not_audited), 'thing')} not audited" if proposal.not_audited else ""
        yield f"{proposal.project}: nothing to propose{gaps}"
    yield from (f"change {_bump(bump)}" for bump in proposal.bumps)
    yield from (f"introduces {_finding(item)}" for item in proposal.introduced)
    yield from (f"stays {_finding(item)}" for item in proposal.unfixed)
    if proposal.doubt:
        yield f"doubt: {proposal.doubt}"
    if proposal.is_bounded:
        yield f"the search ended at its bound, after {amount(proposal.resolver_runs, 'resolver run')}"
    yield from (f"note: {note}" for note in proposal.notes)
    for gap in gap_lines(proposal.not_audited):
        yield f"not audited {gap.inventory}{': ' if gap.inventory else ''}{gap.what}: {gap.reason}"


def _bump(bump: Bump) -> str:
    if not bump.from_version:
        return f"{bump.package}: {bump.to_version} is needed newly"
    removes = f"removes {', '.join(bump.removes)}" if bump.removes else ""
    if not bump.to_version:
        return f"{bump.package}: {bump.from_version} is not needed any more{removes and f', {removes}'}"
    why = removes or "moves with the others"
    return f"{bump.package} {bump.from_version} to {bump.to_version}: {why}"


def _finding(item: Unfixed) -> str:
    detail = f" ({item.detail})" if item.detail else ""
    return f"{item.package} {item.version} {item.id}: {item.obstacle}{detail}"
