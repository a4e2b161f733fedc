"""Whether a server gets requests, from the state that HAProxy reports.

Fields of `show servers state`: HAProxy management guide 2.6, section 9.3; the numbers in them are those of
include/haproxy/server-t.h (SRV_ST_*, SRV_ADMF_*).
"""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from holdtrue.models.traffic import OutOfService

_READY: Final = "run {ready}"
_ADMINISTRATIVE: Final = (
    (0x01 | 0x04, "in maintenance (MAINT)", True, _READY),
    (
        0x02,
        "in maintenance with the server that it tracks (MAINT)",
        True,
        "end the maintenance of {tracked}: run {tracked_ready}",
    ),
    (0x08, "drained (DRAIN)", True, _READY),
    (0x10, "drained with the server that it tracks (DRAIN)", True, "end the drain of {tracked}: run {tracked_ready}"),
    (
        0x20 | 0x40,
        "without an address (MAINT by resolution)",
        False,
        "make the name in the line of {server} in haproxy.cfg resolve where HAProxy runs",
    ),
)
"""Flags of srv_admin_state, what they mean, whether an operator has set them, and what to do."""

_NOT_RUNNING: Final = (0, 3)
"""srv_op_state: stopped, and stopping softly."""


def reason_out_of_service(
    row: Mapping[str, str], backend: str, *, socket: Path, tracked: str, is_backup: bool
) -> OutOfService | None:
    """Why the server of this row gets no requests; None when it gets the share that its weight gives it.

    Args:
        row: Of `show servers state`.
        backend: The server's backend.
        socket: HAProxy's admin socket, for the advice.
        tracked: The server that it tracks, as `backend/server`; empty when it tracks none.
        is_backup: Whether its line in haproxy.cfg says `backup`.
    """
    server = f"{backend}/{row['srv_name']}"
    places = {
        "server": server,
        "ready": _make_ready(server, socket),
        "tracked": tracked,
        "tracked_ready": _make_ready(tracked, socket),
    }
    flags = int(row["srv_admin_state"])
    for mask, state, by_operator, advice in _ADMINISTRATIVE:
        if flags & mask:
            return OutOfService(state=state, by_operator=by_operator, next_step=advice.format(**places))
    if int(row["srv_op_state"]) in _NOT_RUNNING:
        advice = f"find out why HAProxy's check of {server} fails: see `last_chk` in `show stat` on {socket}"
        return OutOfService(state="down (DOWN)", by_operator=False, next_step=advice)
    if is_backup:
        advice = f"remove `backup` from the line of {server} in haproxy.cfg, then reload HAProxy"
        return OutOfService(state="a backup, for when all others are down", by_operator=True, next_step=advice)
    return None


def _make_ready(server: str, socket: Path) -> str:
    return f"`echo 'set server {server} state ready' | socat stdio {shlex.quote(str(socket))}`"
