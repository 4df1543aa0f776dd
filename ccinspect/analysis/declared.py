"""What the expressions of `providers.NAME` find, as `wire.model` has it."""

from __future__ import annotations

from collections.abc import Iterable

from ccinspect.identity.declarative import Declared, DeclaredAnswer, DeclaredUsage, Event, Problem
from ccinspect.wire.apierror import is_error, read_error
from ccinspect.wire.jsontext import as_object, parse
from ccinspect.wire.model import (
    ApiError,
    Block,
    ErrorKind,
    Message,
    Outcome,
    Request,
    Response,
    StopReason,
    Text,
    Thinking,
    Tool,
    Usage,
)
from ccinspect.wire.ndjson import LineDecoder
from ccinspect.wire.sse import SseDecoder

UNNAMED = "(unnamed)"
"""A tool whose definition says no name where anybody would look for it."""
_ROLES = ("system", "developer", "user", "assistant", "tool")
_OTHER_ROLES = {"model": "assistant", "ai": "assistant", "bot": "assistant", "human": "user", "function": "tool"}


def read_request(reader: Declared, body: bytes) -> tuple[Request, list[str]]:
    """A request by a provider's expressions, and what they could not do."""
    found = reader.read_request(body.decode("utf-8", "replace"))
    messages = [Message(_role(item.role), (Text(item.text),) if item.text else ()) for item in found.messages]
    request = Request(
        reader.name,
        model=found.model,
        system=(Text(found.system),) if found.system else (),
        messages=tuple(messages),
        tools=tuple(_tool(item) for item in found.tools),
        stream=bool(found.stream),
    )
    return request, _said(found.problems)


def _role(name: str) -> str:
    lowered = name.lower()
    return lowered if lowered in _ROLES else _OTHER_ROLES.get(lowered, "user")


def _tool(item: object) -> Tool:
    """A definition in any of the usual shapes: its name, description and schema where they can be told."""
    raw = as_object(item)
    inner = as_object(raw.get("function")) or raw
    schema = next((inner[key] for key in ("parameters", "input_schema", "schema") if key in inner), None)
    name, description = inner.get("name"), inner.get("description")
    return Tool(
        name if isinstance(name, str) else UNNAMED,
        description if isinstance(description, str) else None,
        schema if isinstance(schema, dict) else None,
        raw=item,
    )


def read_answer(
    reader: Declared, body: bytes, content_type: str, status: int, cut: Outcome | None
) -> tuple[Response, list[str]]:
    """An answer by a provider's expressions, and what they could not do. `cut` says how it was cut off, if it was."""
    if status >= 400:
        value, _ = parse(body)
        error = read_error(value, status) if is_error(as_object(value), status) else None
        failure = error or ApiError(ErrorKind.SERVER, status=status)
        return Response(reader.name, error=failure, outcome=Outcome.ERROR), []
    if "json" in content_type and "lines" not in content_type and "ndjson" not in content_type:
        found = reader.read_response(body.decode("utf-8", "replace"))
        return _response(reader, found, cut), _said(found.problems)
    found = reader.read_stream(_events(body, reader.stream_format(content_type)))
    ended = Outcome.COMPLETE if found.ended and cut is None else cut or Outcome.TRUNCATED
    return _response(reader, found, ended), _said(found.problems)


def _events(body: bytes, form: str) -> Iterable[Event]:
    """The events of a stream, as (SSE name, data)."""
    if form == "sse":
        decoder = SseDecoder()
        yield from decoder.feed(body)
        last = decoder.close()
        if last is not None:
            yield last
        return
    lines = LineDecoder()
    for item in lines.feed(body):
        yield "", item
    rest = lines.close()
    if rest is not None:
        yield "", rest


def _response(reader: Declared, found: DeclaredAnswer, outcome: Outcome | None) -> Response:
    blocks: list[Block] = []
    if found.thinking:
        blocks.append(Thinking(found.thinking))
    if found.text:
        blocks.append(Text(found.text))
    return Response(
        reader.name,
        model=found.model,
        blocks=tuple(blocks),
        stop_reason=StopReason.OTHER if found.stop_reason else None,
        stop_detail=found.stop_reason,
        usage=_usage(found.usage),
        outcome=outcome or Outcome.COMPLETE,
    )


def _usage(found: DeclaredUsage | None) -> Usage | None:
    if found is None:
        return None
    return Usage(
        input=found.input,
        cache_read=found.cache_read,
        cache_write_other=found.cache_write,
        output=found.output,
        reasoning=found.reasoning,
    )


def _said(problems: Iterable[Problem]) -> list[str]:
    # jq's own words quote the values it met, and those are what was said.
    return [f"the expression {problem.key} fails here: see ccinspect providers test" for problem in problems]
