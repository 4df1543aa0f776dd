"""The official SDKs' types, as judges of what we write."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any, cast

import anthropic
import httpx2
import ollama
import openai
from anthropic.types import Message as AnthropicMessage
from anthropic.types.message_create_params import MessageCreateParams
from google.genai import types as gemini
from openai.types.chat import ChatCompletion
from openai.types.chat.completion_create_params import CompletionCreateParams
from openai.types.responses import Response as OpenAIResponse
from openai.types.responses.response_create_params import ResponseCreateParams
from pydantic import TypeAdapter

from ccinspect.wire.ndjson import ArrayDecoder
from ccinspect.wire.sse import SseDecoder

JsonObject = dict[str, Any]


def consume(value: Any) -> None:
    """Pydantic checks the items of an `Iterable` field only when they are asked for."""
    if isinstance(value, dict):
        for item in value.values():
            consume(item)
    elif not isinstance(value, str | bytes) and hasattr(value, "__iter__"):
        for item in cast(Iterator[Any], iter(value)):
            consume(item)


_PARAMS: dict[str, TypeAdapter[Any]] = {
    "anthropic": TypeAdapter(MessageCreateParams),
    "openai_chat": TypeAdapter(CompletionCreateParams),
    "openai_responses": TypeAdapter(ResponseCreateParams),
}


def accept_request(dialect: str, body: JsonObject) -> None:
    """Raises where the SDK's own types do not allow the request."""
    if dialect in _PARAMS:
        consume(_PARAMS[dialect].validate_python(body))
    elif dialect == "ollama":
        ollama._types.ChatRequest(**body)
    else:
        for content in body["contents"]:
            gemini.Content.model_validate(content)
        for tool in body.get("tools", []):
            gemini.Tool.model_validate(tool)
        gemini.GenerationConfig.model_validate(body.get("generationConfig", {}))
        gemini.ToolConfig.model_validate(body.get("toolConfig", {}))
        if "systemInstruction" in body:
            gemini.Content.model_validate(body["systemInstruction"])


def parse_response(dialect: str, body: JsonObject) -> JsonObject:
    """The SDK's own object of a buffered answer, dumped again as JSON."""
    if dialect == "anthropic":
        return AnthropicMessage.model_validate(body).model_dump(mode="json", exclude_unset=True)
    if dialect == "openai_chat":
        return ChatCompletion.model_validate(body).model_dump(mode="json", exclude_unset=True)
    if dialect == "openai_responses":
        return OpenAIResponse.model_validate(body).model_dump(mode="json", exclude_unset=True, by_alias=True)
    if dialect == "ollama":
        return ollama.ChatResponse(**body).model_dump(mode="json", exclude_unset=True)
    parsed = gemini.GenerateContentResponse.model_validate(body)
    return parsed.model_dump(mode="json", exclude_unset=True, by_alias=True)


def _transport(data: bytes) -> httpx2.Client:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=data)

    return httpx2.Client(transport=httpx2.MockTransport(answer))


def _anthropic_stream(data: bytes) -> JsonObject:
    with anthropic.Anthropic(api_key="none", http_client=_transport(data)) as client:
        messages: Any = [{"role": "user", "content": "x"}]
        with client.messages.stream(model="m", max_tokens=9, messages=messages) as stream:
            return stream.get_final_message().model_dump(mode="json")


def _chat_stream(data: bytes) -> JsonObject:
    """The SDK's chunks, put together as its users do."""
    with openai.OpenAI(api_key="none", http_client=_transport(data)) as client:
        stream = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}], stream=True)
        text, refusal, calls, finish, usage = "", "", cast(dict[int, JsonObject], {}), None, None
        for chunk in stream:
            usage = chunk.usage.model_dump() if chunk.usage else usage
            for choice in chunk.choices:
                text += choice.delta.content or ""
                refusal += choice.delta.refusal or ""
                finish = choice.finish_reason or finish
                for call in choice.delta.tool_calls or []:
                    known = calls.setdefault(
                        call.index, {"id": call.id, "type": "function", "function": {"name": "", "arguments": ""}}
                    )
                    if call.function:
                        known["function"]["name"] += call.function.name or ""
                        known["function"]["arguments"] += call.function.arguments or ""
        message = {"role": "assistant", "content": text, "refusal": refusal or None, "tool_calls": list(calls.values())}
        return {"choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": usage}


def _responses_stream(data: bytes) -> JsonObject:
    with (
        openai.OpenAI(api_key="none", http_client=_transport(data)) as client,
        client.responses.stream(model="m", input="x") as stream,
    ):
        return stream.get_final_response().model_dump(mode="json", by_alias=True)


def _gemini_stream(data: bytes) -> JsonObject:
    texts = ArrayDecoder().feed(data) if data.startswith(b"[") else [e.data for e in SseDecoder().feed(data)]
    parts: list[Any] = []
    last: JsonObject = {}
    for text in texts:
        last = gemini.GenerateContentResponse.model_validate(json.loads(text)).model_dump(
            mode="json", exclude_unset=True, by_alias=True
        )
        parts += last["candidates"][0].get("content", {}).get("parts", [])
    last["candidates"][0]["content"] = {"role": "model", "parts": _joined(parts)}
    return last


def _joined(parts: list[JsonObject]) -> list[JsonObject]:
    out: list[JsonObject] = []
    for part in parts:
        same = out and "text" in part and "text" in out[-1] and part.get("thought") == out[-1].get("thought")
        if same:
            out[-1] = {**out[-1], **part, "text": out[-1]["text"] + part["text"]}
        else:
            out.append(part)
    return out


def _ollama_stream(data: bytes) -> JsonObject:
    lines = [ollama.ChatResponse(**json.loads(line)) for line in data.splitlines()]
    message: JsonObject = {"role": "assistant", "content": "", "thinking": "", "tool_calls": []}
    for line in lines:
        message["content"] += line.message.content or ""
        message["thinking"] += line.message.thinking or ""
        message["tool_calls"] += [call.model_dump() for call in line.message.tool_calls or []]
    return {**lines[-1].model_dump(mode="json"), "message": message}


STREAMS: dict[str, Callable[[bytes], JsonObject]] = {
    "anthropic": _anthropic_stream,
    "openai_chat": _chat_stream,
    "openai_responses": _responses_stream,
    "gemini": _gemini_stream,
    "ollama": _ollama_stream,
}


def is_base64(text: str) -> bool:
    return base64.b64encode(base64.b64decode(text)).decode() == text
