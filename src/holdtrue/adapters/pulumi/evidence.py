"""Everything that is known about a failed operation. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from holdtrue.adapters.pulumi.messages import Diagnostic, FailureSource
from holdtrue.adapters.pulumi.remedies import StackPlace

_UNDONE: Final = re.compile(r"expected resource operations for \S+.*")
"""The engine's error for planned steps that were not reached, for example after an earlier resource failed."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that is known about a failed operation."""

    operation: str
    stack: str
    project: Path
    project_name: str = ""
    """From Pulumi.yaml."""
    backend_url: str = ""
    secrets_provider: str = ""
    vault_address: str = ""
    """URL of the Vault server that the secrets provider uses; empty for other providers."""
    stack_absent: bool = False
    """The backend does not have the stack yet."""
    diagnostics: Sequence[Diagnostic] = ()
    failed_urns: Sequence[str] = ()
    missing_urns: Sequence[str] = ()
    """Resources of an enforced plan that the program did not declare."""
    text: str = ""
    """What the CLI wrote, or why the child's answer is incomplete."""
    source: FailureSource = "engine"
    """Where `text` comes from."""
    error_tail: str = ""
    """The last lines of the child's standard error, with the reason of a child that sent no answer."""
    exit_code: int = 0
    """The child's; used only if the child sent no answer."""
    secrets: Sequence[str] = field(default=(), repr=False)

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """The diagnostics that are errors, without the engine's closing line."""
        closing = {"preview failed", "update failed", "refresh failed"}
        found = [item for item in self.diagnostics if item.severity == "error" and item.text not in closing]
        causes = [item for item in found if not _UNDONE.search(item.text)]
        return tuple(causes if any(item.urn for item in causes) else found)

    @property
    def all_text(self) -> str:
        """All error texts, the most specific first."""
        text = "\n".join([*(item.text for item in self.errors), self.text, self.error_tail])
        return _UNDONE.sub("", text) if any(item.urn for item in self.errors) else text

    @property
    def place(self) -> str:
        """The stack, as messages name it."""
        return f"stack {self.stack} of {self.project}"

    @property
    def key_place(self) -> str:
        """The stack and its secrets provider, as messages name them."""
        server = f" at {self.vault_address}" if self.vault_address else ""
        return f"{self.place}, secrets provider {self.secrets_provider or 'default'}{server}"

    @property
    def stack_place(self) -> StackPlace:
        """The stack, as commands name it."""
        return StackPlace(self.backend_url, self.project_name, self.stack)

    @property
    def resource(self) -> str:
        """The resource that failed, or an empty string."""
        urn = next((item.urn for item in self.errors if item.urn), "") or next(iter(self.failed_urns), "")
        return name_of(urn)


def name_of(urn: str) -> str:
    """`type name` of a URN, as messages show it; any other string is returned unchanged."""
    _, _, rest = urn.partition("::")
    _, separator, resource = rest.partition("::")
    return resource.replace("::", " ") if separator else urn
