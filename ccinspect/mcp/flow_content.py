"""flow_outline and flow_body: what one flow is, and its bodies piece by piece."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pydantic import Field

from ccinspect.errors import CcinspectError
from ccinspect.mcp.answers import Answer, JsonObject, known, short
from ccinspect.mcp.bodies import Body, NoSuchPlace, Side, at_path, read_body
from ccinspect.mcp.captured import Captured
from ccinspect.mcp.flow_search import row
from ccinspect.mcp.outline import outline
from ccinspect.mcp.tool import Arguments, Tool
from ccinspect.paths import make_private_dir
from ccinspect.policy.unreadable import masked, masked_piece
from ccinspect.store.query import StoreReader

MAX_LENGTH = 20_000
_HEADER = 200
_OUTLINED = 6_000
"""Characters of one body's outline."""

FLOW = "A flow's id, or the beginning of it."


class NoFiles(CcinspectError):
    """Who asks may only read."""


class Flow(Arguments):
    flow: str = Field(description=FLOW)


def flow_outline(captured: Captured, asked: Flow) -> Answer:
    """What one flow is: address, status, headers, and the build of its JSON bodies (paths, kinds, sizes)."""
    with captured.store() as store:
        record = store.get(asked.flow)
        facts = captured.glance([str(record["id"])])
        content: JsonObject = {"flow": row(record, facts.get(str(record["id"]))) | {"id": record["id"]}}
        cut = False
        sides: tuple[Side, ...] = ("request", "response")
        for side in sides:
            if record.get(side) and record["type"] == "http":
                content[side], was_cut = _outlined(read_body(store, record, side))
                cut = cut or was_cut
        if record["type"] == "dns":
            content["answers"] = (record.get("response") or {}).get("answers") or []
        differs = [side for side in ("client_request", "client_response") if record.get(side)]
    notes = (f"{' and '.join(differs)} differ from what was forwarded: see compare_flow",) if differs else ()
    return Answer(content, truncated=cut, notes=notes)


def _outlined(body: Body) -> tuple[JsonObject, bool]:
    headers = {str(name): masked(short(str(value), _HEADER)) for name, value in body.message.get("headers") or ()}
    found: JsonObject = {"headers": headers, "bytes": len(body.data)}
    value = body.json()
    cut = False
    if value is not None:
        places, left = {}, _OUTLINED
        for path, what in outline(value).items():
            left -= len(path) + len(what) + 6
            if left < 0:
                cut = True
                break
            places[masked(path)] = masked(what)
        found["json"] = places
    elif body.data:
        found["begins"] = "(binary)" if body.is_binary else masked_piece(body.text[:40_000], 0, 200)
    return found | known(problem=body.problem), cut


class FlowBody(Flow):
    side: Side = Field("request", description="client_*: as the client sent or got it, where that differs.")
    path: str = Field("", description="Into a JSON body, as jq writes it: .messages[0].content. Without it, the body.")
    offset: int = Field(0, ge=0, description="Characters to leave out.")
    length: int = Field(4_000, ge=1, le=MAX_LENGTH, description="Characters to give.")
    to_file: bool = Field(False, description="Write all of it to a file of the user's instead, and say where.")


def flow_body(captured: Captured, asked: FlowBody) -> Answer:
    """Read a body, or one value in it, piece by piece. Keys that are known by their form are masked with █.

    Content encodings (gzip, ...) are undone. flow_outline says what there is and how long it is.
    """
    if asked.to_file and captured.run is not None:
        raise NoFiles("a run gets no files written: nothing was", "read it piece by piece, with offset and length")
    with captured.store() as store:
        record = store.get(asked.flow)
        text, problem = _text(store, record, asked.side, asked.path)
    notes = tuple(filter(None, [problem]))
    if asked.to_file:
        path = _write(captured, f"{record['id']}-{asked.side}.txt", masked(text))
        return Answer({"file": str(path), "characters": len(text)}, len(text), notes=notes)
    end = asked.offset + asked.length
    piece = masked_piece(text, asked.offset, min(end, len(text)))
    more = end < len(text)
    return Answer({"text": piece}, len(text), more, {"offset": end} if more else None, notes)


def resource_text(captured: Captured, flow: str, side: Side) -> str:
    """A whole body for `ccinspect://flow/ID/SIDE.json`. Raises FlowNotFound, AmbiguousFlowId, NoSuchPlace."""
    with captured.store() as store:
        text, _ = _text(store, store.get(flow), side, "")
    return masked(text)


def _text(store: StoreReader, record: JsonObject, side: Side, path: str) -> tuple[str, str]:
    body = read_body(store, record, side)
    problem = body.problem or ("only the beginning of the body was read: it is very large" if body.truncated else "")
    if not path:
        if body.is_binary:
            raise NoSuchPlace(
                f"the {side} is binary ({len(body.data):,} bytes): it cannot be read as text",
                "`ccinspect flows show ID --raw` writes its bytes",
            )
        return body.text, problem
    value: Any = body.json()
    if value is None:
        raise NoSuchPlace(f"the {side} is no JSON: there are no paths in it", "leave `path` out")
    found = at_path(value, path)
    return (found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)), problem


def _write(captured: Captured, name: str, text: str) -> Path:
    path = make_private_dir(captured.paths.data_dir / "mcp-files") / name
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(text.encode("utf-8", "replace"))
    return path


TOOLS = (Tool(flow_outline, Flow), Tool(flow_body, FlowBody))
