"""Fill the `{name}` placeholders in the manifest, and find those that nothing will fill."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from urllib.parse import urlsplit

from pydantic import JsonValue

from holdtrue.core.hosts import HOST_PLACEHOLDERS, placeholders
from holdtrue.errors import RejectedError
from holdtrue.models.environment import Environment
from holdtrue.models.host import Host
from holdtrue.models.host_names import names_no_host
from holdtrue.models.stack import StackOutputs
from holdtrue.models.template import split_template


@dataclass(frozen=True, slots=True)
class TemplateUse:
    """A template of the manifest, its field, and whether it is filled once for each host."""

    field: str
    template: str
    of_a_host: bool


@dataclass(frozen=True, slots=True)
class Unfilled:
    """A placeholder that has no value now.

    Attributes:
        field: The manifest's field.
        reason: Why it has none.
        may_come: Whether the next apply may give it one.
        next_step: What to do about it.
    """

    field: str
    reason: str
    may_come: bool
    next_step: str


def template_uses(environment: Environment) -> tuple[TemplateUse, ...]:
    """Every template of the manifest."""
    uses = [
        TemplateUse(f"validation.probes[{probe.name}].url", probe.url, of_a_host=True)
        for probe in environment.validation.probes
    ]
    if environment.traffic is not None:
        uses.append(TemplateUse("traffic.socket", environment.traffic.socket, of_a_host=False))
        uses += [
            TemplateUse(f"traffic.probes[{probe.name}].url", probe.url, of_a_host=False)
            for probe in environment.traffic.probes
        ]
    return tuple(uses)


def unfilled(
    uses: Sequence[TemplateUse],
    outputs: StackOutputs | None,
    hosts: Sequence[Host],
    *,
    is_in_program: Callable[[str], bool],
) -> tuple[Unfilled, ...]:
    """The placeholders that nothing fills, field by field.

    Args:
        uses: The templates.
        outputs: Of the last apply; None when there is none.
        hosts: Of those outputs.
        is_in_program: Whether a file of the infrastructure program contains this word. If it does, the coming apply may
            export an output of this name.
    """
    given = outputs or StackOutputs(values={})
    return tuple(
        found
        for use in uses
        for name in dict.fromkeys(field for _, field in split_template(use.template) if field is not None)
        for found in _judge(use, name, given, hosts, is_in_program=is_in_program)
    )


def _judge(
    use: TemplateUse,
    name: str,
    outputs: StackOutputs,
    hosts: Sequence[Host],
    *,
    is_in_program: Callable[[str], bool],
) -> Iterator[Unfilled]:
    if use.of_a_host and name in HOST_PLACEHOLDERS:
        return
    scopes = [placeholders(outputs, host) for host in hosts] if use.of_a_host and hosts else [placeholders(outputs)]
    if all(_is_text(scope.get(name)) for scope in scopes):
        return
    what = f"{{{name}}} in '{use.template}'"
    known = sorted({other for scope in scopes for other, value in scope.items() if _is_text(value)})
    known += [other for other in HOST_PLACEHOLDERS if use.of_a_host and other not in known]
    if name in outputs.secret_names:
        advice = (
            f"export a value that is not a secret under another name, and use that: logs and reports show {use.field}"
        )
        yield Unfilled(use.field, f"placeholder {what} refers to a secret output", may_come=False, next_step=advice)
    elif any(isinstance(scope.get(name), (list, dict)) for scope in scopes):
        advice = f"use one that is a string or a number: {', '.join(known) or 'there is none yet'}"
        yield Unfilled(use.field, f"placeholder {what} refers to a list or mapping", may_come=False, next_step=advice)
    elif is_in_program(name):
        lacking = [host.name for host in hosts if not _is_text(placeholders(outputs, host).get(name))]
        of_whom = f" of {', '.join(lacking)}" if use.of_a_host and lacking else ""
        advice = f"export {name} from the program" + (
            ", or set it in the variables of each host" if use.of_a_host else ""
        )
        yield Unfilled(use.field, f"placeholder {what} has no value{of_whom} yet", may_come=True, next_step=advice)
    else:
        similar = get_close_matches(name, known, n=1)
        meant = f"did you mean {{{similar[0]}}}? " if similar else ""
        yield Unfilled(
            use.field,
            f"nothing fills placeholder {what}: no output{' or host variable' if use.of_a_host else ''} has this name,"
            " and no file of the program contains it",
            may_come=False,
            next_step=f"{meant}available names: {', '.join(known) or 'none yet'}. If the program builds"
            " the name at run time, write the whole name in one of its files (a comment is enough)",
        )


def _is_text(value: JsonValue) -> bool:
    return value is not None and not isinstance(value, (list, dict))


def fill(template: str, values: Mapping[str, JsonValue], *, where: str) -> str:
    """Replace each `{name}` with the string or number of that name; `{{` and `}}` are literal braces.

    Raises:
        RejectedError: a placeholder is not a plain name, is unknown, or refers to a list or mapping.
    """
    try:
        parts = split_template(template)
    except ValueError as error:
        raise RejectedError(str(error), where=where, next_step="correct the template in the manifest") from error
    return "".join(literal + _value(name, values, where) for literal, name in parts)


def fill_path(template: str, values: Mapping[str, JsonValue], *, where: str) -> str:
    """`fill` for a path on this machine.

    Raises:
        RejectedError: as for `fill`, or the values give a path with a control character. A path that begins with NUL
            would be an abstract socket (unix(7)).
    """
    path = fill(template, values, where=where)
    if re.search(r"[\x00-\x1f\x7f]", path):
        raise RejectedError(
            "the filled path contains a control character",
            where=where,
            next_step="correct the stack outputs that this path is filled from",
        )
    return path


def fill_url(template: str, values: Mapping[str, JsonValue], *, where: str) -> str:
    """`fill` for a URL of a probe. An IPv6 `address` gets the brackets that a URL needs.

    The manifest says what kind of URL it is. Values must not add credentials or break out of a line, and must not lead
    to an address that no host can have, such as the metadata service of a cloud.

    Raises:
        RejectedError: as for `fill`, or the values give such a URL.
    """
    address = values.get("address")
    if isinstance(address, str) and ":" in address and "[{address}" not in template:
        values = {**values, "address": f"[{address}]"}
    url = fill(template, values, where=where)
    if problem := _url_problem(url, template):
        raise RejectedError(
            problem, where=where, next_step="correct the stack outputs and host variables that this URL is filled from"
        )
    return url


def _url_problem(url: str, template: str) -> str:
    if re.search(r"[\x00-\x20\x7f\\]", url):
        return "the filled URL contains a space, a backslash or a control character"
    try:
        parts = urlsplit(url)
    except ValueError:
        return "the filled template is not a valid URL"
    if "@" in parts.netloc and "@" not in template:
        return "the values of the placeholders add a user or password to the URL"
    if template.isascii() and not parts.netloc.isascii():
        return "the values of the placeholders put characters outside ASCII into the URL's host"
    if names_no_host(parts.hostname or ""):
        return "the host of the filled URL is a link-local, metadata or multicast address, or a number"
    return ""


def _value(name: str | None, values: Mapping[str, JsonValue], where: str) -> str:
    if name is None:
        return ""
    value = values.get(name)
    if not _is_text(value):
        known = ", ".join(sorted(other for other, item in values.items() if _is_text(item)))
        raise RejectedError(
            f"nothing fills the placeholder {{{name}}}",
            where=where,
            next_step=f"export {name} from the program" + (f", or use one of: {known}" if known else ""),
        )
    return str(value)
