"""Preflight: each prerequisite is a line of its own."""

from enum import StrEnum

from holdtrue.models.base import Value


class PrerequisiteOutcome(StrEnum):
    """Whether a prerequisite holds."""

    OK = "ok"
    DOUBTFUL = "doubtful"
    """It may break the run later, which cannot be checked now; the run continues."""
    BROKEN = "broken"
    NOT_APPLICABLE = "not_applicable"


class Prerequisite(Value):
    """One thing that must hold before anything is changed."""

    name: str
    outcome: PrerequisiteOutcome
    detail: str = ""
    next_step: str = ""


class PreflightReport(Value):
    """All prerequisites of one environment."""

    environment: str
    prerequisites: tuple[Prerequisite, ...]

    @property
    def broken(self) -> tuple[Prerequisite, ...]:
        """Those that do not hold."""
        return tuple(item for item in self.prerequisites if item.outcome is PrerequisiteOutcome.BROKEN)
