"""Requests and answers of the five dialects, written by hand as their providers document them.

Every dialect says the same in each of four scenes: `text`, `tools` (two parallel calls, their results in the request),
`images` (in the user's message), `thinking`.
"""

from __future__ import annotations

import json
from typing import Any

from tests.wire.samples import PNG, chat_chunk, sse

DIALECTS = ("anthropic", "openai_chat", "openai_responses", "gemini", "ollama")
SCENES = ("text", "tools", "images", "thinking")

SYSTEM = "Be brief."
ASKED = "What is it? \u2028 \U0001f600"
ANSWER = "It is 20 degrees. \U0001f600"
THOUGHT = "Let me think."
CALLS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("call_a", "weather", {"city": "Zürich"}),
    ("call_b", "clock", {}),
)
RESULTS = ("20 degrees", "noon")
TOOLS = (
    ("weather", "Tells the weather", {"type": "object", "properties": {"city": {"type": "string"}}}),
    ("clock", "Tells the time", {"type": "object", "properties": {}}),
)
MODEL = "model-a"

Body = dict[str, Any]


def path_of(dialect: str, stream: bool) -> str:
    gemini = f"/v1beta/models/{MODEL}:{'streamGenerateContent?alt=sse' if stream else 'generateContent'}"
    return {
        "anthropic": "/v1/messages",
        "openai_chat": "/v1/chat/completions",
        "openai_responses": "/v1/responses",
        "gemini": gemini,
        "ollama": "/api/chat",
    }[dialect]


def request(dialect: str, scene: str, stream: bool) -> Body:
    body = _REQUESTS[dialect](scene)
    if dialect != "gemini":
        body["model"] = MODEL
        body["stream"] = stream
    if dialect == "openai_chat" and stream:
        body["stream_options"] = {"include_usage": True}
    return body


def _anthropic(scene: str) -> Body:
    content: Any = ASKED
    if scene == "images":
        image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
        content = [{"type": "text", "text": ASKED}, image]
    messages: list[Any] = [{"role": "user", "content": content}]
    body: Body = {"max_tokens": 4096, "system": SYSTEM, "messages": messages}
    if scene == "tools":
        body["tools"] = [{"name": n, "description": d, "input_schema": s} for n, d, s in TOOLS]
        uses = [{"type": "tool_use", "id": i, "name": n, "input": a} for i, n, a in CALLS]
        results = [
            {"type": "tool_result", "tool_use_id": call[0], "content": text}
            for call, text in zip(CALLS, RESULTS, strict=True)
        ]
        messages += [{"role": "assistant", "content": uses}, {"role": "user", "content": results}]
    if scene == "thinking":
        body["thinking"] = {"type": "enabled", "budget_tokens": 2048}
    return body


def _chat(scene: str) -> Body:
    content: Any = ASKED
    if scene == "images":
        image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
        content = [{"type": "text", "text": ASKED}, image]
    messages: list[Any] = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": content}]
    body: Body = {"max_completion_tokens": 4096, "messages": messages}
    if scene == "tools":
        body["tools"] = [
            {"type": "function", "function": {"name": n, "description": d, "parameters": s}} for n, d, s in TOOLS
        ]
        calls = [
            {"id": i, "type": "function", "function": {"name": n, "arguments": json.dumps(a)}} for i, n, a in CALLS
        ]
        messages.append({"role": "assistant", "content": None, "tool_calls": calls})
        for call, text in zip(CALLS, RESULTS, strict=True):
            messages.append({"role": "tool", "tool_call_id": call[0], "content": text})
    if scene == "thinking":
        body["reasoning_effort"] = "low"
    return body


def _responses(scene: str) -> Body:
    content: list[Any] = [{"type": "input_text", "text": ASKED}]
    if scene == "images":
        content.append({"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"})
    items: list[Any] = [{"type": "message", "role": "user", "content": content}]
    body: Body = {"max_output_tokens": 4096, "instructions": SYSTEM, "input": items, "store": False}
    if scene == "tools":
        body["tools"] = [
            {"type": "function", "name": n, "description": d, "parameters": s, "strict": False} for n, d, s in TOOLS
        ]
        for call_id, name, arguments in CALLS:
            items.append(
                {"type": "function_call", "call_id": call_id, "name": name, "arguments": json.dumps(arguments)}
            )
        for call, text in zip(CALLS, RESULTS, strict=True):
            items.append({"type": "function_call_output", "call_id": call[0], "output": text})
    if scene == "thinking":
        body["reasoning"] = {"effort": "low", "summary": "auto"}
    return body


