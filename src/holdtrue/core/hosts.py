"""From a stack's outputs to hosts."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from pydantic import JsonValue, ValidationError
from pydantic_core import ErrorDetails

from holdtrue.errors import RejectedError
from holdtrue.models.host import Host
from holdtrue.models.stack import StackOutputs

_NAMED_PROBLEMS: Final = 5
_NAME_LIMIT: Final = 80


def parse_hosts(outputs: StackOutputs, output: str) -> tuple[Host, ...]:
    """Read the output named `output`: a list of `{name, address, port, user, variables}`.

    Raises:
        RejectedError: no such output, not a list of hosts, no host at all, a name twice, or data that a host may not
            set. It names the host, the place in the output and each refused field.
    """
    where = f"stack output '{output}'"
    advice = "export a list of {name, address, port, user, variables} from the program"
    raw = outputs.values.get(output)
    if not isinstance(raw, list):
        state = "is a secret" if output in outputs.secret_names else "is missing" if raw is None else "is not a list"
        raise RejectedError(f"the output {state}", where=where, next_step=advice)
    hosts = tuple(_parse_host(item, f"{where}[{index}]") for index, item in enumerate(raw))
    if not hosts:
        raise RejectedError("the stack names no hosts", where=where, next_step=advice)
    if twice := sorted(name for name, times in Counter(host.name for host in hosts).items() if times > 1):
        raise RejectedError(f"host names are not unique: {_listed(twice, ', ')}", where=where, next_step=advice)
    return hosts


def _parse_host(item: JsonValue, where: str) -> Host:
    if isinstance(item, dict) and isinstance(name := item.get("name"), str):
        where = f"host {name if re.fullmatch(r'[A-Za-z0-9._-]{1,253}', name) else ascii(name[:80])}, {where}"
    try:
        # Pulumi hands every number over as a float; a port is a whole number.
        return Host.model_validate(_whole_numbers(item))
    except ValidationError as error:
        raise RejectedError(
            _problems(error),
            where=where,
            next_step="correct what the program exports for this host; if the program is right, find out who changed"
            " the state, then provision again",
        ) from error


def _problems(error: ValidationError) -> str:
    """Every refused field, with the reason. Names that come from the host's data are shown as ASCII."""
    found = error.errors(include_url=False, include_input=False)
    return _listed([_problem(problem) for problem in found], "; ")


def _listed(texts: Sequence[str], separator: str) -> str:
    more = [f"and {len(texts) - _NAMED_PROBLEMS} more"] if len(texts) > _NAMED_PROBLEMS else []
    return separator.join([*texts[:_NAMED_PROBLEMS], *more])


def _problem(problem: ErrorDetails) -> str:
    path = ".".join(str(part)[:_NAME_LIMIT] for part in problem["loc"]) or "value"
    reason = problem["ctx"]["error"] if problem["type"] == "value_error" else problem["msg"]
    return f"{path if path.isascii() and path.isprintable() else ascii(path)}: {reason}"


def _whole_numbers(value: JsonValue) -> JsonValue:
    match value:
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {name: _whole_numbers(item) for name, item in value.items()}
        case list():
            return [_whole_numbers(item) for item in value]
        case _:
            return value


HOST_PLACEHOLDERS: Final = ("name", "address", "port")
"""What every host has."""


def placeholders(outputs: StackOutputs, host: Host | None = None) -> Mapping[str, JsonValue]:
    """What a template may name: the stack's outputs, and for one host its variables, name, address and port."""
    values: dict[str, JsonValue] = dict(outputs.values)
    if host is not None:
        values |= host.variables
        values |= {"name": host.name, "address": host.address, "port": host.port}
    return values
