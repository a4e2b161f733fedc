"""The process that runs ansible-runner: one JSON request on standard input, one JSON event a line on standard output.

It is a separate process because ansible-runner copies the environment of its process into its artifacts, installs
signal handlers, and may call `sys.exit`. Everything it starts can also be ended together with it.
"""

import ctypes
import json
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from holdtrue.core.redaction import Redactor

_PR_SET_PDEATHSIG = 1
_TEXT_LIMIT = 3_000
"""Characters of one string. The callback limits their number, so that an event stays below run_tool's line limit."""
_ITEM_TEXT_LIMIT = 200
_TAILS = frozenset({"stderr", "stdout", "module_stderr", "module_stdout"})

_RESULT_EVENTS = frozenset({"runner_on_ok", "runner_on_failed", "runner_on_unreachable", "runner_on_skipped"})
_TEXT_EVENTS = frozenset({"verbose", "error", "warning", "system_warning", "deprecated"})


def main() -> int:
    """Run the request. The exit code is 0 when a final event was written, also one of a failed run."""
    parent = os.getppid()
    _end_with_parent()
    request = json.load(sys.stdin)
    emit = _protected_output(request["redact"])
    try:
        _run(request, emit)
    finally:
        if os.getppid() != parent:
            _clean_up(Path(request["folder"]))
    return 0


def _run(request: Mapping[str, Any], emit: Callable[[dict[str, Any]], None]) -> None:
    import ansible_runner  # noqa: PLC0415 - after the output is protected: whatever it prints is not an event

    runner = ansible_runner.run(
        private_data_dir=request["folder"],
        project_dir=request["project"],
        playbook=request["playbook"],
        inventory=request["inventory"],
        cmdline=_command_line(request),
        forks=request["forks"],
        # With its own type ansible-runner would override `fact_caching` of ansible.cfg.
        fact_cache_type="",
        suppress_env_files=True,
        quiet=True,
        event_handler=lambda event: _forward(event, emit),
    )
    emit({"kind": "end", "status": str(runner.status), "exit_code": runner.rc})


def _end_with_parent() -> None:
    """Have SIGTERM sent to this process when its parent dies, which ansible-runner takes as a cancel (prctl(2))."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _clean_up(folder: Path) -> None:
    """Do the parent's clean-up when it was killed: ansible-core's workers have left the session and would continue."""
    from holdtrue.runtime.leftovers import remove_folder  # noqa: PLC0415 - costs start-up time
    from holdtrue.runtime.process import find_marked, signal_processes  # noqa: PLC0415 - costs start-up time

    signal_processes(
        find_marked("ANSIBLE_LOCAL_TEMP", os.environ["ANSIBLE_LOCAL_TEMP"]) - {os.getpid()}, signal.SIGKILL
    )
    remove_folder(folder)


def _protected_output(secrets: list[str]) -> Callable[[dict[str, Any]], None]:
    """A writer on the real standard output; everything else that writes there goes to standard error."""
    stream: TextIO = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace")
    os.dup2(2, 1)
    redactor = Redactor(secrets)

    def emit(event: dict[str, Any]) -> None:
        stream.write(json.dumps(_presentable(event, redactor), ensure_ascii=False) + "\n")
        stream.flush()

    return emit


def _command_line(request: Mapping[str, Any]) -> str:
    arguments = ["--check", "--diff"] if request["check"] else []
    arguments += request["selection"]
    files = [request["variables"]]
    if request["secret_variables"]:
        files.append(str(_offer_once(Path(request["folder"], "secrets.yml"), request["secret_variables"])))
    # Of two files with the same variable the last one counts: connection settings must not be overridden.
    files.append(request["connection"])
    for file in files:
        arguments += ["-e", f"@{file}"]
    return shlex.join(arguments)


def _offer_once(path: Path, text: str) -> Path:
    """Create a fifo that gives `text` to its first reader: it is never on a disk, in an argument or in an artifact."""
    os.mkfifo(path, 0o600)

    def write() -> None:
        # The reader may end before it has read everything; it reports that failure itself.
        with suppress(OSError), path.open("w", encoding="utf-8") as pipe:
            # Unlink before writing: Ansible reopens the path to report where a value is from, and a fifo would block.
            path.unlink()
            pipe.write(text)

    threading.Thread(target=write, daemon=True).start()
    return path


def _forward(event: Mapping[str, Any], emit: Callable[[dict[str, Any]], None]) -> bool:
    """Pass on one of ansible-runner's events in our format. Returns False, so that ansible-runner keeps no copy."""
    name, data = event.get("event"), event.get("event_data") or {}
    if name in _RESULT_EVENTS:
        emit(
            {
                "kind": "result",
                "event": name,
                "host": data["host"],
                "task": data.get("task") or "",
                "module": data.get("resolved_action") or data.get("task_action") or "",
                "ignored": bool(data.get("ignore_errors")),
                "handler_names": data.get("handler_names") or [],
                "run_once": bool(data.get("run_once")),
                "rescue": data.get("rescue") or [],
                "result": data.get("res") or {},
            }
        )
    elif name == "playbook_on_task_start":
        emit(
            {
                "kind": "task",
                "task": data.get("task") or "",
                "meta": data.get("meta") or "",
                "run_once": bool(data.get("run_once")),
            }
        )
    elif name == "play_hosts":
        emit({"kind": "play", "hosts": data.get("hosts") or []})
    elif name == "handler_notified":
        emit(
            {
                "kind": "notified",
                "host": data["host"],
                "handler": data["handler"],
                "replaces": data.get("replaces") or [],
            }
        )
    elif name == "runner_on_start":
        emit({"kind": "start", "host": data["host"], "task": data.get("task") or ""})
    elif name == "playbook_on_vars_prompt":
        emit({"kind": "prompt", "variable": data.get("varname") or ""})
    elif name == "playbook_on_stats":
        counts = ("ok", "changed", "failures", "skipped", "dark", "processed")
        emit({"kind": "stats", **{count: data.get(count) or {} for count in counts}})
    elif name in _TEXT_EVENTS and event.get("stdout"):
        emit({"kind": "text", "text": event["stdout"]})
    return False


def _presentable(value: Any, redactor: Redactor, limit: int = _TEXT_LIMIT, *, tail: bool = False) -> Any:
    """The same shape with every string first redacted and then cut, so that no truncated secret remains."""
    if isinstance(value, str):
        return _cut(redactor.redact(value), limit, tail=tail)
    if isinstance(value, list):
        return [_presentable(item, redactor, limit) for item in value]
    if isinstance(value, dict):
        return {
            name: _presentable(item, redactor, _ITEM_TEXT_LIMIT if name == "items" else limit, tail=name in _TAILS)
            for name, item in value.items()
        }
    return value


def _cut(text: str, limit: int, *, tail: bool) -> str:
    if len(text) <= limit:
        return text
    note = f"[{len(text) - limit} more characters]"
    return f"{note}\n{text[-limit:]}" if tail else f"{text[:limit]}\n{note}"


if __name__ == "__main__":
    sys.exit(main())
