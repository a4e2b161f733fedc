"""Dependency audit by pip-audit as a child process, with its silence checked against the advisory source.

pip-audit 2.10 exits 0 when every package was skipped, exits 1 for findings and for every failure alike, reads the
first page of an answer only and drops an unreadable answer with everything found before. Here each of these is an
error or a listed gap; nothing it did not judge counts as clean.
"""

from holdtrue.adapters.pip_audit.auditor import PipAudit
from holdtrue.adapters.pip_audit.inventory import find_package_folders

__all__ = ["PipAudit", "find_package_folders"]