def _gemini(scene: str) -> Body:
    parts: list[Any] = [{"text": ASKED}]
    if scene == "images":
        parts.append({"inlineData": {"mimeType": "image/png", "data": PNG}})
    contents: list[Any] = [{"role": "user", "parts": parts}]
    config: Body = {"maxOutputTokens": 4096}
    body: Body = {"systemInstruction": {"parts": [{"text": SYSTEM}]}, "contents": contents, "generationConfig": config}
    if scene == "tools":
        body["tools"] = [
            {"functionDeclarations": [{"name": n, "description": d, "parametersJsonSchema": s} for n, d, s in TOOLS]}
        ]
        calls = [{"functionCall": {"id": i, "name": n, "args": a}} for i, n, a in CALLS]
        results = [
            {"functionResponse": {"id": call[0], "name": call[1], "response": {"output": text}}}
            for call, text in zip(CALLS, RESULTS, strict=True)
        ]
        contents += [{"role": "model", "parts": calls}, {"role": "user", "parts": results}]
    if scene == "thinking":
        config["thinkingConfig"] = {"thinkingBudget": 2048, "includeThoughts": True}
    return body


def _ollama(scene: str) -> Body:
    user: Body = {"role": "user", "content": ASKED}
    if scene == "images":
        user["images"] = [PNG]
    messages: list[Any] = [{"role": "system", "content": SYSTEM}, user]
    body: Body = {"messages": messages, "options": {"num_predict": 4096}}
    if scene == "tools":
        body["tools"] = [
            {"type": "function", "function": {"name": n, "description": d, "parameters": s}} for n, d, s in TOOLS
        ]
        calls = [{"id": i, "function": {"name": n, "arguments": a}} for i, n, a in CALLS]
        messages.append({"role": "assistant", "content": "", "tool_calls": calls})
        for call, text in zip(CALLS, RESULTS, strict=True):
            messages.append({"role": "tool", "tool_name": call[1], "tool_call_id": call[0], "content": text})
    if scene == "thinking":
        body["think"] = True
    return body


_REQUESTS = {
    "anthropic": _anthropic,
    "openai_chat": _chat,
    "openai_responses": _responses,
    "gemini": _gemini,
    "ollama": _ollama,
}

# Answers: of `tools` the two calls and no text, of `thinking` the thought and the text, else the text.


def answer(dialect: str, scene: str) -> bytes:
    return json.dumps(_ANSWERS[dialect](scene)).encode()


def stream(dialect: str, scene: str) -> bytes:
    return _STREAMS[dialect](scene)


def content_type(dialect: str, streamed: bool) -> str:
    if not streamed:
        return "application/json"
    return "application/x-ndjson" if dialect == "ollama" else "text/event-stream; charset=utf-8"


def _halves(text: str) -> tuple[str, str]:
    return text[: len(text) // 2], text[len(text) // 2 :]


def _anthropic_blocks(scene: str) -> list[Body]:
    if scene == "tools":
        return [{"type": "tool_use", "id": i, "name": n, "input": a} for i, n, a in CALLS]
    thinking = {"type": "thinking", "thinking": THOUGHT, "signature": "EqQBCkYIBxgC"}
    text = {"type": "text", "text": ANSWER}
    return [thinking, text] if scene == "thinking" else [text]


def _anthropic_answer(scene: str) -> Body:
    return {
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "model": "model-b",
        "content": _anthropic_blocks(scene),
        "stop_reason": "tool_use" if scene == "tools" else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 90, "cache_read_input_tokens": 10, "output_tokens": 20},
    }


def _anthropic_stream(scene: str) -> bytes:
    whole = _anthropic_answer(scene)
    usage = {"input_tokens": 90, "cache_read_input_tokens": 10, "output_tokens": 1}
    events: list[Any] = [
        {"type": "message_start", "message": {**whole, "content": [], "stop_reason": None, "usage": usage}}
    ]
    for index, block in enumerate(whole["content"]):
        if block["type"] == "tool_use":
            start = {**block, "input": {}}
            text = json.dumps(block["input"]) if block["input"] else ""
            deltas = [{"type": "input_json_delta", "partial_json": part} for part in _halves(text)]
        elif block["type"] == "thinking":
            start = {"type": "thinking", "thinking": "", "signature": ""}
            deltas = [{"type": "thinking_delta", "thinking": part} for part in _halves(THOUGHT)]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        else:
            start = {"type": "text", "text": ""}
            deltas = [{"type": "text_delta", "text": part} for part in _halves(ANSWER)]
        events.append({"type": "content_block_start", "index": index, "content_block": start})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    delta = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    events.append({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 20}})
    return sse(*events, {"type": "message_stop"})


