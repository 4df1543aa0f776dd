"""The hook `extract_session_id`: which conversation a request belongs to, by what its agent says.

Headers are looked at first. The body is looked at where it was read for somebody else, or when `read_body` asks for it.
"""

from __future__ import annotations

import asyncio

from pydantic import BaseModel, ConfigDict, Field

from ccinspect.analyser.sessions import SESSION_KEYS, session_in_body, session_in_headers
from ccinspect.pipeline.context import Context, Head
from ccinspect.pipeline.declaration import hook
from ccinspect.pipeline.message import Headers
from ccinspect.wire.jsontext import parse

# A body of this size is parsed in less time than a thread takes to answer.
_SMALL = 50_000


class ExtractSessionIdParams(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    read_body: bool = Field(
        False, description="Read the body for it where the headers do not say, even if nothing else needs the body."
    )


def _by_name(headers: Headers) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in headers.fields:
        found.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
    return found


def _needs_body(head: Head) -> bool:
    return head.params.read_body and head.facts.kind is not None and session_in_headers(_by_name(head.headers)) is None


@hook(
    reads=("headers", *(f"body.{key}" for key in SESSION_KEYS)),
    writes=("session",),
    guard=lambda head: head.session is None,
    params=ExtractSessionIdParams,
    needs_body=_needs_body,
    inline=True,
)
async def extract_session_id(ctx: Context, params: ExtractSessionIdParams) -> None:
    """Say which conversation a request belongs to, by its headers or its body."""
    session = session_in_headers(_by_name(ctx.headers))
    body = ctx.request.body
    if session is None and body:
        value, _ = parse(body) if len(body) < _SMALL else await asyncio.to_thread(parse, body)
        session = session_in_body(value)
    if session is not None:
        ctx.session = session
