"""PyPI's own record of vulnerabilities as an advisory source: one page for each version."""

from holdtrue.adapters.pypi_advisories.source import PypiAdvisories

__all__ = ["PypiAdvisories"]