_CHAT_USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "total_tokens": 120,
    "prompt_tokens_details": {"cached_tokens": 10},
}


def _chat_calls() -> list[Body]:
    return [{"id": i, "type": "function", "function": {"name": n, "arguments": json.dumps(a)}} for i, n, a in CALLS]


def _chat_answer(scene: str) -> Body:
    message: Body = {"role": "assistant", "content": None if scene == "tools" else ANSWER, "refusal": None}
    if scene == "tools":
        message["tool_calls"] = _chat_calls()
    if scene == "thinking":
        message["reasoning_content"] = THOUGHT
    word = "tool_calls" if scene == "tools" else "stop"
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1741569952,
        "model": "model-b",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": word}],
        "usage": _CHAT_USAGE,
    }


def _chat_stream(scene: str) -> bytes:
    chunks = [chat_chunk({"role": "assistant", "content": ""})]
    if scene == "thinking":
        chunks += [chat_chunk({"reasoning_content": part}) for part in _halves(THOUGHT)]
    if scene == "tools":
        for index, call in enumerate(_chat_calls()):
            arguments = call["function"]["arguments"]
            head = {"index": index, **call, "function": {"name": call["function"]["name"], "arguments": ""}}
            chunks.append(chat_chunk({"tool_calls": [head]}))
            for part in _halves(arguments):
                chunks.append(chat_chunk({"tool_calls": [{"index": index, "function": {"arguments": part}}]}))
    else:
        chunks += [chat_chunk({"content": part}) for part in _halves(ANSWER)]
    chunks.append(chat_chunk({}, "tool_calls" if scene == "tools" else "stop"))
    return sse(*chunks, chat_chunk(None, usage=_CHAT_USAGE), "[DONE]")


def _items(scene: str) -> list[Body]:
    if scene == "tools":
        return [
            {
                "type": "function_call",
                "id": f"fc_{i}",
                "call_id": i,
                "name": n,
                "arguments": json.dumps(a),
                "status": "completed",
            }
            for i, n, a in CALLS
        ]
    part = {"type": "output_text", "text": ANSWER, "annotations": [], "logprobs": []}
    said = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}
    thought = {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": THOUGHT}],
        "encrypted_content": "gAAAAABo",
    }
    return [thought, said] if scene == "thinking" else [said]


def _responses_answer(scene: str) -> Body:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1741476777,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": "model-b",
        "output": _items(scene),
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": {
            "input_tokens": 100,
            "input_tokens_details": {"cached_tokens": 10, "cache_write_tokens": 0},
            "output_tokens": 20,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 120,
        },
    }


def _responses_stream(scene: str) -> bytes:
    whole = _responses_answer(scene)
    started = {**whole, "status": "in_progress", "output": [], "usage": None}
    events: list[Any] = [{"type": "response.created", "response": started}]
    for index, item in enumerate(whole["output"]):
        events += _item_events(item, index)
    events.append({"type": "response.completed", "response": whole})
    return sse(*[{**event, "sequence_number": number} for number, event in enumerate(events)])


def _item_events(item: Body, index: int) -> list[Body]:
    at: Body = {"item_id": item["id"], "output_index": index}
    empty = {**item, "status": "in_progress"}
    events: list[Body] = []
    if item["type"] == "function_call":
        empty["arguments"] = ""
        kind = "response.function_call_arguments"
        events += [{"type": f"{kind}.delta", **at, "delta": part} for part in _halves(item["arguments"])]
        events.append({"type": f"{kind}.done", **at, "name": item["name"], "arguments": item["arguments"]})
    elif item["type"] == "message":
        empty["content"] = []
        part = item["content"][0]
        at["content_index"] = 0
        events.append({"type": "response.content_part.added", **at, "part": {**part, "text": ""}})
        for text in _halves(ANSWER):
            events.append({"type": "response.output_text.delta", **at, "delta": text, "logprobs": []})
        events.append({"type": "response.output_text.done", **at, "text": ANSWER, "logprobs": []})
        events.append({"type": "response.content_part.done", **at, "part": part})
    else:
        empty = {"type": "reasoning", "id": item["id"], "summary": []}
        at["summary_index"] = 0
        part = {"type": "summary_text", "text": ""}
        events.append({"type": "response.reasoning_summary_part.added", **at, "part": part})
        for text in _halves(THOUGHT):
            events.append({"type": "response.reasoning_summary_text.delta", **at, "delta": text})
        events.append({"type": "response.reasoning_summary_text.done", **at, "text": THOUGHT})
        events.append({"type": "response.reasoning_summary_part.done", **at, "part": item["summary"][0]})
    added = {"type": "response.output_item.added", "output_index": index, "item": empty}
    done = {"type": "response.output_item.done", "output_index": index, "item": item}
    return [added, *events, done]


