"""The private backend of a preview whose stack does not exist yet, and the other stacks that its program reads there.

The engine looks up a stack reference in the backend of the stack itself, and refuses to preview a stack that does not
exist (CLI 3.259: "no stack named"). So such a preview has its own backend with an empty stack. The other stacks that
the program reads are exported from the real backend, with their secrets still encrypted, and copied into that backend.
"""

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from pulumi import automation

_UNKNOWN: Final = re.compile(r'unknown stack \\?"([^"\\]+)\\?"')


class PrivateBackend:
    """A `file://` backend in the run's private folder."""

    def __init__(self, folder: Path, project: str) -> None:
        self._folder = folder / "backend"
        self._folder.mkdir()
        self._project = project
        self._real = os.environ["PULUMI_BACKEND_URL"]
        self._asked: set[str] = set()
        os.environ["PULUMI_BACKEND_URL"] = self._folder.as_uri()

    def fetch_unknown(self, workspace: automation.Workspace, texts: Iterable[str]) -> tuple[str, ...]:
        """Copy the stacks that these messages report as unknown; return the names of those found."""
        wanted = {name for text in texts for name in _UNKNOWN.findall(text)} - self._asked
        self._asked |= wanted
        return tuple(name for name in sorted(wanted) if self._fetch(workspace, name))

    def _fetch(self, workspace: automation.Workspace, name: str) -> bool:
        try:
            exported = export_state(workspace, name, self._real)
        except automation.CommandError:
            return False
        project, stack = self._parts(name)
        path = self._folder / ".pulumi/stacks" / project / f"{stack}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        checkpoint = {"stack": f"organization/{project}/{stack}", "latest": exported.pop("deployment", None)}
        path.write_text(json.dumps({**exported, "checkpoint": checkpoint}), encoding="utf-8")
        return True

    def _parts(self, name: str) -> tuple[str, str]:
        """Project and stack of `stack`, `organization/stack` or `organization/project/stack`."""
        *rest, stack = name.split("/")
        return (rest[1] if len(rest) > 1 else self._project), stack


def export_state(workspace: automation.Workspace, stack: str, backend_url: str) -> dict[str, Any]:
    """The state as the CLI exports it: version, features and deployment, secrets encrypted.

    The SDK's `export_stack` decrypts them.

    Raises:
        CommandError: there is no such stack, or it cannot be read.
    """
    result = workspace.pulumi_command.run(
        ["stack", "export", "--stack", stack], workspace.work_dir, {"PULUMI_BACKEND_URL": backend_url}
    )
    exported: dict[str, Any] = json.loads(result.stdout)
    return exported
