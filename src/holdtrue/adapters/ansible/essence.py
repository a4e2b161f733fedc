"""A task result reduced to what matters, with a limited size; runs inside `ansible-playbook`, for the callback plugin.

Imports nothing of this package: the plugin loads this file by its path.
"""

import json
from collections.abc import Mapping
from typing import Any

_FLAGS = ("censored", "changed", "failed", "skipped", "rc")
_HEADS = ("msg", "reason", "skip_reason", "skipped_reason")
_TAILS = ("stderr", "stdout", "module_stderr", "module_stdout")
_TEXT_LIMIT = 20_000
"""Characters of one string here. What a person reads is cut further after the redaction, so no secret is truncated."""
_ITEM_TEXT_LIMIT = 1_000
_HIDDEN = "hidden by no_log"
_ITEM_LIMIT = 50
_UNREMARKABLE = 4
_LABEL_LIMIT = 200
_DIFF_LIMIT = 10
_CONTEXT_LINES = 3


def essence(result: Mapping[str, Any], limit: int = _TEXT_LIMIT) -> dict[str, Any]:
    """The flags of a result, its messages cut to `limit`, the first diffs, and the loop items that did something."""
    kept: dict[str, Any] = {name: result[name] for name in _FLAGS if name in result}
    if result.get("_ansible_no_log"):
        return kept | {"censored": _HIDDEN}
    kept |= {name: _text(_first(result[name], limit))[:limit] for name in _HEADS if result.get(name)}
    kept |= {name: _text(_last(result[name], limit))[-limit:] for name in _TAILS if result.get(name)}
    if _is_unfinished(result):
        kept["unfinished"] = True
    diffs = _diffs(result)
    if isinstance(raw_items := result.get("results"), list):
        items = [item for item in raw_items if isinstance(item, Mapping)]
        telling = sorted((item for item in items if _rank(item) < _UNREMARKABLE), key=_rank)
        kept["item_count"] = len(items)
        kept["items"] = [
            essence(item, _ITEM_TEXT_LIMIT) | {"label": _label(item), "diffs": []} for item in telling[:_ITEM_LIMIT]
        ]
        diffs += [diff for item in items for diff in _diffs(item)]
    return kept | {"diffs": diffs[:_DIFF_LIMIT]}


def focus(before: str, after: str) -> tuple[str, str]:
    """Both texts without the lines they share at the start and at the end, except for a few around the difference."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    start, end = max(0, start - _CONTEXT_LINES), max(0, end - _CONTEXT_LINES)
    return "".join(old[start : len(old) - end]), "".join(new[start : len(new) - end])


def _is_unfinished(result: Mapping[str, Any]) -> bool:
    """Tell whether it belongs to an async task that nobody waited for."""
    return bool(result.get("ansible_job_id")) and not result.get("finished")


def _rank(item: Mapping[str, Any]) -> int:
    """Which items are kept when there are too many: failed ones, those that were not looked at, then changed ones."""
    if item.get("failed"):
        return 0
    if item.get("skipped"):
        return 3 if item.get("skip_reason") or item.get("skipped_reason") else 1
    if _is_unfinished(item):
        return 1
    return 2 if item.get("changed") else _UNREMARKABLE


def _label(item: Mapping[str, Any]) -> str:
    return (
        ""
        if item.get("_ansible_no_log")
        else _text(item.get("_ansible_item_label", item.get("item", "")))[:_LABEL_LIMIT]
    )


def _diffs(result: Mapping[str, Any]) -> list[dict[str, str]]:
    raw = result.get("diff")
    if result.get("_ansible_no_log") or not result.get("changed"):
        return []
    entries = raw if isinstance(raw, list) else [raw]
    place = _text(result.get("dest") or result.get("path") or "")
    return [_diff(entry, place) for entry in entries[:_DIFF_LIMIT] if isinstance(entry, Mapping) and entry]


def _diff(entry: Mapping[str, Any], place: str) -> dict[str, str]:
    before, after = _side(entry.get("before")), _side(entry.get("after") or entry.get("prepared"))
    if any(name in entry for name in ("src_binary", "dst_binary")):
        before, after = "(binary)", "(another binary)"
    if any(name in entry for name in ("src_larger", "dst_larger")):
        before, after = "(too large to show)", "(too large to show)"
    before, after = focus(before, after)
    # The header after a change often names a temporary file of the controller.
    path = place or _text(entry.get("before_header") or entry.get("after_header") or "")
    return {"path": path[:1000], "before": before[:_TEXT_LIMIT], "after": after[:_TEXT_LIMIT]}


def _side(value: object) -> str:
    if isinstance(value, Mapping):
        return "".join(f"{name}: {_text(content)}\n" for name, content in value.items())
    return "" if value is None else _text(value)


def _first(value: object, limit: int) -> object:
    """The first characters. Cut before the conversion if possible, because an output may have many megabytes."""
    return value[:limit] if isinstance(value, (str, bytes)) else value


def _last(value: object, limit: int) -> object:
    return value[-limit:] if isinstance(value, (str, bytes)) else value


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, str):
        # Undecodable bytes of a host arrive as surrogates, which neither UTF-8 nor JSON can carry.
        return value.encode(errors="replace").decode()
    return json.dumps(value, default=str)
