"""Lock files of Python tools as inventories: one module a format, pure functions from text.

A file that is not what it claims raises `RejectedError`; a part that cannot be read is a gap of the inventory, and the
rest stands. Nothing that was listed is dropped, and no address is repeated: it may hold a credential.
"""

from holdtrue.core.lockfiles.document import decode_text
from holdtrue.core.lockfiles.inventories import OWN_PROJECT
from holdtrue.core.lockfiles.naming import canonical_name, normalise_version
from holdtrue.core.lockfiles.own_packages import (
    INTERNAL_NAME,
    is_asked,
    is_named_internal,
    mark_all_internal,
    mark_internal,
)
from holdtrue.core.lockfiles.pdm import parse_pdm_lock
from holdtrue.core.lockfiles.pipfile import parse_pipfile_lock
from holdtrue.core.lockfiles.poetry import parse_poetry_lock
from holdtrue.core.lockfiles.project import Needs, read_needs
from holdtrue.core.lockfiles.pylock import parse_pylock
from holdtrue.core.lockfiles.uv import parse_uv_lock

__all__ = [
    "INTERNAL_NAME",
    "OWN_PROJECT",
    "Needs",
    "canonical_name",
    "decode_text",
    "is_asked",
    "is_named_internal",
    "mark_all_internal",
    "mark_internal",
    "normalise_version",
    "parse_pdm_lock",
    "parse_pipfile_lock",
    "parse_poetry_lock",
    "parse_pylock",
    "parse_uv_lock",
    "read_needs",
]
