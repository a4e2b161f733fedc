"""Software bills of materials: CycloneDX (JSON, XML) and SPDX 2 (JSON, tag-value) as inventories."""

from holdtrue.core.sbom.parse import parse_sbom

__all__ = ["parse_sbom"]
