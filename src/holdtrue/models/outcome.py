"""How a run ended: its state, what to do next, and its stages. Every flow's report begins with it."""

from enum import StrEnum

from pydantic import Field

from holdtrue.models.base import Value


class StageOutcome(StrEnum):
    """How a stage of a run ended."""

    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class StageRecord(Value):
    """One stage of a run."""

    name: str
    environment: str = Field(default="", description="The environment it was about; empty for none or several.")
    outcome: StageOutcome
    summary: str = ""
    duration_seconds: float = Field(ge=0)


class RunOutcome(Value):
    """The end of one run."""

    state: str = Field(description="Such as Drifted: the name of the Prefect state, unless it is Interrupted.")
    is_good: bool = Field(description="Whether the run did all that it is for, and found nothing wrong.")
    line: str = Field(description="What happened, in one line or, for a failed preflight, one line per prerequisite.")
    where: str = Field(default="", description="Where it failed; empty when nothing did.")
    next_step: str = Field(default="", description="What to do next; empty when nothing has to be done.")
    stages: tuple[StageRecord, ...] = ()


class FlowReport(Value):
    """What every flow leaves behind. `tasks.reports.load_report` reads it back from Prefect."""

    outcome: RunOutcome | None = Field(default=None, description="How the run ended; set when it has.")
