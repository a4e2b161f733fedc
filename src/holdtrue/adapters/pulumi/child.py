"""The engine's own process: one request on standard input, JSON lines on standard output.

What the user's program prints goes to standard error. This process ignores an interrupt: it keeps running the program
until the CLI, which reacts to the interrupt and saves its state, has ended.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import semver
from pulumi import automation

from holdtrue.adapters.pulumi.events import to_message
from holdtrue.adapters.pulumi.hashes import keyed_hash
from holdtrue.adapters.pulumi.messages import (
    UNCHANGING,
    Command,
    Diagnostic,
    Failed,
    Finished,
    Inputs,
    Message,
    Request,
    Restarted,
    StackAbsent,
    Step,
    Unplanned,
    parse_request,
    write_message,
)
from holdtrue.adapters.pulumi.program import enter_program, program_function
from holdtrue.adapters.pulumi.provider import PACKAGE, dynamic_provider
from holdtrue.adapters.pulumi.references import PrivateBackend, export_state
from holdtrue.adapters.pulumi.registrations import Registrations
from holdtrue.adapters.pulumi.state import state_hashes, state_messages
from holdtrue.runtime.leftovers import remove_folder

_MAXIMUM_LINE_CHARACTERS = 1_000_000
"""`run_tool` cuts lines at 1 MiB; JSON escapes everything beyond ASCII, so characters are bytes."""

_PER_MESSAGE = 500
_WATCH_SECONDS = 0.5
_ORPHAN_GRACE_SECONDS = 30.0


class KnownCommand(automation.PulumiCommand):
    """The CLI on PATH. The worker knows its version already; the base class would start the CLI to ask again."""

    def __init__(self, version: str) -> None:  # the base constructor does nothing but ask
        self.command = "pulumi"
        self.version = semver.VersionInfo.parse(version)


class KnownStack(automation.Stack):
    """A stack whose name is passed to each command.

    The base class would start the CLI to select the stack, and again for results that the events contain already.
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
    """Sends messages to the worker. Events come from several threads."""

    def __init__(self, stream: TextIO, allowed: Mapping[str, Sequence[str]] | None = None) -> None:
        self._stream = stream
        self._allowed = allowed
        self._lock = threading.Lock()
        self.lost: Failed | None = None
        """Why an event was not passed on. The SDK discards exceptions of its callbacks."""
        self.changing: set[str] = set()
        """URNs of the resources for which the engine announced a step that changes something."""

    def send(self, message: Message) -> None:
        """Write one line."""
        line = write_message(message)
        if len(line) > _MAXIMUM_LINE_CHARACTERS:
            about = getattr(message, "urn", "") or "the stack"
            self.lost = Failed(f"{about}: {len(line)} characters, more than {_MAXIMUM_LINE_CHARACTERS}", "message")
            return
        if isinstance(message, Step) and message.phase == "started" and message.operation not in UNCHANGING:
            self.changing.add(message.urn)
        with self._lock:
            self._stream.write(line + "\n")
            self._stream.flush()

    def pass_on(self, event: automation.EngineEvent) -> None:
        """The engine's event callback."""
        message = self.read(event)
        if message is not None:
            self.send(message)
            self._guard(message)

    def read(self, event: automation.EngineEvent) -> Message | None:
        """The event as a message."""
        try:
            return to_message(event)
        except Exception as error:
            self.lost = Failed(f"{type(error).__name__}: {error}", "event")
            raise

    def _guard(self, message: Message) -> None:
        """Interrupt the engine when it starts a step that is not allowed; it finishes the steps already started."""
        if self._allowed is None or not isinstance(message, Step) or message.phase != "started":
            return
        if message.operation in UNCHANGING or message.operation in self._allowed.get(message.urn, ()):
            return
        self._allowed = None
        self.send(Unplanned(message.urn, message.operation))
        _interrupt_run()


class StateReader:
    """Exports the state in parallel, for what the engine's events do not contain."""

    def __init__(self, workspace: automation.LocalWorkspace, stack: str, key: bytes) -> None:
        self._workspace = workspace
        self._stack = stack
        self._key = key
        self._backend_url = os.environ["PULUMI_BACKEND_URL"]
        self._messages: list[Message] = []
        self._hashes: dict[str, str] = {}
        self._failure: Failed | None = None
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def tell(self, channel: Channel) -> Failed | None:
        """Send what was read; return why reading failed, or None."""
        self._thread.join()
        for message in self._messages:
            channel.send(message)
        return self._failure

    def require_unmoved(self) -> Failed | None:
        """Read the state once more; a failure if it changed while the engine worked."""
        before = self._hashes
        self._read()
        return self._failure or (None if self._hashes == before else Failed("", "moved"))

    def require(self, state_hash: str) -> Failed | None:
        """A failure if this is not the state that the plan starts from."""
        self._thread.join()
        is_same = keyed_hash(self._key, dict(self._hashes)) == state_hash
        return self._failure or (None if is_same else Failed("", "moved"))

    def _read(self) -> None:
        try:
            deployment = export_state(self._workspace, self._stack, self._backend_url).get("deployment")
            self._messages = list(state_messages(deployment, self._key))
            self._hashes = state_hashes(deployment or {}, self._key) if self._key else {}
        except automation.StackNotFoundError:
            self._messages, self._hashes = [], {}  # There is no state yet.
        except Exception as error:  # noqa: BLE001 - whatever it is, the state is not known
            self._failure = Failed(str(error), "state")


