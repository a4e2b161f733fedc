"""What the program gives to its resources, seen in the child before the engine hides secret values.

The engine's events have a placeholder for each secret, so two plans that differ only in a secret look alike in them.
Here the values are hashed in the process that has them in memory anyway; they do not leave it as text or as a file.
"""

from collections.abc import Collection, Iterator
from typing import Any, Final

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from pulumi.runtime import settings

from holdtrue.adapters.pulumi.hashes import keyed_hash, secret_hash
from holdtrue.adapters.pulumi.messages import SECRET, Json

_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - a marker
_OUTPUT: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
"""Marks of special values (sdk/go/common/resource/sig/sig.go)."""

_PROVIDER_KEY: Final = "__provider"
"""The code of a dynamic provider, pickled. The program's files stand for it: a pickle may differ from run to run."""

_OPTIONS: Final = (
    "protect",
    "retainOnDelete",
    "deleteBeforeReplace",
    "deletedWith",
    "replaceOnChanges",
    "ignoreChanges",
    "importId",
    "version",
    "pluginDownloadURL",
    "customTimeouts",
)
"""Options that decide what the engine does with a resource, and with which plugin (RegisterResourceRequest)."""


class Registrations:
    """The inputs and options of each resource that the program has registered, in its last execution."""

    def __init__(self) -> None:
        self._inputs: dict[str, dict[str, Json]] = {}
        self._options: dict[str, dict[str, Json]] = {}

    def watch(self) -> None:
        """See what the program registers from now on. Call it when an execution of the program begins.

        Raises:
            RuntimeError: the SDK has no monitor, so nothing could be seen.
        """
        self._inputs.clear()
        self._options.clear()
        monitor = settings.get_monitor()
        if monitor is None:
            raise RuntimeError("the Pulumi SDK has no resource monitor: inputs of resources cannot be seen")
        register = monitor.RegisterResource

        def register_and_note(request: Any, *args: Any, **options: Any) -> Any:
            answer = register(request, *args, **options)
            self._inputs[answer.urn] = _inputs_of(request)
            self._options[answer.urn] = _options_of(request)
            return answer

        monitor.RegisterResource = register_and_note

    def hashes(self, key: bytes, urns: Collection[str]) -> dict[str, str]:
        """A hash of the inputs and options of each of these resources; a slow hash for inputs with secrets."""
        return {
            urn: _hash(key, inputs, self._options[urn]) for urn, inputs in sorted(self._inputs.items()) if urn in urns
        }


def _inputs_of(request: Any) -> dict[str, Json]:
    """The inputs, without those that the engine is told to ignore."""
    ignored = {path.split(".")[0].split("[")[0] for path in request.ignoreChanges} | {_PROVIDER_KEY}
    return {name: value for name, value in MessageToDict(request.object).items() if name not in ignored}


def _options_of(request: Any) -> dict[str, Json]:
    """The options, and which provider works on it: its URN only, for a preview may not know its id yet."""
    options: dict[str, Json] = {name: _as_text(getattr(request, name)) for name in _OPTIONS}
    providers = {name: _urn_of(reference) for name, reference in request.providers.items()}
    return {**options, "provider": _urn_of(request.provider), "providers": dict(providers)}


def _as_text(value: Any) -> str:
    return str(value) if isinstance(value, (bool, str, Message)) else str([*value])


def _urn_of(reference: str) -> str:
    return reference.rpartition("::")[0]


def _hash(key: bytes, inputs: dict[str, Json], options: dict[str, Json]) -> str:
    hidden: dict[str, Json] = dict(_secrets("", inputs))
    return keyed_hash(key, [_masked(inputs), secret_hash(key, hidden) if hidden else None, options])


def _secrets(path: str, value: Json) -> Iterator[tuple[str, Json]]:
    match value:
        case dict() if _is_secret(value):
            yield path, value.get("value")
        case dict():
            for name, item in value.items():
                yield from _secrets(f"{path}/{name}", item)
        case list():
            for number, item in enumerate(value):
                yield from _secrets(f"{path}/{number}", item)


def _masked(value: Json) -> Json:
    match value:
        case dict() if _is_secret(value):
            return SECRET
        case dict():
            return {name: _masked(item) for name, item in value.items()}
        case list():
            return [_masked(item) for item in value]
        case _:
            return value


def _is_secret(value: dict[str, Json]) -> bool:
    kind = value.get(_SIGNATURE)
    return kind == _SECRET or (kind == _OUTPUT and value.get("secret") is True)
