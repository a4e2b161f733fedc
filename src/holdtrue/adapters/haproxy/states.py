"""What HAProxy's state of a server means for its requests.

Fields of `show servers state`: HAProxy management guide 2.6, section 9.3; the numbers in them are those of
include/haproxy/server-t.h (SRV_ST_*, SRV_ADMF_*).
"""

from collections.abc import Mapping
from typing import Final

from holdtrue.models.traffic import OutOfService

_READY: Final = "say `set server {server} state ready` on HAProxy's socket"
_ADMINISTRATIVE: Final = (
    (0x01 | 0x04, "in maintenance (MAINT)", True, _READY),
    (0x02, "in maintenance with the server that it tracks (MAINT)", True, "end the maintenance of that server"),
    (0x08, "drained (DRAIN)", True, _READY),
    (0x10, "drained with the server that it tracks (DRAIN)", True, "end the drain of that server"),
    (0x20 | 0x40, "without an address (MAINT by resolution)", False, "make its name resolve where HAProxy runs"),
)
"""Flags of srv_admin_state; in words; whether an operator has set them; what to do."""

_NOT_RUNNING: Final = (0, 3)
"""srv_op_state: stopped, and stopping softly."""


def reason_out_of_service(row: Mapping[str, str], backend: str, *, is_backup: bool) -> OutOfService | None:
    """Why the server of this row gets no request; None when it gets what its weight says."""
    server = f"{backend}/{row['srv_name']}"
    flags = int(row["srv_admin_state"])
    for mask, state, by_operator, advice in _ADMINISTRATIVE:
        if flags & mask:
            return OutOfService(state=state, by_operator=by_operator, next_step=advice.format(server=server))
    if int(row["srv_op_state"]) in _NOT_RUNNING:
        advice = f"find out why HAProxy's check of {server} fails (last_chk of `show stat`)"
        return OutOfService(state="down (DOWN)", by_operator=False, next_step=advice)
    if is_backup:
        advice = f"take `backup` off the line of {server} in HAProxy's configuration"
        return OutOfService(state="a backup, for when all others are down", by_operator=True, next_step=advice)
    return None
