"""Which format a bill of materials has."""

import re
from typing import Final

from holdtrue.core.lockfiles.document import load_json
from holdtrue.core.sbom.bill import build_inventory
from holdtrue.core.sbom.cyclonedx import read_json_bill, read_xml_bill
from holdtrue.core.sbom.spdx import read_json_document, read_tag_value_document
from holdtrue.errors import RejectedError
from holdtrue.models.dependency import Gap, Inventory

_TAG_VALUE: Final = re.compile(r"^SPDXVersion:\s*SPDX-2\.", re.MULTILINE)
_ADVICE: Final = "give CycloneDX (JSON or XML) or SPDX 2 (JSON or tag-value)"


def parse_sbom(text: str, label: str) -> Inventory:
    """The PyPI packages of a bill of materials; all it holds besides is a gap.

    The component that the bill describes is among them when it has a package URL of PyPI. Chains and `is_direct` come
    from the graph, seen from that component.

    Raises:
        RejectedError: it is none of the formats, or not well-formed.
    """
    content = text.lstrip("\ufeff \t\r\n")
    if content.startswith("<"):
        return build_inventory(read_xml_bill(content, label), label)
    if content.startswith("{"):
        return _parse_json(content, label)
    if _TAG_VALUE.search(content):
        return build_inventory(read_tag_value_document(content), label)
    raise RejectedError("not a bill of materials that can be read", where=label, next_step=_ADVICE)


def _parse_json(text: str, label: str) -> Inventory:
    gaps: list[Gap] = []
    try:
        document = load_json(text, label, gaps)
    except (ValueError, RecursionError):
        raise RejectedError("the JSON cannot be read", where=label, next_step=_ADVICE) from None
    if isinstance(document, dict) and document.get("bomFormat") == "CycloneDX":
        return build_inventory(read_json_bill(document, gaps), label)
    if isinstance(document, dict) and str(document.get("spdxVersion")).startswith("SPDX-2."):
        return build_inventory(read_json_document(document, gaps), label)
    raise RejectedError("JSON, but no bill of materials that can be read", where=label, next_step=_ADVICE)
