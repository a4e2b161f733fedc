"""Pulumi as a StackEngine: each operation is a child process in a private folder, with credentials of its own."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from holdtrue.adapters.pulumi.changes import (
    is_resource,
    is_too_deep,
    nested_too_deeply,
    outputs_of,
    planned_changes,
    unchanged_urns,
)
from holdtrue.adapters.pulumi.cli import find_cli, require_cli
from holdtrue.adapters.pulumi.deviations import interrupted, is_wordless, moved, unfinished, wordless
from holdtrue.adapters.pulumi.failures import translate, unknown_fate
from holdtrue.adapters.pulumi.identity import THIS_PROCESS, PlanBinding, given_parts, seen_parts, state_hash
from holdtrue.adapters.pulumi.journal import Journal
from holdtrue.adapters.pulumi.messages import DEEPEST, Command, Json, Recorded
from holdtrue.adapters.pulumi.plans import (
    PlanKey,
    SavedPlan,
    changing_steps,
    differing_outputs,
    keep_plan,
    take_plan,
    without_output_values,
)
from holdtrue.adapters.pulumi.refreshed import found_in
from holdtrue.adapters.pulumi.runner import Runner
from holdtrue.adapters.pulumi.workspace import Project, Workspace, read_project
from holdtrue.core.plan_identity import differences, digest_of
from holdtrue.errors import keeping_done
from holdtrue.models.base import ProgressSink, ignore_progress
from holdtrue.models.credentials import StackAccess
from holdtrue.models.stack import (
    ApplyResult,
    Operation,
    Plan,
    PlanPart,
    PlanParts,
    RefreshResult,
    ResourceChange,
    StackOutputs,
)
from holdtrue.runtime.interpreter import own_python
from holdtrue.runtime.process import ToolRun
from holdtrue.runtime.tracing import span


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
        binding: PlanBinding = THIS_PROCESS,
        python: Callable[[], Path] = own_python,
    ) -> None:
        self._folder = project.resolve()
        self._stack = stack
        self._access = access
        self._update_plan = update_plan
        self._binding = binding
        self._runner = Runner(
            folder=self._folder, stack=stack, access=access, timeout_seconds=timeout_seconds, python=python
        )

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

        Before the engine starts, the program's files, the configuration and the state must be the same as at the
        preview.

        Raises:
            ProgramFailed: the plan is out of date, a step was refused, the program raised, or a resource failed; names
                what differs or failed. Like every error of an apply that had begun, its `done` contains what was
                carried out.
        """
        with span("pulumi up", stack=self._stack, changes=len(plan.changes)):
            project = read_project(self._folder)
            saved = take_plan(self._plan_key(plan))
            if saved is None:
                current = self._preview(project, on_progress)
                if current.digest != plan.digest:
                    raise moved(differences(plan.parts, current.parts), self._runner.where)
                saved = take_plan(self._plan_key(plan))
            assert saved is not None  # noqa: S101 - an equal digest is the same key
            return self._apply(project, saved, on_progress, plan)

    def detect(self, on_progress: ProgressSink = ignore_progress) -> RefreshResult:
        """Compare the cloud with the state by reads only; takes no lock and changes no file of the backend.

        A resource whose read fails is unchecked, and so is every other one that the engine then leaves out. If no
        resource could be read, or the state could not, the cause is raised instead.
        """
        project = read_project(self._folder)
        with span("pulumi refresh --preview-only", stack=self._stack), self._runner.open(project) as workspace:
            journal = Journal(on_progress, self._runner.secrets)
            run = self._runner.child(project, workspace, Command.DETECT, journal)
            steps = [step for step in journal.refreshed() if is_resource(step)]
            checked = frozenset(step.urn for step in steps)
            announced = {step.urn for step in journal.steps if is_resource(step)} | {
                urn for urn in journal.recorded if _is_resource_urn(urn)
            }
            if not journal.finished and not (checked and journal.recorded):
                raise translate(self._runner.evidence("refresh", project, journal, run))
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
        project = read_project(self._folder)
        with span("pulumi stack output", stack=self._stack), self._runner.open(project) as workspace:
            find_cli(workspace.environment)
            command = ["pulumi", "stack", "output", "--json", "--non-interactive", "--stack", self._stack]
            run = self._runner.run(command, "stack output", workspace, lines.append)
            outputs = _document(lines) if run.exit_code == 0 else None
            if outputs is None:
                # Only now, because the CLI takes as long for its version as for the outputs.
                require_cli(workspace.environment)
                raise translate(self._runner.evidence("stack output", project, None, run))
        return outputs_of(outputs)

    def _preview(self, project: Project, on_progress: ProgressSink) -> Plan:
        given = given_parts(self._binding, project, self._stack, self._access)
        with self._runner.open(project) as workspace:
            journal = Journal(on_progress, self._runner.secrets)
            run = self._runner.child(
                project,
                workspace,
                Command.PREVIEW,
                journal,
                update_plan=self._update_plan,
                hash_key=self._binding.key(),
            )
            if journal.failure_source == "moved":
                raise moved(("the state changed while the plan was made",), self._runner.where)
            if not journal.finished:
                raise translate(self._runner.evidence("preview", project, journal, run))
            if journal.cut_short:
                locks = self._runner.ask_locks(project, workspace)
                self._runner.leftovers(project, workspace).release_locks(locks, on_progress)
                raise unknown_fate(self._runner.evidence("preview", project, journal, run), journal.cut_short)
            outputs_of(journal.stack_outputs())  # What no report could contain is refused before it is applied.
            steps, managed = journal.planned(), journal.managed()
            parts = given | seen_parts(self._binding, journal)
            plan = Plan(
                stack=self._stack,
                changes=planned_changes(steps, managed),
                unchanged=len(unchanged_urns(steps, managed)),
                digest=digest_of(parts),
                parts=parts,
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
                    parts=parts,
                ),
            )
            return plan

    def _apply(self, project: Project, saved: SavedPlan, on_progress: ProgressSink, plan: Plan) -> ApplyResult:
        given = given_parts(self._binding, project, self._stack, self._access)
        self._require_same(saved, given)
        released = frozenset(change.urn for change in plan.changes if change.operation is Operation.READ)
        with self._runner.open(project, saved.settings) as workspace:
            if saved.content is not None:
                workspace.plan_file.write_bytes(saved.content)
            allowed = saved.steps if saved.content is None else None
            key = self._binding.key()
            carry_out = partial(
                self._runner.child,
                project,
                workspace,
                Command.APPLY,
                create_stack=saved.stack_absent,
                update_plan=self._update_plan,
                allowed=allowed,
                hash_key=key,
                state_hash=state_hash(key, saved.parts[PlanPart.STATE]),
            )
            journal = Journal(on_progress, self._runner.secrets, len(plan.changes))
            with keeping_done(lambda: _carried_out(journal, released)):
                run = carry_out(journal)
                if journal.failure_source == "moved":
                    self._require_same(saved, {PlanPart.STATE: journal.state_hashes})
                leftovers = self._runner.leftovers(project, workspace)
                if leftovers.release_locks(self._runner.evidence("up", project, journal, run).all_text, on_progress):
                    journal = Journal(on_progress, self._runner.secrets, len(plan.changes))
                    run = carry_out(journal)
                outputs: Mapping[str, Json] = journal.stack_outputs()
                if not journal.finished:
                    outputs = self._record_outputs(project, workspace, saved, journal, run)
                elif saved.content is None and (undone := saved.undone(journal.steps)):
                    raise unfinished(undone, self._runner.where)
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
            raise interrupted(journal.unplanned, journal, self._runner.where)
        if not is_wordless(journal):
            declared = {step.urn for step in journal.planned()}
            left_out = sorted(saved.urns() - declared)
            raise translate(replace(self._runner.evidence("up", project, journal, run), missing_urns=left_out))
        if saved.content is None or saved.undone(journal.steps):
            raise wordless(journal, _carried_out(journal).changes, self._runner.where)
        again = Journal(ignore_progress, self._runner.secrets, 0)
        run = self._runner.child(project, workspace, Command.APPLY, again, allowed={})
        if again.unplanned is not None:
            raise interrupted(again.unplanned, again, self._runner.where)
        if is_wordless(again):
            raise wordless(again, _carried_out(journal).changes, self._runner.where)
        if not again.finished:
            raise translate(self._runner.evidence("up", project, again, run))
        return again.stack_outputs()

    def _require_same(self, saved: SavedPlan, present: PlanParts) -> None:
        """Refuse a plan if what it was made from has changed, and name what differs."""
        if found := differences(saved.parts, saved.parts | present):
            raise moved(found, self._runner.where)

    def _plan_key(self, plan: Plan) -> PlanKey:
        return PlanKey(str(self._folder), self._stack, self._access.backend_url, plan.digest)


