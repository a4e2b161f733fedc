"""What is known of a failed operation. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from holdtrue.adapters.pulumi.messages import Diagnostic
from holdtrue.adapters.pulumi.remedies import StackPlace

_UNDONE: Final = re.compile(r"expected resource operations for \S+.*")
"""What the engine says of planned steps that it did not come to, as it does not when a resource before them failed."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that is known of a failed operation."""

    operation: str
    stack: str
    project: Path
    project_name: str = ""
    """Of Pulumi.yaml."""
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
    def stack_place(self) -> StackPlace:
        """The stack, as commands name it."""
        return StackPlace(self.backend_url, self.project_name, self.stack)

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
