"""Read requirements files as pip does and lose no line: each is a pin, an include, or named as unjudged.

Source of the grammar: pip's "Requirements File Format" and its req_file.py (joined lines, comments, options).
"""

import codecs
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, assert_never

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

_COMMENT: Final = re.compile(r"(^|\s+)#.*$")
_BYTE_ORDER_MARKS: Final = (
    # The 32-bit marks begin with the 16-bit ones, so they come first.
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
_INCLUDES: Final = {"-r": False, "--requirement": False, "-c": True, "--constraint": True}
_EDITABLE: Final = frozenset({"-e", "--editable"})
_WITH_VALUE: Final = frozenset({
    "-i", "--index-url", "--pypi-url", "--extra-index-url", "-f", "--find-links", "--no-binary", "--only-binary",
    "--trusted-host", "--use-feature",
})  # fmt: skip
_FLAGS: Final = frozenset({"--no-index", "--prefer-binary", "--require-hashes", "--pre"})
_LOOKS_LIKE_A_PLACE: Final = re.compile(r"://|^[./~]|^file:|\.(whl|zip|tar\.gz|tgz|tar\.bz2)\b|[/\\]")


@dataclass(frozen=True, slots=True)
class Pin:
    """One package at one version: `name` as PEP 503 writes it, `version` as PEP 440 does."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Unpinned:
    """A package without one exact version; a constraints file may give it."""

    name: str
    specifier: str


@dataclass(frozen=True, slots=True)
class Unjudged:
    """Something that has no version to ask about, and why; holds no text that may carry a credential."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Include:
    """Another file, relative to the one that names it."""

    path: str
    is_constraint: bool
    line_number: int


RequirementLine: TypeAlias = Pin | Unpinned | Unjudged | Include


@dataclass(frozen=True, slots=True)
class Inventory:
    """What there is to ask about, each pin once, and what cannot be asked about."""

    pins: tuple[Pin, ...]
    unjudged: tuple[Unjudged, ...]


def decode_requirements(data: bytes) -> str:
    """Text of a requirements file: by its byte order mark, else UTF-8.

    Raises:
        UnicodeDecodeError: it is not text in that encoding.
    """
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return data.decode(encoding)
    return data.decode("utf-8")


def parse_requirements(text: str) -> tuple[RequirementLine, ...]:
    """Every line of the file that names something, in order. Markers are not evaluated.

    The audited file may be deployed on another platform or Python than the one that audits, so each pin counts.
    """
    return tuple(item for number, line in _logical_lines(text) for item in _parse_line(line, number))


def resolve(lines: Iterable[RequirementLine], constraints: Iterable[RequirementLine]) -> Inventory:
    """Take the pins, give unpinned packages the version their constraints pin, and list the rest with its reason."""
    constrained: dict[str, list[Pin]] = {}
    for item in constraints:
        if isinstance(item, Pin):
            constrained.setdefault(item.name, []).append(item)
    pins: dict[Pin, None] = {}
    unjudged: dict[Unjudged, None] = {}
    for line in lines:
        match line:
            case Pin():
                pins[line] = None
            case Unpinned(name=name) if name in constrained:
                pins.update(dict.fromkeys(constrained[name]))
            case Unpinned():
                unjudged[Unjudged(line.name, f"not pinned to one version ({line.specifier or 'any'})")] = None
            case Unjudged():
                unjudged[line] = None
            case Include():
                raise ValueError(f"{line.path} must be read before its lines are resolved")
            case _:
                assert_never(line)
    return Inventory(tuple(pins), tuple(unjudged))


def normalise_version(version: str) -> str | None:
    """The PEP 440 form, or None when it is not a version there."""
    try:
        return str(Version(version))
    except InvalidVersion:
        return None


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines joined at trailing backslashes and freed of comments, with the number of their first physical line."""
    parts: list[str] = []
    first = 0
    for number, physical in enumerate(text.splitlines(), start=1):
        first = first if parts else number
        is_comment = physical.lstrip().startswith("#")
        if physical.endswith("\\") and not is_comment:
            parts.append(physical[:-1])
            continue
        # A comment ends a continued line, and a blank before it keeps it a comment.
        parts.append(f" {physical}" if is_comment else physical)
        yield from _cleaned(first, parts)
        parts = []
    yield from _cleaned(first, parts)


def _cleaned(number: int, parts: Sequence[str]) -> Iterator[tuple[int, str]]:
    line = _COMMENT.sub("", "".join(parts)).strip()
    if line:
        yield number, line


def _parse_line(line: str, number: int) -> Iterator[RequirementLine]:
    if line.startswith("-"):
        yield from _parse_options(line, number)
        return
    words = line.split(" ")
    options_at = next((index for index, word in enumerate(words) if word.startswith("-")), len(words))
    yield _parse_requirement(" ".join(words[:options_at]).strip(), number)


def _parse_options(line: str, number: int) -> Iterator[RequirementLine]:
    """Options of a line of their own; several may share it. An unknown one is listed: it may be a mistyped include."""
    try:
        words = iter(shlex.split(line))
    except ValueError:
        yield Unjudged(f"line {number}", "quotes do not close")
        return
    for word in words:
        name, value = _split_option(word)
        if name in _FLAGS:
            continue
        if name not in _INCLUDES and name not in _EDITABLE and name not in _WITH_VALUE:
            yield Unjudged(f"line {number}", "an option that is not understood")
            return
        value = value or next(words, "")
        if not value:
            yield Unjudged(f"line {number}", f"{name} without a value")
        elif name in _EDITABLE:
            yield _describe_place(value, number)
        elif name in _INCLUDES and "://" in value:
            yield Unjudged(f"line {number}", "a file included over the network is not read")
        elif name in _INCLUDES:
            yield Include(value, _INCLUDES[name], number)


def _split_option(word: str) -> tuple[str, str]:
    """`--name=value`, `-rvalue` and bare names."""
    if word.startswith("--"):
        name, _, value = word.partition("=")
        return name, value
    return word[:2], word[2:].removeprefix("=")


def _parse_requirement(text: str, number: int) -> RequirementLine:
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        if _LOOKS_LIKE_A_PLACE.search(text):
            return _describe_place(text, number)
        return Unjudged(f"line {number}", "not a requirement (PEP 508)")
    name = canonicalize_name(requirement.name)
    if requirement.url:
        return Unjudged(name, "installed from an address: the file does not say which version")
    return _pin_or_not(name, requirement.specifier)


def _pin_or_not(name: str, specifiers: SpecifierSet) -> Pin | Unpinned | Unjudged:
    exact = {item.version for item in specifiers if item.operator in {"==", "==="} and not item.version.endswith(".*")}
    if len(exact) != 1:
        return Unpinned(name, str(specifiers))
    version = normalise_version(exact.pop())
    return Pin(name, version) if version else Unjudged(name, "its version is not one of PEP 440")


def _describe_place(text: str, number: int) -> Unjudged:
    """Name a path or address by its #egg= or last part; user names and tokens stand before it or after `?`."""
    egg = re.search(r"#(?:.*&)?egg=([A-Za-z0-9._-]+)", text)
    path = text.partition("://")[2].partition("/")[2] if "://" in text else text
    last = re.split(r"[?#@;\s]", path.rstrip("/").rsplit("/", 1)[-1], maxsplit=1)[0].removesuffix(".git")
    readable = (
        egg.group(1) if egg else last if re.fullmatch(r"[A-Za-z0-9._+-]*[A-Za-z0-9][A-Za-z0-9._+-]*", last) else ""
    )
    return Unjudged(readable or f"line {number}", "a path, address or repository: the file does not say which version")
