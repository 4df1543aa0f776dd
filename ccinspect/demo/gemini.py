"""The Gemini dialect of the fake provider: documents and streams, made from a Reply."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

from ccinspect.demo.mind import ApiError, Ask, Reply, count_tokens, pieces

METHODS = ("generateContent", "streamGenerateContent", "countTokens")

_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}
_SIGNATURE = base64.b64encode(b"fake provider signature").decode()


def parse(model: str, body: Mapping[str, Any], *, stream: bool) -> Ask:
    """Read a request; the model stands in its path. Raises ApiError(400) where the real API would refuse."""
    contents = body.get("contents")
    if not isinstance(contents, list) or not contents:
        raise ApiError(400, "* GenerateContentRequest.contents: contents is not specified")
    tools = [tool for group in body.get("tools") or [] for tool in group.get("functionDeclarations") or []]
    said = [content for content in contents if content.get("role", "user") == "user"]
    settings = body.get("generationConfig") or {}
    last = said[-1] if said else {}
    prompt = [_text(body.get("systemInstruction") or {}), *(_text(content) for content in contents)]
    wanted = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    forced = wanted.get("mode") == "ANY" and tools
    return Ask(
        model=model,
        prompt="\n".join(prompt) + (json.dumps(tools) if tools else ""),
        last_text=_last_text(last),
        tools={tool["name"]: _parameters(tool) for tool in tools},
        forced_tool=(wanted.get("allowedFunctionNames") or [tools[0]["name"]])[0] if forced else None,
        has_tool_result=any("functionResponse" in part for part in last.get("parts") or []),
        stream=stream,
        thinking=bool(_either(settings.get("thinkingConfig") or {}, "includeThoughts", "include_thoughts")),
        answer_schema=settings.get("responseJsonSchema") or settings.get("responseSchema"),
    )


def _parameters(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    schema = _either(tool, "parametersJsonSchema", "parameters_json_schema") or tool.get("parameters")
    return schema if isinstance(schema, dict) else {}


def _either(fields: Mapping[str, Any], camel: str, snake: str) -> Any:
    """A field by either name: the real API takes both, and Google's Python SDK sends the second in places."""
    return fields.get(camel) or fields.get(snake)


def token_count(model: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of countTokens; a whole request may stand in `generateContentRequest`."""
    inner = body.get("generateContentRequest") or body
    return {"totalTokens": count_tokens(parse(model, inner, stream=False).prompt)}


def _text(content: Mapping[str, Any]) -> str:
    return "\n".join(_part_text(part) for part in content.get("parts") or [])


def _last_text(content: Mapping[str, Any]) -> str:
    """The last part that says something: agents put their own context before it."""
    return next((text for part in reversed(content.get("parts") or []) if (text := _part_text(part))), "")


def _part_text(part: Mapping[str, Any]) -> str:
    if "functionResponse" in part:
        response = part["functionResponse"].get("response") or {}
        return str(response.get("output") or response.get("error") or json.dumps(response))
    if "functionCall" in part:
        return json.dumps(part["functionCall"].get("args"))
    return str(part.get("text") or "")


def document(reply: Reply) -> dict[str, Any]:
    """The whole answer as one JSON object."""
    return _document(reply, _parts(reply), last=True)


def chunks(reply: Reply) -> Iterator[dict[str, Any]]:
    """The answer as the documents of a stream; the last has the whole usage, and the reason why it ended."""
    small = [piece for part in _parts(reply) for piece in _cut(part)]
    for number, part in enumerate(small, 1):
        yield _document(reply, [part], last=number == len(small))


def events(reply: Reply) -> Iterator[bytes]:
    """The same as server-sent events (`alt=sse`)."""
    for chunk in chunks(reply):
        yield f"data: {json.dumps(chunk)}\r\n\r\n".encode()


def array(reply: Reply) -> Iterator[bytes]:
    """The same as pieces of one JSON array, which clients get that do not ask for events."""
    for number, chunk in enumerate(chunks(reply)):
        yield (b",\r\n" if number else b"[") + json.dumps(chunk, indent=1).encode()
    yield b"]"


def _parts(reply: Reply) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    if reply.thinking:
        parts.append({"text": reply.thinking, "thought": True})
    if reply.text:
        parts.append({"text": reply.text})
    if reply.tool:
        call = {"name": reply.tool.name, "args": dict(reply.tool.arguments), "id": f"call_{reply.id}"}
        parts.append({"functionCall": call, "thoughtSignature": _SIGNATURE})
    return parts


def _cut(part: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A part as it is streamed: texts piece by piece, a call at once."""
    if "text" in part:
        yield from (part | {"text": piece} for piece in pieces(part["text"]))
    else:
        yield part


def _document(reply: Reply, parts: list[dict[str, Any]], *, last: bool) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
    usage: dict[str, Any] = {"promptTokenCount": reply.input_tokens, "totalTokenCount": reply.input_tokens}
    if last:
        candidate["finishReason"] = "STOP"
        usage |= _answer_usage(reply)
    usage["promptTokensDetails"] = [{"modality": "TEXT", "tokenCount": reply.input_tokens}]
    return {
        "candidates": [candidate],
        "usageMetadata": usage,
        "modelVersion": reply.model,
        "responseId": reply.id,
    }


def _answer_usage(reply: Reply) -> dict[str, int]:
    thoughts = count_tokens(reply.thinking)
    usage = {"candidatesTokenCount": reply.output_tokens - thoughts}
    usage["totalTokenCount"] = reply.input_tokens + reply.output_tokens
    return usage | ({"thoughtsTokenCount": thoughts} if thoughts else {})


def error(problem: ApiError) -> dict[str, Any]:
    """A refusal, in this dialect."""
    status = _STATUSES.get(problem.status, "INTERNAL")
    return {"error": {"code": problem.status, "message": problem.message, "status": status}}


def models(names: list[str]) -> dict[str, Any]:
    """The list of models."""
    return {"models": [model(name) for name in names]}


def model(name: str) -> dict[str, Any]:
    """One model."""
    return {"name": f"models/{name}", "displayName": name, "supportedGenerationMethods": list(METHODS)}
