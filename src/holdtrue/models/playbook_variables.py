"""Which names a manifest may use for a playbook's variables, secrets and tags."""

import keyword
import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field, WithJsonSchema

from holdtrue.models.ansible_names import IDENTIFIER, SET_BY_ANSIBLE, is_of_ansible

_KEYWORDS: Final = frozenset({*keyword.kwlist, "true", "false", "none"})
"""Templates cannot refer to variables with these names: keywords (Ansible's "Creating valid variable names") and
Jinja's own constants."""

_ALLOWED_VARIABLES: Final = frozenset({"ansible_become", "ansible_become_method", "ansible_become_user"})
_ALLOWED_SECRETS: Final = frozenset({"ansible_become_password", "ansible_become_pass"})


def _name(name: str) -> str:
    if not re.fullmatch(IDENTIFIER, name) or name in _KEYWORDS:
        raise ValueError(
            f"'{name}' is not a valid Ansible variable name: use letters, digits and underscores, without a digit "
            "at the beginning, and no keyword of Python or Jinja"
        )
    if name in SET_BY_ANSIBLE:
        raise ValueError(f"Ansible sets '{name}' itself, so a value given here would be ignored; choose another name")
    return name


def _of_variable(name: str) -> str:
    if name in _ALLOWED_SECRETS:
        raise ValueError(
            f"'{name}' is a secret: move it to configuration.secrets, with the name of a VaultSecret block"
        )
    return _not_of_ansible(_name(name), _ALLOWED_VARIABLES)


def _of_secret(name: str) -> str:
    return _not_of_ansible(_name(name), _ALLOWED_SECRETS)


def _not_of_ansible(name: str, allowed: frozenset[str]) -> str:
    """Ansible's own variables decide how and where code runs, also on this worker, so only known ones are allowed."""
    if is_of_ansible(name) and name not in allowed:
        raise ValueError(
            f"'{name}' is one of Ansible's own variables, which decide how and where code runs; of those only "
            f"{', '.join(sorted(allowed))} may be given here"
        )
    return name


def _schema(description: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": IDENTIFIER, "description": description})


VariableName = Annotated[str, AfterValidator(_of_variable), _schema("Name of an Ansible variable.")]
"""A valid Ansible identifier. Of the `ansible_` variables, only those for privilege escalation are allowed."""

SecretVariableName = Annotated[str, AfterValidator(_of_secret), _schema("Name of an Ansible variable.")]
"""The same for a secret. Of the `ansible_` variables, only the password of privilege escalation is allowed."""

PlaybookTag = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.:/@+-]*$")]
"""A tag as a playbook gives it to tasks; a list of them is one argument, separated by commas."""
