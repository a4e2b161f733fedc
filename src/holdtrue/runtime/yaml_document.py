"""YAML files that people write: plain values, and the line of every field for the message about it."""

import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import yaml
from pydantic import JsonValue, ValidationError

from holdtrue.errors import ManifestError

_SIZE_LIMIT_BYTES: Final = 1 << 20

FieldPath = tuple[str | int, ...]
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """One file, read once."""

    path: Path
    values: dict[str, JsonValue]
    help: str
    """What a person is told to look at when the file is wrong."""
    _lines: dict[FieldPath, int]

    def parse(self, parse: Callable[[JsonValue], V], at: FieldPath = (), value: JsonValue = None) -> V:
        """What `parse` makes of the file, or of `value`, which stands at the field `at`.

        Raises:
            ManifestError: pydantic refuses it: what is wrong, with line and field.
        """
        try:
            return parse(self.values if value is None else value)
        except ValidationError as error:
            problems = error.errors(include_url=False, include_input=False, include_context=False)
            first = self.error((*at, *_place(problems[0]["loc"])), problems[0]["msg"])
            if len(problems) > 1:
                others = "; ".join(f"{_dotted((*at, *_place(item['loc'])))}: {item['msg']}" for item in problems[1:6])
                first.what += f" (and {len(problems) - 1} more: {others})"
            raise first from error

    def error(self, field: FieldPath, message: str) -> ManifestError:
        """The error about one field."""
        at = field
        while at not in self._lines:  # A missing field has no line of its own: its parent's serves.
            at = at[:-1]
        return ManifestError(message, where=f"{self.path}:{self._lines[at]} {_dotted(field)}", next_step=self.help)


def read_yaml(path: Path, *, help: str) -> YamlDocument:  # noqa: A002 - what the field is called
    """Read a file whose top level is a mapping.

    Raises:
        ManifestError: it cannot be read, is not YAML, has aliases or tags, or gives a field twice.
    """
    node = _compose(path, help)
    values = _construct(path, node, set())
    assert isinstance(values, dict)  # noqa: S101 - `_compose` returns mappings only
    return YamlDocument(path=path, values=values, help=help, _lines=_line_numbers(node))


def _compose(path: Path, help_text: str) -> yaml.MappingNode:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # Reading a pipe would wait for its writer for ever.
            raise ManifestError("this is not a regular file", where=f"{path}:1", next_step="put a file there")
        if status.st_size > _SIZE_LIMIT_BYTES:
            raise ManifestError("the file is larger than 1 MiB", where=f"{path}:1", next_step="split it")
        node = yaml.compose(path.read_text(encoding="utf-8-sig"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"cannot be read: {error}", where=f"{path}:1", next_step="fix the file") from error
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        problem = getattr(error, "problem", None) or "nested too deeply"
        raise ManifestError(f"not YAML: {problem}", where=f"{path}:{line}", next_step="fix the file") from error
    if not isinstance(node, yaml.MappingNode):
        raise ManifestError("the file must hold a mapping", where=f"{path}:1", next_step=help_text)
    return node


def _construct(path: Path, node: yaml.Node, seen: set[int]) -> JsonValue:
    """Plain values from nodes; aliases are refused (they can blow up), and so is a key given twice."""
    if id(node) in seen:
        where = f"{path}:{node.start_mark.line + 1}"
        raise ManifestError("anchors with aliases are not allowed", where=where, next_step="write the value out twice")
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        return [_construct(path, item, seen) for item in node.value]
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, JsonValue] = {}
        for key, value in node.value:
            name = str(key.value)
            if name in mapping:
                where = f"{path}:{key.start_mark.line + 1} {name}"
                raise ManifestError("the field is given twice", where=where, next_step="keep one")
            mapping[name] = _construct(path, value, seen)
        return mapping
    try:
        scalar: JsonValue = yaml.SafeLoader("").construct_object(node)
    except (yaml.YAMLError, ValueError) as error:
        where = f"{path}:{node.start_mark.line + 1}"
        raise ManifestError(f"not a plain value: {node.tag}", where=where, next_step="write plain YAML") from error
    return scalar


def _line_numbers(root: yaml.Node) -> dict[FieldPath, int]:
    """Line of every field by its path; for a mapping's entry the line of its key."""
    lines: dict[FieldPath, int] = {}

    def visit(node: yaml.Node, at: FieldPath) -> None:
        lines.setdefault(at, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                lines[*at, str(key.value)] = key.start_mark.line + 1
                visit(value, (*at, str(key.value)))
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                visit(item, (*at, index))

    visit(root, ())
    return lines


def _place(location: FieldPath) -> FieldPath:
    """Where pydantic found it; `[key]` stands for the name of an entry, which is there already."""
    return location[:-1] if location[-1:] == ("[key]",) else location


def _dotted(field: Sequence[str | int]) -> str:
    return ".".join(str(part) for part in field) or "manifest"