_GEMINI_USAGE = {
    "promptTokenCount": 100,
    "cachedContentTokenCount": 10,
    "candidatesTokenCount": 20,
    "totalTokenCount": 120,
}


def _gemini_parts(scene: str) -> list[Body]:
    if scene == "tools":
        first, second = ({"functionCall": {"id": i, "name": n, "args": a}} for i, n, a in CALLS)
        return [{**first, "thoughtSignature": "CikBVKhc7g=="}, second]
    thought = {"text": THOUGHT, "thought": True}
    return [thought, {"text": ANSWER}] if scene == "thinking" else [{"text": ANSWER}]


def _gemini_answer(scene: str) -> Body:
    candidate = {"content": {"role": "model", "parts": _gemini_parts(scene)}, "finishReason": "STOP", "index": 0}
    return {
        "candidates": [candidate],
        "usageMetadata": _GEMINI_USAGE,
        "modelVersion": "model-b",
        "responseId": "r-1",
    }


def _gemini_stream(scene: str) -> bytes:
    head = {"modelVersion": "model-b", "responseId": "r-1"}
    parts: list[Body] = []
    for part in _gemini_parts(scene):
        if "text" in part:
            parts += [{**part, "text": text} for text in _halves(part["text"])]
        else:
            parts.append(part)
    chunks = [{"candidates": [{"content": {"role": "model", "parts": [part]}, "index": 0}], **head} for part in parts]
    last = {"content": {"role": "model", "parts": [{"text": ""}]}, "finishReason": "STOP", "index": 0}
    return sse(*chunks, {"candidates": [last], "usageMetadata": _GEMINI_USAGE, **head})


def _ollama_last(scene: str) -> Body:
    return {
        "done": True,
        "done_reason": "stop",
        "total_duration": 5,
        "load_duration": 1,
        "prompt_eval_count": 100,
        "prompt_eval_duration": 1,
        "eval_count": 20,
        "eval_duration": 3,
    }


def _ollama_message(scene: str) -> Body:
    message: Body = {"role": "assistant", "content": "" if scene == "tools" else ANSWER}
    if scene == "tools":
        message["tool_calls"] = [{"id": i, "function": {"name": n, "arguments": a}} for i, n, a in CALLS]
    if scene == "thinking":
        message["thinking"] = THOUGHT
    return message


_OLLAMA_HEAD = {"model": "model-b", "created_at": "2025-06-05T12:00:00.5Z"}


def _ollama_answer(scene: str) -> Body:
    return {**_OLLAMA_HEAD, "message": _ollama_message(scene), **_ollama_last(scene)}


def _ollama_stream(scene: str) -> bytes:
    whole = _ollama_message(scene)
    messages: list[Body] = [{"thinking": part, "content": ""} for part in _halves(whole.get("thinking", "")) if part]
    messages += [{"content": part} for part in _halves(whole["content"]) if part]
    messages += [{"content": "", "tool_calls": [call]} for call in whole.get("tool_calls", [])]
    lines = [{**_OLLAMA_HEAD, "message": {"role": "assistant", **message}, "done": False} for message in messages]
    lines.append({**_OLLAMA_HEAD, "message": {"role": "assistant", "content": ""}, **_ollama_last(scene)})
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


_ANSWERS = {
    "anthropic": _anthropic_answer,
    "openai_chat": _chat_answer,
    "openai_responses": _responses_answer,
    "gemini": _gemini_answer,
    "ollama": _ollama_answer,
}
_STREAMS = {
    "anthropic": _anthropic_stream,
    "openai_chat": _chat_stream,
    "openai_responses": _responses_stream,
    "gemini": _gemini_stream,
    "ollama": _ollama_stream,
}
