"""YAML that tools write, without what makes YAML dangerous: every scalar stays the text that stands there.

`version: 1.10` is not 1.1. Built from events, because libyaml's own composer recurses in C: some ten thousand `[` end
the process with a segmentation fault (PyYAML 6.0.3, measured).
"""

from typing import Final

import yaml

from holdtrue.errors import RejectedError

PlainYaml = str | list["PlainYaml"] | dict[str, "PlainYaml"]

_DEEPEST: Final = 32
_ADVICE: Final = "give the file as its tool wrote it"
_LOADER: Final = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
"""libyaml where PyYAML has it: ten times as fast."""


def parse_plain_yaml(text: str, label: str) -> PlainYaml:
    """The values of the one document; tags are passed over.

    Raises:
        RejectedError: it is no YAML, has a second document or a key that stands twice in one mapping (only one of them
            would be read), uses an alias (they can blow up), or is nested deeper than 32 levels.
    """
    builder = _Builder(label)
    # The parser's own words are not repeated, nor kept as the cause: they may quote the file.
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{label}, line {mark.line + 1}" if mark else label
        raise RejectedError("the YAML cannot be read", where=where, next_step=_ADVICE) from None
    return builder.root


class _Builder:
    """Puts values together as their events come."""

    def __init__(self, label: str) -> None:
        self.root: PlainYaml = ""
        self._label = label
        self._documents = 0
        self._open: list[list[PlainYaml] | dict[str, PlainYaml]] = []
        self._keys: list[str | None] = []
        """Of each open collection the key that waits for its value."""

    def take(self, event: yaml.Event) -> None:
        match event:
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise self._refuse("a second document", event)
            case yaml.AliasEvent():
                raise self._refuse("an alias", event)
            case yaml.ScalarEvent(value=value):
                self._add(str(value), event)
            case yaml.SequenceStartEvent():
                self._enter([], event)
            case yaml.MappingStartEvent():
                self._enter({}, event)
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                self._open.pop()
                self._keys.pop()
            case _:
                pass

    def _enter(self, collection: list[PlainYaml] | dict[str, PlainYaml], event: yaml.Event) -> None:
        if len(self._open) >= _DEEPEST:
            raise self._refuse("deeper nesting than its tool would write", event)
        self._add(collection, event)
        self._open.append(collection)
        self._keys.append(None)

    def _add(self, value: PlainYaml, event: yaml.Event) -> None:
        if not self._open:
            self.root = value
            return
        parent, key = self._open[-1], self._keys[-1]
        if isinstance(parent, list):
            parent.append(value)
        elif key is not None:
            parent[key] = value
            self._keys[-1] = None
        elif isinstance(value, str):
            if value in parent:
                raise self._refuse("a key that stands twice", event)
            self._keys[-1] = value
        else:
            raise self._refuse("a key that is no text", event)

    def _refuse(self, what: str, event: yaml.Event) -> RejectedError:
        where = f"{self._label}, line {event.start_mark.line + 1}" if event.start_mark else self._label
        return RejectedError(f"the YAML has {what}", where=where, next_step=_ADVICE)
