"""Text from outside in log records: neutral before a handler shows it, so that no text looks like a record of ours."""

import logging
import traceback
from typing import Final

from holdtrue.core.neutral import for_log, unobeyed

_BY_ITSELF: Final = frozenset({"msg", "exc_text", "stack_info"})
"""What may have several lines."""


def neutralize_record(record: logging.LogRecord) -> None:
    """Make the message, the traceback and every other text of a record neutral.

    A message without anything unsafe stays as it is, with its arguments. The exception stays too, for filters and for
    handlers that do not print it; its traceback is formatted here, because formatters use `exc_text` where it is set.
    """
    for name, value in list(vars(record).items()):
        if isinstance(value, str) and name not in _BY_ITSELF:
            setattr(record, name, unobeyed(value))
    try:
        message = record.getMessage()
    except Exception:  # noqa: BLE001 - arguments that do not fit, or whose code raises
        record.msg, record.args = f"{record.msg} {record.args!r}", None
        message = record.msg
    shown = for_log(message)
    if shown != message:
        record.msg, record.args = shown, None
    if record.exc_info and record.exc_info[0] is not None and not record.exc_text:
        record.exc_text = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
    if record.exc_text:
        record.exc_text = _marked(record.exc_text)
    if record.stack_info:
        record.stack_info = _marked(record.stack_info)


def _marked(text: str) -> str:
    """Formatters begin a new line for it, so its first line is marked too."""
    return for_log(f"\n{text}").removeprefix("\n")