class WorkerWatch:
    """Ends the run when its worker was killed, in the way that the worker would have.

    Without the worker, no other process interrupts the engine or removes the private folder.
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
    # The worker started this process in its own session, so the group contains only this run.
    os.killpg(0, signal.SIGINT)


def run(request: Request, channel: Channel) -> None:
    """Carry out the request; an engine failure is a message, not an exception."""
    program = Path(request.program)
    with dynamic_provider(program, request.project) as port:
        given = os.environ.get("PULUMI_DEBUG_PROVIDERS")
        os.environ["PULUMI_DEBUG_PROVIDERS"] = ",".join(filter(None, [given, f"{PACKAGE}:{port}"]))
        watch = WorkerWatch()
        enter_program(program)
        registrations = Registrations()
        workspace = automation.LocalWorkspace(
            work_dir=request.folder,
            program=program_function(program, registrations.watch),
            secrets_provider=request.secrets_provider,
            pulumi_command=KnownCommand(request.cli_version),
        )
        reader = _state_reader(request, workspace)
        try:
            moved = reader.require(request.state_hash) if reader is not None and request.state_hash else None
            if moved is None:
                _carry_out(request, KnownStack(request.stack, workspace), channel)
        except automation.CommandError as error:
            if reader is not None:
                reader.tell(channel)
            channel.send(Failed(str(error)))
        else:
            unread = reader.tell(channel) if reader is not None else None
            failure = channel.lost or moved or unread
            if reader is not None and request.command is Command.PREVIEW:
                _tell_inputs(registrations.hashes(bytes.fromhex(request.hash_key), channel.changing), channel)
                failure = failure or reader.require_unmoved()
            channel.send(failure or Finished())
        finally:
            if watch.orphaned:
                remove_folder(Path(request.folder))


def _state_reader(request: Request, workspace: automation.LocalWorkspace) -> StateReader | None:
    """None for an apply that repeats another one, because no plan knows the state that it starts from."""
    if request.command is Command.APPLY and not request.state_hash:
        return None
    return StateReader(workspace, request.stack, bytes.fromhex(request.hash_key))


def _tell_inputs(hashes: Mapping[str, str], channel: Channel) -> None:
    items = [*hashes.items()]
    for start in range(0, len(items), _PER_MESSAGE):
        channel.send(Inputs(dict(items[start : start + _PER_MESSAGE])))


def _carry_out(request: Request, stack: KnownStack, channel: Channel) -> None:
    match request.command:
        case Command.PREVIEW:
            try:
                _preview(request, stack, channel.pass_on)
            except automation.StackNotFoundError:
                channel.send(StackAbsent())
                _preview_absent(request, stack, channel)
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


def _preview(request: Request, stack: KnownStack, on_event: Callable[[automation.EngineEvent], None]) -> None:
    stack.preview(
        refresh=True, plan=request.plan_file or None, on_event=on_event, color="never",
        suppress_outputs=True, suppress_progress=True,
    )  # fmt: skip


def _preview_absent(request: Request, stack: KnownStack, channel: Channel) -> None:
    """Preview an empty stack in a private backend, so that a first preview writes nothing to the real one.

    The engine's errors name the other stacks that the program reads: they are fetched, and the preview starts again.
    """
    backend = PrivateBackend(Path(request.folder), request.project)
    _create(stack)
    while True:
        errors: list[Diagnostic] = []

        def pass_on(event: automation.EngineEvent, errors: list[Diagnostic] = errors) -> None:
            message = channel.read(event)
            if isinstance(message, Diagnostic) and message.severity == "error":
                errors.append(message)  # Held back: not an error of the run if the missing stack can be fetched.
            elif message is not None:
                channel.send(message)

        try:
            _preview(request, stack, pass_on)
        except automation.CommandError as error:
            fetched = backend.fetch_unknown(stack.workspace, [str(error), *(item.text for item in errors)])
            if not fetched:
                for item in errors:
                    channel.send(item)
                raise
            channel.send(Restarted(fetched))
        else:
            return


def _create(stack: KnownStack) -> None:
    try:
        stack.workspace.create_stack(stack.name)
    except automation.StackAlreadyExistsError:
        return  # created by someone else since the preview; the plan still limits what follows


def _record_processes(path: Path) -> None:
    """Record this process and each one that it starts.

    The SDK starts the engine, and does not report its process id.
    """

    def record(pid: int) -> None:
        with suppress(OSError), path.open("a", encoding="utf-8") as file:
            # The name before the other fields is in brackets and may contain anything (proc_pid_stat(5)).
            ticks = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
            file.write(f"{pid} {ticks}\n")

    class RecordedPopen(subprocess.Popen[Any]):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            record(self.pid)

    record(os.getpid())
    subprocess.Popen = RecordedPopen  # type: ignore[misc] # this process serves one run only


def main() -> None:
    """Read the request, answer it and exit; exit code 0 means that an answer was sent."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    request = parse_request(sys.stdin.read())
    _record_processes(Path(request.processes_file))
    # Not SIG_IGN, which the CLI would inherit.
    signal.signal(signal.SIGINT, lambda *_: None)
    run(request, Channel(answers, request.allowed))
    sys.stderr.flush()
    # Threads that the program left running, or an interrupted program, could block a regular exit without limit.
    os._exit(0)


if __name__ == "__main__":
    main()
