"""Pulumi as a StackEngine: each operation is a child process in a private folder, with credentials of its own."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from holdtrue.adapters.pulumi.changes import (
    is_resource,
    outputs_of,
    plan_digest,
    planned_changes,
    unchanged_urns,
)
from holdtrue.adapters.pulumi.claims import abandoned, claim
from holdtrue.adapters.pulumi.cli import find_cli, require_cli
from holdtrue.adapters.pulumi.deviations import interrupted, is_wordless, unfinished, wordless
from holdtrue.adapters.pulumi.evidence import Evidence, name_of
from holdtrue.adapters.pulumi.failures import translate, unknown_fate
from holdtrue.adapters.pulumi.journal import Journal
from holdtrue.adapters.pulumi.messages import Command, Json, Recorded, Request, write_request
from holdtrue.adapters.pulumi.plans import (
    PlanKey,
    SavedPlan,
    Steps,
    changing_steps,
    differing_outputs,
    keep_plan,
    take_plan,
    without_output_values,
)
from holdtrue.adapters.pulumi.refreshed import found_in
from holdtrue.adapters.pulumi.remedies import PROVISION_AGAIN, StackPlace
from holdtrue.adapters.pulumi.stale import Leftovers, engine_ended_by_itself
from holdtrue.adapters.pulumi.workspace import Project, Workspace, open_workspace, read_project, secret_values
from holdtrue.errors import ProgramFailed, keeping_done
from holdtrue.models.base import ProgressSink, ignore_progress
from holdtrue.models.credentials import StackAccess
from holdtrue.models.stack import ApplyResult, Operation, Plan, RefreshResult, ResourceChange, StackOutputs
from holdtrue.runtime.interpreter import own_python, python_command, python_environment
from holdtrue.runtime.process import ToolRun, ToolTimeout, run_tool
from holdtrue.runtime.tracing import span

_GRACE_SECONDS: Final = 30.0
"""How long an interrupted engine may take to finish the steps under way and to save its state."""


class PulumiEngine:
    """One stack of an ordinary Pulumi Python project.

    The project runs unchanged, in the interpreter that `python` returns, and is never written to. Plugins are not
    downloaded: those that the program needs must be in the worker's plugin folder (`PULUMI_HOME` or `~/.pulumi`).
    """

    def __init__(
        self,
        *,
        project: Path,
        stack: str,
        access: StackAccess,
        timeout_seconds: float,
        update_plan: bool = True,
        python: Callable[[], Path] = own_python,
    ) -> None:
        self._folder = project.resolve()
        self._stack = stack
        self._access = access
        self._timeout_seconds = timeout_seconds
        self._update_plan = update_plan
        self._python = python
        self._secrets = secret_values(access)

    def preview(self, on_progress: ProgressSink = ignore_progress) -> Plan:
        """Compare the program with the refreshed state; nothing is written to the backend.

        A stack that does not exist is previewed as an empty one in the private folder, with copies of the stacks that
        the program refers to: the first preview creates nothing, the first apply creates the stack.

        Raises:
            ProgramFailed: also while the state has pending creates of a killed run. The lock of that run is removed
                first (the only thing that a preview removes): otherwise the state could not be repaired.
        """
        with span("pulumi preview", stack=self._stack):
            return self._preview(read_project(self._folder), on_progress)

    def apply(self, plan: Plan, on_progress: ProgressSink = ignore_progress) -> ApplyResult:
        """Carry out exactly `plan`, after a refresh.

        The engine checks each resource against the preview's update plan when it gets to it: a step, or an input, that
        the plan does not contain is refused before it runs. Earlier steps of the plan may have run; they are in the
        state. The refreshed values are in the state even if every step was refused, so a later drift check no longer
        reports them; the next preview does.

        Outputs may differ from the previewed ones; the result's notes name them.

        Without update plans, each event is compared with the plan as it arrives. The first step that the plan does not
        contain interrupts the engine; that step may have begun, and may be carried out.

        The preview's data are in the memory of the process that previewed (the newest eight plans). Without them a new
        preview runs first, and the apply is refused unless the digests are equal.

        Raises:
            ProgramFailed: a step was refused, the program raised, or a resource failed; names the resource. Like
                every error of an apply that had begun, its `done` contains what was carried out.
        """
        with span("pulumi up", stack=self._stack, changes=len(plan.changes)):
            project = read_project(self._folder)
            saved = take_plan(self._plan_key(plan))
            if saved is None:
                self._require_same(plan, self._preview(project, on_progress))
                saved = take_plan(self._plan_key(plan))
            assert saved is not None  # noqa: S101 - an equal digest is the same key
            return self._apply(project, saved, on_progress, plan)

    def detect(self, on_progress: ProgressSink = ignore_progress) -> RefreshResult:
        """Compare the cloud with the state by reads only; takes no lock and changes no file of the backend.

        A resource whose read fails is unchecked, and so is every other one that the engine then leaves out. If no
        resource could be read, or the state could not, the cause is raised instead.
        """
        with (
            span("pulumi refresh --preview-only", stack=self._stack),
            self._open(read_project(self._folder)) as (project, workspace),
        ):
            journal = Journal(on_progress, self._secrets)
            run = self._run_child(project, workspace, Command.DETECT, journal)
            steps = [step for step in journal.refreshed() if is_resource(step)]
            checked = frozenset(step.urn for step in steps)
            announced = {step.urn for step in journal.steps if is_resource(step)} | {
                urn for urn in journal.recorded if _is_resource_urn(urn)
            }
            if not journal.finished and not (checked and journal.recorded):
                raise translate(self._evidence("refresh", project, journal, run))
            found = [found_in(step, journal.recorded.get(step.urn, Recorded(step.urn))) for step in steps]
            return RefreshResult(
                changes=_by_urn(item.drift for item in found),
                unmanaged=_by_urn(item.unmanaged for item in found),
                checked=tuple(sorted(checked)),
                unchecked=tuple(sorted(announced - checked)),
                unknown_fate=journal.cut_short,
            )

    def outputs(self) -> StackOutputs:
        """The outputs of the last apply, from the state alone."""
        lines: list[str] = []
        with (
            span("pulumi stack output", stack=self._stack),
            self._open(read_project(self._folder)) as (project, workspace),
        ):
            find_cli(workspace.environment)
            command = ["pulumi", "stack", "output", "--json", "--non-interactive", "--stack", self._stack]
            run = self._run(command, "stack output", workspace, lines.append)
            outputs = _document(lines) if run.exit_code == 0 else None
            if outputs is None:
                # Only now, because the CLI takes as long for its version as for the outputs.
                require_cli(workspace.environment)
                raise translate(self._evidence("stack output", project, None, run))
        return outputs_of(outputs)

    def _preview(self, project: Project, on_progress: ProgressSink) -> Plan:
        with self._open(project) as (_, workspace):
            journal = Journal(on_progress, self._secrets)
            run = self._run_child(project, workspace, Command.PREVIEW, journal)
            if not journal.finished:
                raise translate(self._evidence("preview", project, journal, run))
            if journal.cut_short:
                self._leftovers(project, workspace).release_locks(self._ask_locks(project, workspace), on_progress)
                raise unknown_fate(self._evidence("preview", project, journal, run), journal.cut_short)
            steps, managed = journal.planned(), journal.managed()
            changes, unchanged = planned_changes(steps, managed), unchanged_urns(steps, managed)
            plan = Plan(
                stack=self._stack,
                changes=changes,
                unchanged=len(unchanged),
                # Names only: a plan with an output that differs each time could never be approved.
                digest=plan_digest(self._stack, changes, unchanged, dict.fromkeys(journal.stack_outputs())),
            )
            content = without_output_values(workspace.plan_file.read_bytes()) if self._update_plan else None
            keep_plan(
                self._plan_key(plan),
                SavedPlan(
                    content=content,
                    settings=workspace.settings_file.read_text(encoding="utf-8"),
                    stack_absent=journal.stack_absent,
                    steps=changing_steps(steps),
                    outputs=journal.stack_outputs(),
                ),
            )
            return plan

    def _apply(self, project: Project, saved: SavedPlan, on_progress: ProgressSink, plan: Plan) -> ApplyResult:
        released = frozenset(change.urn for change in plan.changes if change.operation is Operation.READ)
        with self._open(project, saved.settings) as (_, workspace):
            if saved.content is not None:
                workspace.plan_file.write_bytes(saved.content)
            allowed = saved.steps if saved.content is None else None
            carry_out = partial(
                self._run_child, project, workspace, Command.APPLY, create_stack=saved.stack_absent, allowed=allowed
            )
            journal = Journal(on_progress, self._secrets, len(plan.changes))
            with keeping_done(lambda: _carried_out(journal, released)):
                run = carry_out(journal)
                leftovers = self._leftovers(project, workspace)
                if leftovers.release_locks(self._evidence("up", project, journal, run).all_text, on_progress):
                    journal = Journal(on_progress, self._secrets, len(plan.changes))
                    run = carry_out(journal)
                outputs: Mapping[str, Json] = journal.stack_outputs()
                if not journal.finished:
                    outputs = self._record_outputs(project, workspace, saved, journal, run)
                elif saved.content is None and (undone := saved.undone(journal.steps)):
                    raise unfinished(undone, self._where)
            leftovers.forget()
            return _carried_out(journal, released).model_copy(
                update={"outputs": outputs_of(outputs), "notes": _output_notes(saved.outputs, outputs)}
            )

    def _record_outputs(
        self, project: Project, workspace: Workspace, saved: SavedPlan, journal: Journal, run: ToolRun
    ) -> Mapping[str, Json]:
        """Record the outputs of a stack whose apply failed only because the plan lacks the name of an output.

        They are not in the state yet, so the engine runs once more, without its update plan and without changes.

        Raises:
            HoldtrueError: the apply failed for another reason.
        """
        if journal.unplanned is not None:
            raise interrupted(journal.unplanned, journal, self._where)
        if not is_wordless(journal):
            declared = {step.urn for step in journal.planned()}
            left_out = sorted(saved.urns() - declared)
            raise translate(replace(self._evidence("up", project, journal, run), missing_urns=left_out))
        if saved.content is None or saved.undone(journal.steps):
            raise wordless(journal, _carried_out(journal).changes, self._where)
        again = Journal(ignore_progress, self._secrets, 0)
        run = self._run_child(project, workspace, Command.APPLY, again, update_plan=False, allowed={})
        if again.unplanned is not None:
            raise interrupted(again.unplanned, again, self._where)
        if is_wordless(again):
            raise wordless(again, _carried_out(journal).changes, self._where)
        if not again.finished:
            raise translate(self._evidence("up", project, again, run))
        return again.stack_outputs()

    def _require_same(self, plan: Plan, current: Plan) -> None:
        """Refuse a plan that a new preview does not confirm, and name what differs."""
        if plan.digest == current.digest:
            return
        planned, present = ({change.urn: change for change in item.changes} for item in (plan, current))
        moved = sorted(urn for urn in planned.keys() | present.keys() if planned.get(urn) != present.get(urn))
        names = ", ".join(map(name_of, moved[:5])) or "the stack's outputs"
        raise ProgramFailed(
            f"the plan is out of date: a new preview differs in {names}", where=self._where, next_step=PROVISION_AGAIN
        )

    @property
    def _where(self) -> str:
        return f"stack {self._stack} of {self._folder}"

    def _plan_key(self, plan: Plan) -> PlanKey:
        return PlanKey(str(self._folder), self._stack, self._access.backend_url, plan.digest)

    @contextmanager
    def _open(self, project: Project, settings: str | None = None) -> Iterator[tuple[Project, Workspace]]:
        with open_workspace(project, self._stack, self._access, settings=settings) as workspace:
            yield project, workspace

    def _run_child(
        self,
        project: Project,
        workspace: Workspace,
        command: Command,
        journal: Journal,
        *,
        create_stack: bool = False,
        update_plan: bool = True,
        allowed: Steps | None = None,
    ) -> ToolRun:
        """Run one command in a child; the journal collects its messages."""
        self._leftovers(project, workspace).tidy()
        with claim(self._place(project), workspace.folder, locks=command is Command.APPLY) as claimed:
            request = Request(
                command=command,
                folder=str(workspace.folder),
                project=project.name,
                stack=self._stack,
                program=str(project.program),
                plan_file=str(workspace.plan_file) if self._update_plan and update_plan else "",
                secrets_provider=self._access.secrets_provider,
                cli_version=require_cli(workspace.environment),
                processes_file=str(claimed.processes_file),
                create_stack=create_stack,
                allowed=None if allowed is None else {urn: [*operations] for urn, operations in allowed.items()},
            )
            python = self._python()
            arguments = python_command(python, "-P", module="holdtrue.adapters.pulumi.child", folder=workspace.folder)
            workspace = replace(workspace, environment=python_environment(python, workspace.environment))
            run = self._run(arguments, command.value, workspace, journal.read_line, write_request(request))
            claimed.is_settled = journal.finished or engine_ended_by_itself(journal.failure)
            return run

    def _ask_locks(self, project: Project, workspace: Workspace) -> str:
        """The CLI's message about locks: `stack init` always fails on an existing stack, and names its locks."""
        command = ["pulumi", "stack", "init", "--non-interactive", self._place(project).qualified]
        if self._access.secrets_provider:
            command += ["--secrets-provider", self._access.secrets_provider]
        return self._run(command, "stack init", workspace, lambda _: None).error_tail

    def _leftovers(self, project: Project, workspace: Workspace) -> Leftovers:
        place = self._place(project)

        def cancel() -> None:
            command = ["pulumi", "cancel", "--yes", "--non-interactive", "--stack", place.qualified]
            self._run(command, "cancel", workspace, lambda _: None)

        return Leftovers(abandoned(place, workspace.folder.parent), cancel)

    def _place(self, project: Project) -> StackPlace:
        return StackPlace(self._access.backend_url, project.name, self._stack)

    def _run(
        self,
        arguments: Sequence[str],
        operation: str,
        workspace: Workspace,
        on_line: Callable[[str], None],
        standard_input: str = "",
    ) -> ToolRun:
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
                where=self._where,
                next_step="see what the last progress line waits for, or raise `infrastructure.timeout_seconds`",
            ) from error

    def _evidence(self, operation: str, project: Project, journal: Journal | None, run: ToolRun) -> Evidence:
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
            secrets=self._secrets,
        )


def _carried_out(journal: Journal, released: frozenset[str] = frozenset()) -> ApplyResult:
    """What an apply has carried out so far."""
    steps = journal.carried_out()
    return ApplyResult(
        changes=planned_changes(steps, released),
        unchanged=len(unchanged_urns(steps, released)),
        outputs=outputs_of(journal.stack_outputs()),
    )


def _output_notes(previewed: Mapping[str, Json], applied: Mapping[str, Json]) -> tuple[str, ...]:
    names = differing_outputs(previewed, applied)
    return (f"Outputs that differ from the preview: {', '.join(names)}.",) if names else ()


def _document(lines: Sequence[str]) -> dict[str, Any] | None:
    """Parse the lines as a JSON object; None if they are not one."""
    with suppress(json.JSONDecodeError):
        found = json.loads("\n".join(lines))
        return found if isinstance(found, dict) else None
    return None


def _by_urn(changes: Iterable[ResourceChange | None]) -> tuple[ResourceChange, ...]:
    return tuple(sorted(filter(None, changes), key=lambda change: change.urn))


def _is_resource_urn(urn: str) -> bool:
    kind = urn.split("::")[2]
    return not kind.startswith("pulumi:")
