"""Fill `{name}` placeholders in the manifest's texts, and find those that nothing will fill."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from pydantic import JsonValue

from holdtrue.core.hosts import HOST_PLACEHOLDERS, placeholders
from holdtrue.errors import RejectedError
from holdtrue.models.environment import Environment
from holdtrue.models.host import Host
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
    """What nothing fills, field by field.

    Args:
        uses: The templates.
        outputs: Of the last apply; None when there is none.
        hosts: Of those outputs.
        is_in_program: Whether a file of the infrastructure program has this word. A name that no output has yet may
            be exported by the apply to come, but not when the program does not know it.
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
        advice = "export a value that is not a secret: what a template makes is shown in logs and reports"
        yield Unfilled(use.field, f"{what} names a secret output", may_come=False, next_step=advice)
    elif any(isinstance(scope.get(name), (list, dict)) for scope in scopes):
        advice = "name an output that is a text or a number"
        yield Unfilled(use.field, f"{what} names a list or mapping", may_come=False, next_step=advice)
    elif is_in_program(name):
        lacking = [host.name for host in hosts if not _is_text(placeholders(outputs, host).get(name))]
        of_whom = f" of {', '.join(lacking)}" if use.of_a_host and lacking else ""
        advice = f"let the program export {name}" + (", or give it to each host" if use.of_a_host else "")
        yield Unfilled(use.field, f"{what} has no value{of_whom} yet", may_come=True, next_step=advice)
    else:
        similar = get_close_matches(name, known, n=1)
        meant = f"write {{{similar[0]}}}, if that is meant; " if similar else ""
        advice = f"{meant}known are: {', '.join(known) or 'none yet'}. A name that the program puts together from parts"
        yield Unfilled(
            use.field,
            f"nothing fills {what}: no output{' or host variable' if use.of_a_host else ''} has this name, and no file "
            "of the program has this word",
            may_come=False,
            next_step=f"{advice} has to stand in one of its files, such as in a comment",
        )


def _is_text(value: JsonValue) -> bool:
    return value is not None and not isinstance(value, (list, dict))


def fill(template: str, values: Mapping[str, JsonValue], *, where: str) -> str:
    """Replace each `{name}` with the text or number of that name; `{{` and `}}` are literal braces.

    Raises:
        RejectedError: a placeholder that is not a plain name, is unknown, or names a list or object.
    """
    try:
        parts = split_template(template)
    except ValueError as error:
        raise RejectedError(str(error), where=where, next_step="fix the template") from error
    return "".join(literal + _value(name, values, where) for literal, name in parts)


def _value(name: str | None, values: Mapping[str, JsonValue], where: str) -> str:
    if name is None:
        return ""
    value = values.get(name)
    if not _is_text(value):
        known = ", ".join(sorted(other for other, item in values.items() if _is_text(item)))
        raise RejectedError(
            f"nothing fills the placeholder {{{name}}}", where=where, next_step=f"export it or use one of: {known}"
        )
    return str(value)
