"""Files that people hand to an audit: waivers, VEX documents, EPSS scores and the KEV catalogue."""

import gzip
import io
import json
import zlib
from collections.abc import Callable, Sequence
from functools import reduce
from pathlib import Path
from typing import Final

import yaml
from pydantic import JsonValue

from holdtrue.core.cyclonedx_vex import parse_cyclonedx_vex
from holdtrue.core.exploitation import ExploitationData, parse_epss, parse_kev
from holdtrue.core.openvex import parse_openvex
from holdtrue.core.vex import VexStatement
from holdtrue.core.waivers import parse_waivers
from holdtrue.errors import RejectedError
from holdtrue.models.audit import Waiver

_SIZE_LIMIT_BYTES: Final = 64 << 20
_YAML_LIMIT_BYTES: Final = 1 << 20
"""YAML is read a thousand times slower than JSON, and is written by hand."""

_QUOTED: Final = 40
_GZIP_MAGIC: Final = b"\x1f\x8b"


def read_waivers(path: Path) -> tuple[Waiver, ...]:
    """The waivers of a YAML or JSON file.

    Raises:
        RejectedError: it cannot be read, is neither, has aliases or a field twice, or a waiver in it is wrong.
    """
    text = _read_text(path)
    suffix = path.suffix.lower()
    is_yaml = suffix in {".yaml", ".yml"} or (suffix != ".json" and not text.lstrip().startswith(("{", "[")))
    return parse_waivers(_parse_yaml(path, text) if is_yaml else _parse_json(path, text), where=str(path))


def read_vex(path: Path) -> tuple[VexStatement, ...]:
    """The statements of an OpenVEX or CycloneDX document, both in JSON.

    Raises:
        RejectedError: it cannot be read, is neither, or a statement in it is wrong.
    """
    document = _parse_json(path, _read_text(path))
    fields = document.keys() if isinstance(document, dict) else frozenset[str]()
    parse: Callable[..., tuple[VexStatement, ...]]
    if "bomFormat" in fields:
        parse = parse_cyclonedx_vex
    elif "statements" in fields:
        parse = parse_openvex
    else:
        raise RejectedError(
            "neither an OpenVEX document nor a CycloneDX one",
            where=str(path),
            next_step="give a JSON file with `statements` or with `bomFormat`",
        )
    return parse(document, where=str(path))


def read_epss(path: Path) -> ExploitationData:
    """The scores of an EPSS file, packed by gzip or not.

    Raises:
        RejectedError: it cannot be read, or holds no score.
    """
    return parse_epss(_read_text(path), where=str(path))


def read_kev(path: Path) -> ExploitationData:
    """The ids of a KEV catalogue in JSON, packed by gzip or not.

    Raises:
        RejectedError: it cannot be read, or lists no vulnerability.
    """
    return parse_kev(_parse_json(path, _read_text(path)), where=str(path))


def read_judgement_files(
    *, waivers: Sequence[Path] = (), vex: Sequence[Path] = (), epss: Path | None = None, kev: Path | None = None
) -> tuple[tuple[Waiver | VexStatement, ...], ExploitationData | None]:
    """All waivers, all statements of VEX documents, and what is known of attacks; None without such files.

    Raises:
        RejectedError: a file cannot be read, or is not what it should be.
    """
    found: list[Waiver | VexStatement] = [waiver for path in waivers for waiver in read_waivers(path)]
    found += (statement for path in vex for statement in read_vex(path))
    known = [read_epss(epss)] if epss else []
    known += [read_kev(kev)] if kev else []
    return tuple(found), reduce(ExploitationData.joined, known) if known else None


def _read_text(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            # A pipe or a device may never end.
            raise _error(path, "it is not a regular file")
        with path.open("rb") as file:
            data = file.read(_SIZE_LIMIT_BYTES + 1)
    except OSError as error:
        raise _error(path, f"cannot be read: {error.strerror or 'unknown error'}") from error
    if data.startswith(_GZIP_MAGIC):
        data = _unpack(path, data)
    if len(data) > _SIZE_LIMIT_BYTES:
        raise _error(path, f"it holds more than {_SIZE_LIMIT_BYTES >> 20} MiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _error(path, "it is no text in UTF-8") from None


def _unpack(path: Path, data: bytes) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            return file.read(_SIZE_LIMIT_BYTES + 1)
    except (EOFError, OSError, zlib.error):
        raise _error(path, "its gzip data are damaged or cut off") from None


class _FieldTwice(Exception):
    """An object has a field twice; which one counts is every reader's own choice."""


def _unambiguous(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    read = dict(pairs)
    if len(read) < len(pairs):
        names = [name for name, _ in pairs]
        raise _FieldTwice(ascii(next(name for name in names if names.count(name) > 1)[:_QUOTED]))
    return read


def _parse_json(path: Path, text: str) -> JsonValue:
    try:
        document: JsonValue = json.loads(text, object_pairs_hook=_unambiguous)
    except _FieldTwice as error:
        raise _error(path, f"not JSON that can be relied on: the field {error} is given twice") from None
    except json.JSONDecodeError as error:
        raise _error(path, f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except (ValueError, RecursionError):
        raise _error(path, "not JSON: a number too long, or nested too deeply") from None
    return document


def _parse_yaml(path: Path, text: str) -> JsonValue:
    if len(text) > _YAML_LIMIT_BYTES:
        raise _error(path, f"it holds more than {_YAML_LIMIT_BYTES >> 20} MiB of YAML")
    try:
        document: JsonValue = yaml.load(text, Loader=_PlainLoader)  # noqa: S506 - it is a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = f" at line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise _error(path, f"not plain YAML: {error.problem or 'a syntax error'}{line}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise _error(path, f"not plain YAML: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise _error(path, "not plain YAML: nested too deeply") from None
    return document


class _PlainLoader(yaml.SafeLoader):
    """Refuses aliases, which can blow up, and a field that is given twice."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(problem="anchors with aliases are not allowed", problem_mark=mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:  # noqa: FBT001, FBT002 - as PyYAML has it
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(problem="a field is given twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _error(path: Path, what: str) -> RejectedError:
    return RejectedError(what, where=str(path), next_step="correct the file, or name another one")
