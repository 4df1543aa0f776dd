"""The four messages of a flow as they were at its two ends, with their bodies decoded, read from the store."""

from __future__ import annotations

from typing import Any, Literal

from ccinspect.cli.flows.message_diff import MAX_COMPARED, Side
from ccinspect.store.decode import decode_body
from ccinspect.store.query import StoreReader
from ccinspect.store.record import header

Role = Literal["client_request", "request", "response", "client_response"]


def side(store: StoreReader, record: dict[str, Any], role: Role) -> Side | None:
    """One message of an HTTP flow; where the client's is the same as the other one, that. None where there is none."""
    message = record.get(role) or record.get(role.removeprefix("client_"))
    if not message:
        return None
    chunks = store.stream_body(str(record["id"]), role)
    if chunks is None:
        return Side(message)
    decoded = decode_body(chunks, header(message, "content-encoding"), MAX_COMPARED)
    return Side(message, decoded.data, decoded.problem, decoded.truncated)
