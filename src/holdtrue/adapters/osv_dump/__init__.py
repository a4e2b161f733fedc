"""Advisories from a file: OSV's own dump of an ecosystem (`all.zip`) or JSON lines, indexed once into SQLite.

Dump: https://google.github.io/osv.dev/data/#data-dumps, a zip of one `<ID>.json` for each record.
"""

from holdtrue.adapters.osv_dump.source import OsvDump

__all__ = ["OsvDump"]
