"""The live OSV API as an advisory source: one batch question, and each advisory's text fetched once."""

from holdtrue.adapters.osv_api.source import OsvApi

__all__ = ["OsvApi"]