def _carried_out(journal: Journal, released: frozenset[str] = frozenset()) -> ApplyResult:
    """What an apply has carried out so far."""
    steps = journal.carried_out()
    return ApplyResult(
        changes=planned_changes(steps, released),
        unchanged=len(unchanged_urns(steps, released)),
        outputs=outputs_of({name: item for name, item in journal.stack_outputs().items() if not is_too_deep(item)}),
    )


def _output_notes(previewed: Mapping[str, Json], applied: Mapping[str, Json]) -> tuple[str, ...]:
    names = differing_outputs(previewed, applied)
    return (f"Outputs that differ from the preview: {', '.join(names)}.",) if names else ()


def _document(lines: Sequence[str]) -> dict[str, Any] | None:
    """Parse the lines as a JSON object; None if they are not one.

    Raises:
        RejectedError: a value in it is nested too deeply. The CLI indents each level by two spaces.
    """
    name = ""
    for line in lines:
        if key := re.match(r'  "((?:[^"\\]|\\.)*)":', line):
            name = key.group(1)
        if line.startswith("  " * (DEEPEST + 2)):
            raise nested_too_deeply(name)
    with suppress(json.JSONDecodeError):
        found = json.loads("\n".join(lines))
        return found if isinstance(found, dict) else None
    return None


def _by_urn(changes: Iterable[ResourceChange | None]) -> tuple[ResourceChange, ...]:
    return tuple(sorted(filter(None, changes), key=lambda change: change.urn))


def _is_resource_urn(urn: str) -> bool:
    kind = urn.split("::")[2]
    return not kind.startswith("pulumi:")
