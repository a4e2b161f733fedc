"""The dependency audit put together: what is audited, which sources are asked, and by what findings are judged."""

from holdtrue.auditing.batch import audit
from holdtrue.auditing.estate import Estate, or_gap, read_estate
from holdtrue.auditing.sources import SourceAddresses, advisory_sources
from holdtrue.core.audit_judgement import Judgement

__all__ = ["Estate", "Judgement", "SourceAddresses", "advisory_sources", "audit", "or_gap", "read_estate"]
