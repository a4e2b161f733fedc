"""The engine's own process: one request on standard input, JSON lines on standard output.

What the user's program prints goes to standard error. An interrupt is left to the CLI, which saves its state; this
process serves the program until the CLI has ended.
"""

import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import semver
from pulumi import automation

from holdtrue.adapters.pulumi.events import to_message
from holdtrue.adapters.pulumi.messages import (
    UNCHANGING,
    Command,
    Failed,
    Finished,
    Inventory,
    Message,
    Request,
    StackAbsent,
    Step,
    Unplanned,
    parse_request,
    write_message,
)
from holdtrue.adapters.pulumi.program import enter_program, program_function
from holdtrue.adapters.pulumi.provider import PACKAGE, dynamic_provider

_MAXIMUM_LINE_CHARACTERS = 1_000_000
"""`run_tool` cuts lines at 1 MiB; JSON escapes everything beyond ASCII, so characters are bytes."""

_URNS_PER_LINE = 1000
_WATCH_SECONDS = 0.5
_ORPHAN_GRACE_SECONDS = 30.0


class KnownCommand(automation.PulumiCommand):
    """The CLI on PATH, whose version the worker has looked up: the base class would spawn it to ask again."""

    def __init__(self, version: str) -> None:  # the base constructor does nothing but ask
        self.command = "pulumi"
        self.version = semver.VersionInfo.parse(version)


class KnownStack(automation.Stack):
    """A stack that is named to each command.

    The base class would spawn the CLI to select it, and again to ask what the events have told already.
    """

    def __init__(self, name: str, workspace: automation.Workspace) -> None:
        self.name = name
        self.workspace = workspace

    def outputs(self) -> automation.OutputMap:
        """Nothing: outputs are read from the events."""
        return {}

    def info(self, show_secrets: bool = False) -> automation.UpdateSummary:  # noqa: FBT001, FBT002 - the base's signature
        """Nothing: the summary is read from the events."""
        del show_secrets
        return automation.UpdateSummary("update", datetime.now(UTC), "", {}, {}, "succeeded")


class Channel:
    """The way back to the worker; events come from several threads."""

    def __init__(self, stream: TextIO, allowed: Mapping[str, Sequence[str]] | None = None) -> None:
        self._stream = stream
        self._allowed = allowed
        self._lock = threading.Lock()
        self.lost: str = ""
        """Why an event could not be passed on: the SDK swallows what its callbacks raise."""

    def send(self, message: Message) -> None:
        """Write one line."""
        line = write_message(message)
        if len(line) > _MAXIMUM_LINE_CHARACTERS:
            self.lost = f"a message of {len(line)} characters is too long to pass on: {line[:200]}"
            return
        with self._lock:
            self._stream.write(line + "\n")
            self._stream.flush()

    def pass_on(self, event: automation.EngineEvent) -> None:
        """The engine's event callback."""
        try:
            message = to_message(event)
            if message is not None:
                self.send(message)
                self._guard(message)
        except Exception as error:
            self.lost = f"an engine event could not be read: {type(error).__name__}: {error}"
            raise

    def _guard(self, message: Message) -> None:
        """Interrupt the engine when it starts what is not allowed; it finishes what is under way by then."""
        if self._allowed is None or not isinstance(message, Step) or message.phase != "started":
            return
        if message.operation in UNCHANGING or message.operation in self._allowed.get(message.urn, ()):
            return
        self._allowed = None
        self.send(Unplanned(message.urn, message.operation))
        _interrupt_run()


class WorkerWatch:
    """Ends the run when the worker that asked for it was killed, as the worker itself would have.

    Nobody is left then to interrupt the engine, or to remove the private folder.
    """

    def __init__(self) -> None:
        self.orphaned = False
        self._worker = os.getppid()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while os.getppid() == self._worker:
            time.sleep(_WATCH_SECONDS)
        self.orphaned = True
        _interrupt_run()
        time.sleep(_ORPHAN_GRACE_SECONDS)
        os.killpg(0, signal.SIGKILL)


