"""pip-audit as an advisory source and as the differential oracle, with its silence checked against its own source.

pip-audit 2.10 exits 0 when every package was skipped, exits 1 for findings and for every failure alike, reads the
first page of an answer only and drops an unreadable answer with everything found before. Here each of these is an
error or a reason why a pin is unanswered; nothing that it did not judge counts as clean.
"""

from holdtrue.adapters.pip_audit_source.source import PipAuditSource

__all__ = ["PipAuditSource"]
