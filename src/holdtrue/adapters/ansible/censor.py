"""Removes the run's secrets from Ansible's results before they are cut or written; runs inside `ansible-playbook`.

ansible-runner passes each event on in a file. A result that is cut first may end in a truncated secret, which cannot be
recognised afterwards. So this is done in the process that works with the values and knows them anyway.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from holdtrue.core.redaction import Redactor

VARIABLES: Final = "HOLDTRUE_SECRET_VARIABLES"
"""Environment variable with the names, not the values, of the extra variables that are secrets."""

_LARGEST: Final = 1_000_000
"""Characters that are searched at each end of a string; longer strings are cut to these two parts."""


class Censor:
    """Removes the values of the named variables, once `learn` has received them."""

    def __init__(self, names: str) -> None:
        self._names: Final = tuple(name for name in names.split(",") if name)
        self._redactor = Redactor()

    def learn(self, variables: Mapping[str, Any]) -> None:
        """Take the values from all extra variables."""
        if self._names and not self._redactor:
            self._redactor = Redactor(_texts(variables.get(name) for name in self._names))

    def clean(self, value: Any) -> Any:
        """The same structure without any of the values, names in mappings included."""
        return self._clean(value) if self._redactor else value

    def _clean(self, value: Any) -> Any:
        match value:
            case str():
                if len(value) > 2 * _LARGEST:
                    return self._redactor.redact(value[:_LARGEST]) + self._redactor.redact(value[-_LARGEST:])
                return self._redactor.redact(value)
            case bytes():
                return self._clean(value.decode(errors="surrogateescape")).encode(errors="surrogateescape")
            case Mapping():
                return {self._clean(name): self._clean(item) for name, item in value.items()}
            case list() | tuple():
                return [self._clean(item) for item in value]
            case _:
                return value


def _texts(values: Iterable[Any]) -> list[str]:
    # Plain strings: Ansible's own string type carries tags, which every string derived from it would inherit.
    return [str.__str__(value) for value in values if isinstance(value, str)]
