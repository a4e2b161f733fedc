"""ansible-runner's own event callback, told to carry what a result means instead of everything it says.

Loaded by Ansible inside `ansible-playbook`, in place of the original of the same name: ansible-runner forces that name
and takes the folder from AWX_LIB_DIRECTORY (ansible_runner/config/_base.py, 2.4). Five facts are the reason:

- `runner_on_skipped` comes without the result, so a task that cannot run in check mode looks like a false `when`;
- a result above MAX_EVENT_RES (700 kB) is replaced by nothing, and the task then looks unchanged;
- the result of a `no_log` task is replaced by a notice, and the task then looks unchanged as well;
- results and diffs are also printed, through a terminal that ansible-runner scans byte by byte;
- each event is written to a file, with the secrets that a task without `no_log` has put into its result.
"""

import importlib.util
import os
from collections.abc import Mapping
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
_original = _load_original()


class CallbackModule(_original.CallbackModule):  # type: ignore[misc,name-defined] # a class of an untyped module
    """The original, with bounded results, the result of skipped tasks, and nothing printed that an event holds."""

    CALLBACK_NAME = "awx_display"

    def __init__(self) -> None:
        super().__init__()
        self._censor = _censor.Censor(os.environ.get(_censor.VARIABLES, ""))
        events = _original.event_context.cache
        write = events.set
        events.set = lambda key, value: write(key, self._censor.clean(value))

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Learn the secrets before the first task of the first play."""
        self._censor.learn(play.get_variable_manager().extra_vars)
        super().v2_playbook_on_play_start(play)

    def capture_event_data(self, event: str, **event_data: Any) -> Any:
        """Bound the result before it is written; ansible-core gives `failed` and `skipped` by the event's name only."""
        result = event_data.get("res")
        if isinstance(result, Mapping):
            verdict = {"failed": event == "runner_on_failed", "skipped": event == "runner_on_skipped"}
            event_data["res"] = _essence.essence(self._censor.clean(result)) | verdict
        return super().capture_event_data(event, **event_data)

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
