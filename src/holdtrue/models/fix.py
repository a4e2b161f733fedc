"""A fix proposal: which versions to change, as a patch, and what no change mends. It is never applied by itself."""

from enum import StrEnum

from pydantic import Field

from holdtrue.models.audit import NotAudited
from holdtrue.models.base import Value


class Obstacle(StrEnum):
    """Why a finding stays. A closed set: the detail says the rest."""

    NO_FIX = "no fix"
    NO_SOLUTION = "no solution"
    POSSIBLE = "possible only"
    NOT_RESOLVED = "not resolved"
    """The resolver does not install that package here: its marker says so."""
    NOT_LISTED = "not listed"
    """The file does not hold that package at that version."""
    NOT_TRIED = "not tried"
    """The bound on the number of resolver runs was reached before."""
    FORMAT = "format"
    SEARCH_FAILED = "search failed"
    """There is no resolver, it or its index did not work, or it refuses the file."""


class Bump(Value):
    """One package that the patch changes."""

    package: str
    from_version: str = Field(description="Empty for a package that the others newly need.")
    to_version: str = Field(description="Empty for a package that is not needed any more.")
    removes: tuple[str, ...] = Field(
        default=(), description="Ids of the findings that go with it; empty when another bump makes it move."
    )


class Unfixed(Value):
    """A finding that the patch leaves, or one that it brings in."""

    package: str
    version: str
    id: str
    obstacle: Obstacle
    detail: str = ""


class FixProposal(Value):
    """What would remove the findings of one project. Empty bumps mean that there is nothing to propose."""

    project: str = Field(description="What people call the file.")
    bumps: tuple[Bump, ...] = ()
    unfixed: tuple[Unfixed, ...] = ()
    introduced: tuple[Unfixed, ...] = Field(
        default=(), description="Findings that the changed packages have and did not have before."
    )
    patch: str = Field(default="", description="A unified diff, with paths relative to the folder that it is for.")
    is_verified: bool = Field(
        default=False, description="A second audit looked at every changed package and found what the bumps promise."
    )
    doubt: str = Field(default="", description="Why it is not verified; empty when it is, or nothing is proposed.")
    is_bounded: bool = Field(
        default=False, description="The search ended at its bound: a better or larger set of bumps may exist."
    )
    resolver_runs: int = Field(default=0, ge=0)
    notes: tuple[str, ...] = Field(default=(), description="What the resolver could not take into account.")
    not_audited: tuple[NotAudited, ...] = Field(
        default=(), description="What the audit before the search could not look at: it may have findings too."
    )
