"""What a user's program runs with."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProgramPackages:
    """Where a program's Python packages come from. With neither of both it shares the worker's.

    Attributes:
        environment: A virtual environment that is there and belongs to the project.
        named_in: The file that says what to install: requirements.txt, uv.lock or pyproject.toml.
    """

    environment: Path | None = None
    named_in: Path | None = None

    def __str__(self) -> str:
        """As a person reads it in a report."""
        if self.environment is not None:
            return f"the project's own, {self.environment}"
        if self.named_in is not None:
            return f"made from {self.named_in.name}"
        return "the worker's own"
