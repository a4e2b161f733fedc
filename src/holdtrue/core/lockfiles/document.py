"""Open the text of a lock file, and read its tables without trusting the type of anything in them."""

import codecs
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from holdtrue.errors import RejectedError
from holdtrue.models.dependency import Gap

_BYTE_ORDER_MARKS: Final = (
    # The 32-bit marks begin with the 16-bit ones, so they come first.
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
_REPEATABLE_KEY: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_TOML_LINE: Final = re.compile(r"\bline (\d+)")
_NEXT_STEP: Final = "lock again with the tool that wrote the file"


def decode_text(data: bytes) -> str:
    """Text of a file: by its byte order mark, else UTF-8.

    Raises:
        UnicodeDecodeError: it is not text in that encoding.
    """
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return data.decode(encoding)
    return data.decode("utf-8")


class Table:
    """One table of a file. What has another type than it should becomes a gap, and reads as if it were absent."""

    __slots__ = ("_gaps", "place", "values")

    def __init__(self, values: Mapping[str, object], place: str, gaps: list[Gap]) -> None:
        self.values = values
        self.place = place
        self._gaps = gaps

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Those of the whole file, each once."""
        return tuple(dict.fromkeys(self._gaps))

    def report(self, reason: str, *, name: str = "") -> None:
        """Note a gap, by this table's place when it has no better name."""
        self._gaps.append(Gap(name or self.place, reason))

    def at(self, place: str) -> "Table":
        """The same table, under another place."""
        return Table(self.values, place, self._gaps)

    def text(self, key: str) -> str:
        """Empty when absent."""
        value = self.values.get(key)
        if value is None or isinstance(value, str):
            return value or ""
        self.report(f"its {_shown(key)} is not text")
        return ""

    def flag(self, key: str) -> bool:
        """False when absent."""
        value = self.values.get(key)
        if value is None or isinstance(value, bool):
            return value or False
        self.report(f"its {_shown(key)} is neither true nor false")
        return False

    def table(self, key: str) -> "Table":
        """Empty when absent."""
        value = self.values.get(key)
        if value is not None and not isinstance(value, dict):
            self.report(f"its {_shown(key)} is not a table")
            value = None
        return Table(value or {}, self.place, self._gaps)

    def texts(self, key: str) -> tuple[str, ...]:
        """The texts of an array."""
        items = tuple(self._items(key))
        texts = tuple(item for item in items if isinstance(item, str))
        if len(texts) != len(items):
            self.report(f"an entry of {_shown(key)} is not text")
        return texts

    def tables(self, key: str, *, place: str = "") -> Iterator["Table"]:
        """The tables of an array; with `place`, they are numbered as places of their own."""
        for number, item in enumerate(self._items(key), start=1):
            where = f"{place} {number}" if place else self.place
            if isinstance(item, dict):
                yield Table(item, where, self._gaps)
            else:
                self.report(f"an entry of {_shown(key)} is not a table", name=where)

    def listed_tables(self, key: str, text: str) -> Iterator["Table"]:
        """The tables of an array of the root, each at the line of its header in the file's text.

        They are numbered where the text does not tell the lines beyond doubt.
        """
        tables = [*self.tables(key, place=key)]
        lines = _header_lines(text, key)
        are_told = len(lines) == len(tables)
        yield from (table.at(f"line {line}") for table, line in zip(tables, lines, strict=True)) if are_told else tables

    def grouped_tables(self, key: str) -> Iterator["Table"]:
        """The tables of all arrays in a table of arrays."""
        groups = self.table(key)
        for name in groups.values:
            yield from groups.tables(name)

    def _items(self, key: str) -> Iterable[object]:
        value = self.values.get(key)
        if value is None or isinstance(value, list):
            return value or ()
        self.report(f"its {_shown(key)} is not an array")
        return ()


def _header_lines(text: str, key: str) -> list[int]:
    """The numbers of the lines that look like headers of the array's tables; one in a long text may too."""
    lines: list[int] = []
    line = at = 0
    for found in re.finditer(rf'^[ \t]*\[\[[ \t]*"?{key}"?[ \t]*\]\]', text, re.MULTILINE):
        line += text.count("\n", at, found.start())
        at = found.start()
        lines.append(line + 1)
    return lines


def _shown(key: str) -> str:
    """Some keys are the file's own words, and may hold anything."""
    return key if _REPEATABLE_KEY.fullmatch(key) else "a field"


def open_toml(text: str, label: str, kind: str) -> Table:
    """The root table.

    Raises:
        RejectedError: the text is not TOML.
    """
    # Neither parser's own words are repeated, nor kept as the cause: they may quote the file.
    try:
        return Table(tomllib.loads(text), label, [])
    except RecursionError:
        raise _rejected(kind, "it is nested too deeply", label) from None
    except ValueError as error:
        line = _TOML_LINE.search(str(error))
        raise _rejected(kind, "it is not valid TOML", f"{label}:{line.group(1)}" if line else label) from None


def open_toml_lock(text: str, label: str, kind: str) -> Table:
    """The root table of a lock file of that kind.

    Raises:
        RejectedError: the text is not TOML, or another tool's lock: read as this one, it would not tell the indexes.
    """
    root = open_toml(text, label, kind)
    found = _lock_kind(root.values)
    if found not in {"", kind}:
        raise RejectedError(
            f"it is named as a {kind} and holds a {found}", where=label, next_step=f"give it the name {found}"
        )
    return root


def _lock_kind(values: Mapping[str, object]) -> str:
    """By the field that has the version of the format; empty when none has."""
    metadata = values.get("metadata")
    if "lock-version" in values:
        return "pylock.toml"
    if isinstance(metadata, dict) and "lock_version" in metadata:
        return "pdm.lock"
    if isinstance(metadata, dict) and "lock-version" in metadata:
        return "poetry.lock"
    return "uv.lock" if "version" in values else ""


def open_json(text: str, label: str, kind: str) -> Table:
    """The root object. A key that stands twice in one object is a gap: only its last value can be read.

    Raises:
        RejectedError: the text is not JSON, or not an object.
    """
    gaps: list[Gap] = []
    try:
        values = load_json(text, label, gaps)
    except RecursionError:
        raise _rejected(kind, "it is nested too deeply", label) from None
    except json.JSONDecodeError as error:
        raise _rejected(kind, "it is not valid JSON", f"{label}:{error.lineno}") from None
    except ValueError:  # a number with more digits than `int` converts
        raise _rejected(kind, "it is not valid JSON", label) from None
    if not isinstance(values, dict):
        raise _rejected(kind, "it is not a JSON object", label)
    return Table(values, label, gaps)


def load_json(text: str, label: str, gaps: list[Gap]) -> object:
    """The value. A key that stands twice in one object is noted once: only its last value can be read.

    Raises:
        ValueError: the text is not JSON; `json.JSONDecodeError` where a place is known.
        RecursionError: it is nested too deeply.
    """
    has_repeated = False

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        nonlocal has_repeated
        values = dict(pairs)
        has_repeated = has_repeated or len(values) != len(pairs)
        return values

    values: object = json.loads(text, object_pairs_hook=unique)
    if has_repeated:
        gaps.append(Gap(label, "a key stands twice in one object, and only its last value is read"))
    return values


def _rejected(kind: str, what: str, where: str) -> RejectedError:
    return RejectedError(f"the {kind} cannot be read: {what}", where=where, next_step=_NEXT_STEP)


def check_format_version(table: Table, found: object, known: tuple[str, ...]) -> None:
    """Note a gap unless the major version is one of `known`; the file is read all the same, as far as it goes."""
    major = found.partition(".")[0] if isinstance(found, str) else found
    # `True` is 1 to Python, but no version.
    if isinstance(found, bool) or major not in (*known, *map(int, known)):
        table.report(f"its format is of another version than those that are known ({', '.join(known)})")
