"""The lines of a requirements file, so that one version can be changed and every other character stays.

Lines are joined as `core.requirements` joins them, and what a line means is what that module says.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePath
from typing import Final
from urllib.parse import unquote

from holdtrue.core.requirements import has_comment, parse_requirements
from holdtrue.errors import RejectedError
from holdtrue.models.dependency import Dependency, Origin

_HEAD: Final = re.compile(
    r"\ufeff?\s*(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?P<extras>\[[^\]\n]*\])?(?P<specs>[^;#\\\n]*)"
)
_EXACT: Final = re.compile(r"(?<![!~<>=])={2,3}\s*(?P<version>[^\s,;)#=*]+)(?=[\s,;)]|$)")
_OPTIONS: Final = re.compile(r"\s--?[A-Za-z]")
_HASH: Final = re.compile(r"--hash[= ]\s*(?P<hash>[A-Za-z0-9]+:[0-9A-Fa-f]+)")
_VIA: Final = re.compile(r"#\s*via\b")
_PASSED_ON: Final = frozenset({
    "-i", "--index-url", "--pypi-url", "--extra-index-url", "-f", "--find-links", "--no-binary", "--only-binary",
})  # fmt: skip
_EDITABLE: Final = ("--editable", "-e")
_PLACES: Final = frozenset({"-f", "--find-links"})
_FOLDERS: Final = frozenset({Origin.LOCAL, Origin.EDITABLE})
_LONGEST_OPTIONS: Final = 1 << 16
"""Characters; shlex takes quadratic time."""


@dataclass(frozen=True, slots=True)
class Line:
    """One logical line with its line ends.

    Attributes:
        raw: As it stands in the file.
        dependency: What it asks for; None for comments, options, includes and what is not understood.
        version_at: Where in `raw` the version of a pin stands; None when it is no pin that can be changed.
        name: The package as the file spells it, with its extras.
        limits: The other version specifiers of a pin.
        hashes: Its `--hash` values.
    """

    raw: str
    dependency: Dependency | None = None
    version_at: tuple[int, int] | None = None
    name: str = ""
    limits: tuple[str, ...] = ()
    hashes: tuple[str, ...] = ()

    @property
    def pin(self) -> Dependency | None:
        """The dependency, when its version can be changed."""
        return self.dependency if self.version_at else None


def split_lines(text: str) -> tuple[Line, ...]:
    """All of them; joined, their `raw` is the text."""
    return tuple(_read(raw) for raw in _join(text))


def is_complete(lines: Sequence[Line]) -> bool:
    """Whether a tool wrote it, with everything that is needed: it has hashes or says what each package is for."""
    return any(line.hashes for line in lines) or is_annotated(lines)


def is_annotated(lines: Sequence[Line]) -> bool:
    """Whether it has `# via` comments."""
    return any(_VIA.search(line.raw) for line in lines)


def change_line(line: Line, version: str, hashes: Sequence[str]) -> str:
    """The line with another version, and with these hashes where it has any."""
    if line.version_at is None:
        raise ValueError("this line pins nothing")
    start, stop = line.version_at
    rest = line.raw[stop:]
    found = list(_HASH.finditer(rest))
    if found:
        first, last = found[0].start(), found[-1].end()
        before = rest[:first]
        gap = before[len(before.rstrip(" \t\r\n\\")) :] or " "
        if len(found) > 1:
            gap = rest[found[0].end() : found[1].start()]
        rest = before + gap.join(f"--hash={value}" for value in hashes) + rest[last:]
    return line.raw[:start] + version + rest


def requirement_text(line: Line) -> str:
    """What it asks for, as it stands, without options and comment, on one line."""
    joined = re.sub(r"\\\r?\n", "", line.raw).lstrip("\ufeff").strip()
    comment = re.search(r"(^|\s)#", joined)
    joined = joined[: comment.start()] if comment else joined
    options = _OPTIONS.search(joined)
    return (joined[: options.start()] if options else joined).strip()


def local_place(line: Line) -> str | None:
    """The path of what it names on this machine, beside which a copy of the file does not lie; None for other lines."""
    text = requirement_option_text(line) or requirement_text(line)
    dependency = line.dependency
    # The project itself is listed as a gap.
    is_local = dependency.origin in _FOLDERS if dependency else text.startswith((".", *_EDITABLE))
    if not is_local:
        return None
    text = without_editable(text)
    text = text.partition(" @ ")[2] or text
    text = text.partition(";")[0].strip().strip("'\"")
    for scheme in ("file://localhost", "file://", "file:"):
        text = text.removeprefix(scheme)
    return unquote(text.partition("#")[0].partition("[")[0]).strip()


def without_editable(text: str) -> str:
    """What stands behind `-e`."""
    for option in _EDITABLE:
        if text.startswith(option):
            return text.removeprefix(option).lstrip("= ")
    return text


def index_options(lines: Sequence[Line], base: str) -> tuple[list[str], bool]:
    """Where packages come from, as lines; and whether pre-releases are welcome. Relative folders start at `base`.

    Raises:
        RejectedError: a line cannot be read. Without what it says, packages would come from elsewhere.
    """
    options: list[str] = []
    has_pre = False
    for line in lines:
        text = requirement_option_text(line)
        if not text:
            continue
        for name, value in _options(text):
            has_pre = has_pre or name == "--pre"
            if name == "--no-index":
                options.append(name)
            elif name in _PASSED_ON and value:
                is_path = name in _PLACES and "://" not in value
                options.append(f"{name} {PurePath(base) / value if is_path else value}")
    return options, has_pre


def requirement_option_text(line: Line) -> str:
    """The line when it holds options only; empty otherwise."""
    joined = re.sub(r"\\\r?\n", " ", line.raw).lstrip("\ufeff").strip()
    if not joined.startswith("-"):
        return ""
    comment = re.search(r"\s#", joined)
    return joined[: comment.start()] if comment else joined


def _options(text: str) -> Iterator[tuple[str, str]]:
    if len(text) > _LONGEST_OPTIONS:
        raise RejectedError(f"a line of options has more than {_LONGEST_OPTIONS} characters", next_step="shorten it")
    try:
        words = shlex.split(text)
    except ValueError:
        raise RejectedError("the quotes in a line of options do not close", next_step="close them") from None
    for word, following in pairwise([*words, ""]):
        if word.startswith("--"):
            name, _, value = word.partition("=")
        elif word.startswith("-"):
            name, value = word[:2], word[2:].removeprefix("=")
        else:
            continue
        yield name, value or ("" if following.startswith("-") else following)


def _join(text: str) -> Iterator[str]:
    """Physical lines joined at trailing backslashes."""
    parts: list[str] = []
    for physical in text.splitlines(keepends=True):
        parts.append(physical)
        content = physical.splitlines()[0]
        if content.endswith("\\") and not has_comment(content.lstrip("\ufeff \t")):
            continue
        yield "".join(parts)
        parts = []
    if parts:
        yield "".join(parts)


def _read(raw: str) -> Line:
    parsed = parse_requirements(raw.removeprefix("\ufeff"))
    if len(parsed) != 1 or not isinstance(parsed[0], Dependency):
        return Line(raw)
    dependency = parsed[0]
    head = _HEAD.match(raw)
    if head is None or dependency.origin is not Origin.INDEX or not dependency.version or dependency.reason:
        return Line(raw, dependency)
    options = _OPTIONS.search(raw, head.start("specs"), head.end("specs"))
    end = options.start() if options else head.end("specs")
    exact = list(_EXACT.finditer(raw, head.start("specs"), end))
    if len(exact) != 1:
        return Line(raw, dependency)
    specs = raw[head.start("specs") : exact[0].start()] + raw[exact[0].end() : end]
    limits = tuple(part for part in re.sub(r"[\s()]", "", specs).split(",") if part)
    hashes = tuple(found["hash"] for found in _HASH.finditer(raw))
    name = f"{head['name']}{head['extras'] or ''}"
    return Line(raw, dependency, exact[0].span("version"), name, limits, hashes)
