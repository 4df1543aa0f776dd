"""One message of a flow with its body: decoded, bounded, as text, and by path where it is JSON."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Literal

from ccinspect.errors import CcinspectError
from ccinspect.store.decode import decode_body
from ccinspect.store.query import StoreReader
from ccinspect.store.record import header
from ccinspect.wire.jsontext import parse

Side = Literal["request", "response", "client_request", "client_response"]
MAX_BODY = 8 * 1024 * 1024
"""Bytes of a decoded body that are read."""

_STEP = re.compile(r"""\.?\[\s*(-?\d{1,9})\s*\]|\.?\[\s*("(?:[^"\\]|\\.)*")\s*\]|\.?([^.\[\]"]+)""")


class NoSuchPlace(CcinspectError):
    """A path leads nowhere in a body, or there is no such body."""


@dataclass(frozen=True, slots=True)
class Body:
    """`data` is without content encoding. `problem` says what is missing of it, or is empty."""

    message: dict[str, Any]
    data: bytes
    problem: str = ""
    truncated: bool = False

    @property
    def text(self) -> str:
        return self.data.decode("utf-8", "replace")

    @property
    def is_binary(self) -> bool:
        return b"\0" in self.data[:4096]

    def json(self) -> Any:
        """The value; None where it is none that can be read."""
        return parse(self.data)[0] if self.data else None


def read_body(store: StoreReader, record: dict[str, Any], side: Side) -> Body:
    """Raises NoSuchPlace when the flow has no such message."""
    message = record.get(side) or record.get(side.removeprefix("client_"))
    if record.get("type") != "http" or not message:
        raise NoSuchPlace(
            f"the flow {str(record['id'])[:8]} ({record.get('type')}, {record.get('state')}) has no {side}",
            "flow_outline says what it has; what came over a WebSocket, TCP or UDP is told by flow_messages",
        )
    chunks = store.stream_body(str(record["id"]), side)
    if chunks is None:
        kept = message.get("contentState") not in ("lost", "none")
        return Body(message, b"", "" if kept else "the body was not kept")
    decoded = decode_body(chunks, header(message, "content-encoding"), MAX_BODY)
    return Body(message, decoded.data, decoded.problem, decoded.truncated)


def at_path(value: Any, path: str) -> Any:
    """What stands at a path as jq writes it: `.messages[0].content`, `.system[-1]`. Raises NoSuchPlace."""
    place = 0
    text = path.strip()
    if text in ("", "."):
        return value
    while place < len(text):
        match = _STEP.match(text, place)
        if match is None:
            raise NoSuchPlace(f"{path!r} is no path", "write it as jq does: .messages[0].content[1].text")
        value = _step(value, match, text[: match.end()])
        place = match.end()
    return value


def _step(value: Any, match: re.Match[str], so_far: str) -> Any:
    index, quoted, name = match.groups()
    if index is None and isinstance(value, list) and name is not None and re.fullmatch(r"-?\d{1,9}", name):
        index = name
    if index is not None:
        if isinstance(value, list) and -len(value) <= int(index) < len(value):
            return value[int(index)]
        what = f"an array of {len(value)}" if isinstance(value, list) else "no array"
        raise NoSuchPlace(f"there is nothing at {so_far}: what it is in is {what}", "flow_outline shows what there is")
    key = json.loads(quoted, strict=False) if quoted is not None else name
    if isinstance(value, dict):
        if key in value:
            return value[key]
        members = ", ".join(list(value)[:20])
        raise NoSuchPlace(f"there is nothing at {so_far}", f"the members there are: {members}" if members else "")
    raise NoSuchPlace(f"there is nothing at {so_far}: what it is in is no object", "flow_outline shows what there is")