def _interrupt_run() -> None:
    # The worker gave this process a session of its own: the group is this run and nothing else.
    os.killpg(0, signal.SIGINT)


def run(request: Request, channel: Channel) -> None:
    """Carry out the request; an engine failure is a message, not an exception."""
    program = Path(request.program)
    with dynamic_provider(program, request.project) as port:
        given = os.environ.get("PULUMI_DEBUG_PROVIDERS")
        os.environ["PULUMI_DEBUG_PROVIDERS"] = ",".join(filter(None, [given, f"{PACKAGE}:{port}"]))
        watch = WorkerWatch()
        enter_program(program)
        workspace = automation.LocalWorkspace(
            work_dir=request.folder,
            program=program_function(program),
            secrets_provider=request.secrets_provider,
            pulumi_command=KnownCommand(request.cli_version),
        )
        try:
            _carry_out(request, KnownStack(request.stack, workspace), channel)
        except automation.CommandError as error:
            if request.command is Command.DETECT and not isinstance(error, automation.StackNotFoundError):
                _name_all(workspace, request.stack, channel)
            channel.send(Failed(str(error)))
        else:
            channel.send(Failed(channel.lost) if channel.lost else Finished())
        finally:
            if watch.orphaned:
                shutil.rmtree(request.folder, ignore_errors=True)


def _carry_out(request: Request, stack: KnownStack, channel: Channel) -> None:
    match request.command:
        case Command.PREVIEW:
            try:
                _preview(request, stack, channel)
            except automation.StackNotFoundError:
                channel.send(StackAbsent())
                _use_empty_backend(request, stack)
                _preview(request, stack, channel)
        case Command.APPLY:
            if request.create_stack:
                _create(stack)
            stack.up(
                refresh=True, plan=request.plan_file or None, on_event=channel.pass_on, color="never",
                suppress_outputs=True, suppress_progress=True, show_secrets=False,
            )  # fmt: skip
        case Command.DETECT:
            stack.workspace.program = None
            stack.preview_refresh(
                on_event=channel.pass_on, color="never", suppress_outputs=True, suppress_progress=True
            )


def _preview(request: Request, stack: KnownStack, channel: Channel) -> None:
    stack.preview(
        refresh=True, plan=request.plan_file or None, on_event=channel.pass_on, color="never",
        suppress_outputs=True, suppress_progress=True,
    )  # fmt: skip


def _use_empty_backend(request: Request, stack: KnownStack) -> None:
    """A backend of the run's own with an empty stack: a first preview leaves nothing in the real one."""
    backend = Path(request.folder, "backend")
    backend.mkdir()
    os.environ["PULUMI_BACKEND_URL"] = backend.as_uri()
    _create(stack)


def _create(stack: KnownStack) -> None:
    try:
        stack.workspace.create_stack(stack.name)
    except automation.StackAlreadyExistsError:
        return  # somebody made it since the preview; the update plan guards what follows


def _name_all(workspace: automation.LocalWorkspace, stack: str, channel: Channel) -> None:
    """Tell every URN of the state, so that what the broken refresh did not reach is known."""
    try:
        deployment = workspace.export_stack(stack).deployment
    except (automation.CommandError, json.JSONDecodeError):
        return  # then the failure itself is the news, and the worker raises it
    resources = (deployment or {}).get("resources") or []
    urns = tuple(resource["urn"] for resource in resources if resource.get("custom"))
    for start in range(0, len(urns), _URNS_PER_LINE):
        channel.send(Inventory(urns[start : start + _URNS_PER_LINE]))


def main() -> None:
    """Read the request, answer it, and leave: exit code 0 says that an answer was given."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    request = parse_request(sys.stdin.read())
    # Not SIG_IGN: the CLI would inherit that.
    signal.signal(signal.SIGINT, lambda *_: None)
    run(request, Channel(answers, request.allowed))
    sys.stderr.flush()
    # A program that was cut short, or that left threads behind, would hold a regular exit for as long as it likes.
    os._exit(0)


if __name__ == "__main__":
    main()
