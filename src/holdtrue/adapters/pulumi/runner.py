"""Runs the engine's child and its CLI for one stack, each in a private folder and within the time limit."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Final

from holdtrue.adapters.pulumi.claims import abandoned, claim
from holdtrue.adapters.pulumi.cli import require_cli
from holdtrue.adapters.pulumi.evidence import Evidence
from holdtrue.adapters.pulumi.journal import Journal
from holdtrue.adapters.pulumi.messages import Command, Request, write_request
from holdtrue.adapters.pulumi.plans import Steps
from holdtrue.adapters.pulumi.remedies import StackPlace
from holdtrue.adapters.pulumi.stale import Leftovers, engine_ended_by_itself
from holdtrue.adapters.pulumi.workspace import Project, Workspace, open_workspace, secret_values
from holdtrue.models.base import ignore_progress
from holdtrue.models.credentials import StackAccess
from holdtrue.runtime.interpreter import python_command, python_environment
from holdtrue.runtime.process import ToolRun, ToolTimeout, run_tool

_GRACE_SECONDS: Final = 30.0
"""How long an interrupted engine may take to finish the steps under way and to save its state."""


class Runner:
    """What one stack's operations have in common."""

    def __init__(
        self,
        *,
        folder: Path,
        stack: str,
        access: StackAccess,
        timeout_seconds: float,
        python: Callable[[], Path],
    ) -> None:
        self._folder = folder
        self._stack = stack
        self._access = access
        self._timeout_seconds = timeout_seconds
        self._python = python
        self.secrets: Final = secret_values(access)

    @property
    def where(self) -> str:
        """The stack, as messages name it."""
        return f"stack {self._stack} of {self._folder}"

    def open(self, project: Project, settings: str | None = None) -> AbstractContextManager[Workspace]:
        """A private folder for one operation."""
        return open_workspace(project, self._stack, self._access, settings=settings)

    def child(
        self,
        project: Project,
        workspace: Workspace,
        command: Command,
        journal: Journal,
        *,
        create_stack: bool = False,
        update_plan: bool = False,
        allowed: Steps | None = None,
        hash_key: bytes = b"",
        state_hash: str = "",
    ) -> ToolRun:
        """Run one command in a child; the journal collects its messages.

        Args:
            project: The project.
            workspace: The private folder of the operation.
            command: What the child does.
            journal: Where its messages go.
            create_stack: Whether an apply creates the stack first.
            update_plan: Whether a preview saves an update plan, and an apply is held to it.
            allowed: The steps that an apply without an update plan may start; None for no check.
            hash_key: The key of the hashes that bind a plan.
            state_hash: The hash of the state that an apply has to start from; empty for no check.
        """
        self.leftovers(project, workspace).tidy()
        with claim(self._place(project), workspace.folder, locks=command is Command.APPLY) as claimed:
            request = Request(
                command=command,
                folder=str(workspace.folder),
                project=project.name,
                stack=self._stack,
                program=str(project.program),
                plan_file=str(workspace.plan_file) if update_plan else "",
                secrets_provider=self._access.secrets_provider,
                cli_version=require_cli(workspace.environment),
                processes_file=str(claimed.processes_file),
                create_stack=create_stack,
                allowed=None if allowed is None else {urn: [*operations] for urn, operations in allowed.items()},
                hash_key=hash_key.hex(),
                state_hash=state_hash,
            )
            python = self._python()
            arguments = python_command(python, "-P", module="holdtrue.adapters.pulumi.child", folder=workspace.folder)
            workspace = replace(workspace, environment=python_environment(python, workspace.environment))
            run = self.run(arguments, command.value, workspace, journal.read_line, write_request(request))
            claimed.is_settled = journal.finished or engine_ended_by_itself(journal.failure)
            return run

    def ask_locks(self, project: Project, workspace: Workspace) -> str:
        """The CLI's message about locks: `stack init` always fails on an existing stack, and names its locks."""
        command = ["pulumi", "stack", "init", "--non-interactive", self._place(project).qualified]
        if self._access.secrets_provider:
            command += ["--secrets-provider", self._access.secrets_provider]
        return self.run(command, "stack init", workspace, lambda _: None).error_tail

    def leftovers(self, project: Project, workspace: Workspace) -> Leftovers:
        """Traces of killed engines that this machine has for the stack."""
        place = self._place(project)

        def cancel() -> None:
            command = ["pulumi", "cancel", "--yes", "--non-interactive", "--stack", place.qualified]
            self.run(command, "cancel", workspace, lambda _: None)

        return Leftovers(abandoned(place, workspace.folder.parent), cancel)

    def _place(self, project: Project) -> StackPlace:
        return StackPlace(self._access.backend_url, project.name, self._stack)

    def run(
        self,
        arguments: Sequence[str],
        operation: str,
        workspace: Workspace,
        on_line: Callable[[str], None],
        standard_input: str = "",
    ) -> ToolRun:
        """Run one command to its end.

        Raises:
            ToolTimeout: it took longer than an operation may take.
        """
        try:
            return run_tool(
                arguments,
                environment=workspace.environment,
                folder=workspace.folder,
                on_line=on_line,
                timeout_seconds=self._timeout_seconds,
                grace_seconds=_GRACE_SECONDS,
                standard_input=standard_input,
            )
        except ToolTimeout as error:
            raise ToolTimeout(
                f"pulumi {operation} did not end within {self._timeout_seconds:g} s and was interrupted",
                where=self.where,
                next_step="see what the last progress line waits for, or raise `infrastructure.timeout_seconds`",
            ) from error

    def evidence(self, operation: str, project: Project, journal: Journal | None, run: ToolRun) -> Evidence:
        """What is known about an operation that failed."""
        journal = journal or Journal(ignore_progress, ())
        vault = self._access.environment.get("VAULT_ADDR")
        return Evidence(
            operation=operation,
            stack=self._stack,
            project=self._folder,
            project_name=project.name,
            backend_url=self._access.backend_url,
            secrets_provider=self._access.secrets_provider,
            vault_address=vault.get_secret_value() if vault else "",
            stack_absent=journal.stack_absent,
            diagnostics=journal.diagnostics,
            failed_urns=[step.urn for step in journal.steps if step.phase == "failed"],
            text=journal.failure or "",
            source=journal.failure_source,
            error_tail="" if journal.failure is not None else run.error_tail,
            exit_code=run.exit_code,
            secrets=self.secrets,
        )
