"""Read requirements files as pip does and lose no line: each is a dependency, an include, or a gap.

Source of the grammar: pip's "Requirements File Format" and its req_file.py (joined lines, comments, options). Where a
comment behind something ends in a backslash, pip takes the next line for a part of the comment and uv installs it: that
line is read, and the difference is a gap.
"""

import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias, assert_never

from holdtrue.core.lockfiles.annotations import Annotations
from holdtrue.core.lockfiles.inventories import merge_duplicates
from holdtrue.core.lockfiles.requirement import read_place, read_requirement
from holdtrue.models.dependency import Dependency, Gap, Inventory, Origin

KIND: Final = "requirements"

READ_DIFFERENTLY: Final = (
    "its comment ends in a backslash: pip skips the line below and uv reads it; remove the backslash"
)

_INCLUDES: Final = {"-r": False, "--requirement": False, "-c": True, "--constraint": True}
_EDITABLE: Final = frozenset({"-e", "--editable"})
_WITH_VALUE: Final = frozenset({
    "-i", "--index-url", "--pypi-url", "--extra-index-url", "-f", "--find-links", "--no-binary", "--only-binary",
    "--trusted-host", "--use-feature",
})  # fmt: skip
_LONGEST_OPTIONS: Final = 1 << 14
"""Characters. `shlex` takes the square of the length of a word."""
_FLAGS: Final = frozenset({"--no-index", "--prefer-binary", "--require-hashes", "--pre"})


@dataclass(frozen=True, slots=True)
class Include:
    """Another file, relative to the one that names it."""

    path: str
    is_constraint: bool
    line_number: int


RequirementLine: TypeAlias = Dependency | Gap | Include


def parse_requirements(text: str, *, file: str = "") -> tuple[RequirementLine, ...]:
    """Every line of the file that names something: the dependencies, and then the rest, each in order.

    Markers are not evaluated: the audited file may be deployed on another platform or Python than the one that audits.
    With `file`, the places are in that file, which another one includes.
    """
    dependencies: list[Dependency] = []
    others: list[Gap | Include] = []
    annotations = Annotations()
    prefix = f"{file} line" if file else "line"
    open_comment = 0
    for number, line, comment, is_open in _logical_lines(text):
        if open_comment and line:
            others.append(Gap(f"{prefix} {open_comment}", READ_DIFFERENTLY))
        open_comment = number if is_open else 0
        if line:
            is_listed = False
            for item in _parse_line(line, number, f"{prefix} {number}"):
                if isinstance(item, Dependency):
                    dependencies.append(item)
                    is_listed = True
                else:
                    others.append(item)
            annotations.follow(len(dependencies) - 1 if is_listed else None)
        if comment:
            annotations.note(comment)
    return (*annotations.apply(dependencies), *others)


def join_requirements(
    lines: Iterable[RequirementLine], constraints: Iterable[RequirementLine], *, label: str
) -> Inventory:
    """One inventory of files that include each other; what is not pinned takes the version its constraints pin."""
    constrained: dict[str, list[Dependency]] = {}
    constraints = tuple(constraints)
    for item in constraints:
        if isinstance(item, Dependency) and item.version:
            constrained.setdefault(item.name, []).append(item)
    dependencies: list[Dependency] = []
    # Of constraints, only those count that could be read, whichever tool reads them.
    gaps = dict.fromkeys(item for item in constraints if isinstance(item, Gap) and item.reason == READ_DIFFERENTLY)
    for line in lines:
        match line:
            case Dependency(version="", origin=Origin.INDEX, name=name) if name in constrained:
                dependencies += (_constrain(line, limit) for limit in constrained[name])
            case Dependency():
                dependencies.append(line)
            case Gap():
                gaps[line] = None
            case Include():
                raise ValueError(f"{line.path} must be read before its lines are joined")
            case _:
                assert_never(line)
    if not dependencies and not gaps:
        gaps[Gap(label, "holds no packages")] = None
    return Inventory(label, KIND, merge_duplicates(dependencies), tuple(gaps))


def _constrain(line: Dependency, limit: Dependency) -> Dependency:
    markers = [marker for marker in (line.marker, limit.marker) if marker]
    marker = markers[0] if len(markers) == 1 else " and ".join(f"({marker})" for marker in markers)
    return replace(line, version=limit.version, origin=limit.origin, reason=limit.reason, marker=marker)


def _logical_lines(text: str) -> Iterator[tuple[int, str, str, bool]]:
    """Lines joined at trailing backslashes, with the number of their first physical line; and their comments.

    Last is whether pip would join the next line to the comment.
    """
    parts: list[str] = []
    first = 0
    for number, physical in enumerate(text.splitlines(), start=1):
        is_comment = physical.lstrip().startswith("#")
        if not parts:
            first = number
        is_open = False
        if physical.endswith("\\") and not is_comment:
            is_open = has_comment(physical)
            if not is_open:
                parts.append(physical[:-1])
                continue
        if parts:
            # A comment ends a continued line, and a blank before it keeps it a comment.
            parts.append(f" {physical}" if is_comment else physical)
            yield first, *_split_comment("".join(parts)), is_open
            parts = []
        else:
            yield number, *_split_comment(physical), is_open
    if parts:
        yield first, *_split_comment("".join(parts)), False


def has_comment(physical: str) -> bool:
    """Whether a comment ends this physical line, so that a backslash at its end continues nothing."""
    return bool(_split_comment(physical)[1])


def _split_comment(line: str) -> tuple[str, str]:
    """The line and its comment: from a `#` at the start or behind a blank."""
    at = line.find("#")
    while at > 0 and not line[at - 1].isspace():
        at = line.find("#", at + 1)
    return (line.strip(), "") if at < 0 else (line[:at].strip(), line[at + 1 :])


def _parse_line(line: str, number: int, place: str) -> Sequence[RequirementLine]:
    if line.startswith("-"):
        return tuple(_parse_options(line, number, place))
    if " " not in line:
        return (read_requirement(line, place),)
    words = line.split(" ")
    options_at = next((index for index, word in enumerate(words) if word.startswith("-")), len(words))
    return (read_requirement(" ".join(words[:options_at]).strip(), place),)


def _parse_options(line: str, number: int, place: str) -> Iterator[RequirementLine]:
    """Options of a line of their own; several may share it. An unknown one is listed: it may be a mistyped include."""
    if len(line) > _LONGEST_OPTIONS:
        yield Gap(place, "options longer than any that are known")
        return
    try:
        words = iter(shlex.split(line))
    except ValueError:
        yield Gap(place, "quotes do not close")
        return
    for word in words:
        name, value = _split_option(word)
        if name in _FLAGS:
            continue
        if name not in _INCLUDES and name not in _EDITABLE and name not in _WITH_VALUE:
            yield Gap(place, "an option that is not understood")
            return
        value = value or next(words, "")
        if not value:
            yield Gap(place, f"{name} without a value")
        elif name in _EDITABLE:
            yield read_place(value, place, is_editable=True)
        elif name in _INCLUDES and "://" in value:
            yield Gap(place, "a file included over the network is not read")
        elif name in _INCLUDES:
            yield Include(value, _INCLUDES[name], number)


def _split_option(word: str) -> tuple[str, str]:
    """`--name=value`, `-rvalue` and bare names."""
    if word.startswith("--"):
        name, _, value = word.partition("=")
        return name, value
    return word[:2], word[2:].removeprefix("=")
