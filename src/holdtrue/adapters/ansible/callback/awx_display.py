"""ansible-runner's own event callback, told to carry what a result means instead of everything it says.

Loaded by Ansible inside `ansible-playbook`, in place of the original of the same name: ansible-runner forces that name
and takes the folder from AWX_LIB_DIRECTORY (ansible_runner/config/_base.py, 2.4). Seven facts are the reason:

- `runner_on_skipped` comes without the result, so a task that cannot run in check mode looks like a false `when`;
- a result above MAX_EVENT_RES (700 kB) is replaced by nothing, and the task then looks unchanged;
- the result of a `no_log` task is replaced by a notice, and the task then looks unchanged as well;
- results and diffs are also printed, through a terminal that ansible-runner scans byte by byte;
- each event is written to a file, with the secrets that a task without `no_log` has put into its result;
- a notified handler is named when its turn comes, so that one whose turn never comes is named nowhere;
- the hosts of a play are named nowhere, so that a host on which no task ran looks like one that is in no play.

It is also the only code of ours in that process before the first task, so it installs `worker_guard`.
"""

import importlib.util
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

DOCUMENTATION = """
    callback: awx_display
    short_description: Events of ansible-runner, bounded
    description: Carries outcome, message and diffs of every result, each bounded in size.
    type: stdout
    extends_documentation_fragment:
      - default_callback
    requirements:
      - Set as stdout in config
"""


