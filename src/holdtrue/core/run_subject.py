"""What a run is about: the name it gets, and the keys under which Prefect keeps what it leaves behind."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from holdtrue.models.environment import NAME_PATTERN

_SPELLED_OUT: Final = 3
"""Environments that a run's name spells out; more are counted."""


@dataclass(frozen=True, slots=True)
class RunSubject:
    """What one run is about.

    Attributes:
        label: As a person reads it: `demo`, `fleet`, `a, b`; empty for a flow that is not about environments.
        suffix: What it adds to the keys of artifacts; None for what has no history of its own, such as a selection
            of several environments.
    """

    label: str
    suffix: str | None

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Self:
        """From the run's parameters. A name that is not valid may be anything, so it is left out."""
        if "environment" in parameters:
            return cls._named([parameters["environment"]])
        if "environments" not in parameters:
            return cls(label="", suffix="")
        given = parameters["environments"]
        if given is None:
            return cls(label="fleet", suffix="")
        return cls._named(given if isinstance(given, list | tuple) else [])

    @classmethod
    def _named(cls, given: list[Any] | tuple[Any, ...]) -> Self:
        valid = (name for name in given if isinstance(name, str) and re.fullmatch(NAME_PATTERN, name))
        names = list(dict.fromkeys(valid))
        if len(names) == 1:
            return cls(label=names[0], suffix=f"-{names[0]}")
        more = f" and {len(names) - _SPELLED_OUT} more" if len(names) > _SPELLED_OUT else ""
        return cls(label=", ".join(names[:_SPELLED_OUT]) + more, suffix=None)

    def run_name(self, flow: str) -> str:
        """`provision demo`, `drift fleet`, `audit a, b, c and 4 more`, `sweep`."""
        return f"{flow} {self.label}".rstrip()

    def key(self, kind: str) -> str | None:
        """The key of an artifact of this kind, the same for every run about the same; None for one without history."""
        return None if self.suffix is None else f"{kind}{self.suffix}"