def _load(name: str, path: Path) -> ModuleType:
    """Load a module by its path: importing its package would cost every run what only other code needs."""
    spec = importlib.util.spec_from_file_location(f"holdtrue_callback_{name}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _load_original() -> ModuleType:
    package = importlib.util.find_spec("ansible_runner")
    if package is None or package.submodule_search_locations is None:
        raise ImportError("ansible-runner is not installed beside ansible-playbook")
    return _load("original", Path(package.submodule_search_locations[0], "display_callback/callback/awx_display.py"))


_essence = _load("essence", Path(__file__).parent.with_name("essence.py"))
_censor = _load("censor", Path(__file__).parent.with_name("censor.py"))
_worker_guard = _load("worker_guard", Path(__file__).parent.with_name("worker_guard.py"))
_original = _load_original()

_META = frozenset({"meta", "ansible.builtin.meta", "ansible.legacy.meta"})


def _is_handler(task: Any) -> bool:
    return hasattr(task, "notified_hosts")


def _own_names(handler: Any) -> list[str]:
    """The first is the one that people know it by."""
    names = (handler.get_name(), handler.name, handler.get_name(include_role_fqcn=False))
    return list(dict.fromkeys(name for name in names if name))


def _names(handler: Any) -> list[str]:
    """All that a task may notify this handler by (plugins/strategy/__init__.py, 2.19)."""
    return [*_own_names(handler), *(handler.listen or ())]


def _rescue(task: Any) -> Iterator[str]:
    """Names of the tasks that run when this one fails: those of `rescue` in the blocks around it."""
    inner, around = task, getattr(task, "_parent", None)
    while around is not None:
        rescue = getattr(around, "rescue", None)
        if rescue and inner not in rescue and inner not in (around.always or ()):
            yield from _task_names(rescue)
        inner, around = around, getattr(around, "_parent", None)


def _task_names(entries: Any) -> Iterator[str]:
    for entry in entries:
        nested = getattr(entry, "block", None)
        if nested is None:
            yield entry.get_name()
        else:
            yield from _task_names(nested)


def _place(result: Any) -> tuple[str, str]:
    return result.host.get_name(), str(result.task._uuid)  # noqa: SLF001 - as the original does


def _notifications(result: Any) -> list[str]:
    """What the task notifies, with variables filled in. Each use of the public name of these fields warns in 2.21."""
    return [str(name) for name in result._task_fields.get("notify") or ()]  # noqa: SLF001


class CallbackModule(_original.CallbackModule):  # type: ignore[misc,name-defined] # a class of an untyped module
    """The original, with bounded results, the result of skipped tasks, and nothing printed that an event holds."""

    CALLBACK_NAME = "awx_display"

    def __init__(self) -> None:
        super().__init__()
        _worker_guard.guard_worker()
        self._censor = _censor.Censor(os.environ.get(_censor.VARIABLES, ""))
        events = _original.event_context.cache
        write = events.set
        events.set = lambda key, value: write(key, self._censor.clean(value))
        self._play: Any = None
        self._by_items: defaultdict[tuple[str, str], list[str]] = defaultdict(list)

    def capture_event_data(self, event: str, **event_data: Any) -> Any:
        """Bound the result before it is written; ansible-core gives `failed` and `skipped` by the event's name only."""
        result, task = event_data.get("res"), event_data.get("task")
        if isinstance(result, Mapping):
            verdict = {"failed": event == "runner_on_failed", "skipped": event == "runner_on_skipped"}
            event_data["res"] = _essence.essence(self._censor.clean(result)) | verdict
            if _is_handler(task):
                event_data["handler_names"] = _names(task)
            event_data["rescue"] = list(_rescue(task))
        if task is not None:
            event_data["run_once"] = bool(task.run_once)
            event_data["meta"] = str(task.args.get("_raw_params") or "") if task.action in _META else ""
        return super().capture_event_data(event, **event_data)

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Learn the secrets before the first task, and name the play's hosts too.

        They are those of this batch, without the ones that failed in an earlier play.
        """
        self._censor.learn(play.get_variable_manager().extra_vars)
        self._play = play
        super().v2_playbook_on_play_start(play)
        # Its inventory is private, and no other way to the hosts leaves the variables of the play alone.
        hosts = play.get_variable_manager()._inventory.get_hosts(play.hosts)  # noqa: SLF001
        with self.capture_event_data("play_hosts", hosts=[host.get_name() for host in hosts]):
            pass

    def v2_runner_item_on_ok(self, result: Any) -> None:
        """Keep what an item of a loop notifies, which may be named after the item."""
        self._by_items[_place(result)] += _notifications(result)
        super().v2_runner_item_on_ok(result)

    def v2_runner_on_ok(self, result: Any) -> None:
        """Name the handlers that the task has notified, when it has."""
        super().v2_runner_on_ok(result)
        by_items = self._by_items.pop(_place(result), [])
        if result.is_changed():
            for notification in dict.fromkeys(by_items or _notifications(result)):
                for name in self._notified(notification):
                    self._tell_notified(result.host.get_name(), name, replaces=[])

    def v2_playbook_on_notify(self, handler: Any, host: Any) -> None:
        """The handler's turn comes, and its name is final now."""
        if handler.action not in _META:
            name, *others = _names(handler)
            self._tell_notified(host.get_name(), name, replaces=others)

    def _tell_notified(self, host: str, handler: str, *, replaces: list[str]) -> None:
        with self.capture_event_data("handler_notified", host=host, handler=handler, replaces=replaces):
            pass

    def _notified(self, notification: str) -> Iterator[str]:
        """The handlers that it means, found as a strategy finds them; itself while none has that name yet.

        A handler that is a `meta` task has no result, and changes nothing on its host.
        """
        handlers = [handler for block in reversed(self._play.handlers) for handler in block.block]
        named = [handler for handler in handlers if notification in _own_names(handler)]
        listening = [handler for handler in handlers if notification in (handler.listen or ())]
        meant = {_names(handler)[0]: handler for handler in (*named[:1], *listening)}
        yield from (name for name, handler in meant.items() if handler.action not in _META)
        if not meant:
            yield notification

    def v2_runner_on_skipped(self, result: Any) -> None:
        """Say why, which the original leaves out."""
        with self.capture_event_data(
            "runner_on_skipped", host=result.host.get_name(), task=result.task, res=result.result
        ):
            pass

    def v2_on_file_diff(self, result: Any) -> None:
        """Nothing: the result's own event holds the diff."""

    def _dump_results(self, *_: Any, **__: Any) -> str:
        return ""
