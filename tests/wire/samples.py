"""Requests, answers and streams as the providers' documentation and SDK types show them, for all tests of this room."""

from __future__ import annotations

import base64
import json
from typing import Any

from ccinspect.wire.eventstream import encode_message

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="
PDF = base64.b64encode(b"%PDF-1.4\n%%EOF\n").decode()
SCHEMA = {
    "type": "object",
    "properties": {
        "file_path": {"type": "string", "description": "Absolute path"},
        "limit": {"type": ["integer", "null"]},
        "mode": {"type": "string", "enum": ["", "text", "binary"]},
    },
    "required": ["file_path"],
}


def sse(*events: Any, names: bool = True) -> bytes:
    """Server-sent events; named by their `type` as Anthropic and OpenAI Responses do."""
    out = []
    for event in events:
        if isinstance(event, str):
            out.append(f"data: {event}\n\n")
        else:
            name = f"event: {event['type']}\n" if names and "type" in event else ""
            out.append(f"{name}data: {json.dumps(event)}\n\n")
    return "".join(out).encode()


ANTHROPIC_REQUEST: dict[str, Any] = {
    "model": "claude-sonnet-4-5-20250929",
    "max_tokens": 32000,
    "system": [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.329"},
        {"type": "text", "text": "You are Claude Code.", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
    ],
    "tools": [
        {"name": "Read", "description": "Reads a file", "input_schema": SCHEMA},
        {
            "name": "mcp__github__search",
            "description": "Search",
            "input_schema": {"type": "object", "properties": {}},
            "cache_control": {"type": "ephemeral"},
        },
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 5},
    ],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": False},
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is in these two files? \u2028 \U0001f600"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                {
                    "type": "document",
                    "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
                    "title": "spec.pdf",
                },
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Read both.", "signature": "EqQBCkYIBxgCKkDsig=="},
                {"type": "redacted_thinking", "data": "EmwKAhgBsealed=="},
                {"type": "text", "text": "I read them."},
                {"type": "tool_use", "id": "toolu_01A", "name": "Read", "input": {"file_path": "/a"}},
                {"type": "tool_use", "id": "toolu_01B", "name": "Read", "input": {"file_path": "/b"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_01A", "content": "contents of a"},
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_01B",
                    "is_error": True,
                    "content": [
                        {"type": "text", "text": "cannot open b"},
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                    ],
                    "cache_control": {"type": "ephemeral"},
                },
                {"type": "text", "text": "<system-reminder>be brief</system-reminder>"},
            ],
        },
    ],
    "thinking": {"type": "enabled", "budget_tokens": 10000},
    "temperature": 1,
    "stream": True,
    "metadata": {"user_id": "user_ab_account__session_0b2c"},
    "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]},
}

ANTHROPIC_RESPONSE: dict[str, Any] = {
    "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5-20250929",
    "content": [
        {"type": "thinking", "thinking": "Look it up.", "signature": "EqQBCkYIBxgCKkD="},
        {"type": "text", "text": "I will search.", "citations": None},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "weather"}},
        {
            "type": "web_search_tool_result",
            "tool_use_id": "srvtoolu_1",
            "content": [
                {
                    "type": "web_search_result",
                    "url": "https://example.com/w",
                    "title": "Weather",
                    "encrypted_content": "Eq...",
                    "page_age": None,
                }
            ],
        },
        {
            "type": "text",
            "text": "It is 20 degrees.",
            "citations": [
                {
                    "type": "web_search_result_location",
                    "cited_text": "20 degrees",
                    "encrypted_index": "Eo8=",
                    "title": "Weather",
                    "url": "https://example.com/w",
                }
            ],
        },
        {"type": "tool_use", "id": "toolu_01C", "name": "Read", "input": {"file_path": "/c", "limit": 3}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 12,
        "cache_creation_input_tokens": 300,
        "cache_read_input_tokens": 5000,
        "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
        "output_tokens": 88,
        "server_tool_use": {"web_search_requests": 1, "web_fetch_requests": 0},
        "service_tier": "standard",
    },
}

ANTHROPIC_STREAM = sse(
    {
        "type": "message_start",
        "message": {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude-sonnet-4-5",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {
                "input_tokens": 4,
                "cache_creation_input_tokens": 120,
                "cache_read_input_tokens": 900,
                "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 100},
                "output_tokens": 1,
                "service_tier": "standard",
            },
        },
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
    {"type": "ping"},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Let me "}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "see \u2028."}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "EqQB=="}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Reading \U0001f600"}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": " now."}},
    {"type": "content_block_stop", "index": 1},
    {
        "type": "content_block_start",
        "index": 2,
        "content_block": {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {}},
    },
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": ""}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": '{"file_'}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": 'path": "/a"}'}},
    {"type": "content_block_stop", "index": 2},
    {
        "type": "content_block_start",
        "index": 3,
        "content_block": {"type": "tool_use", "id": "toolu_2", "name": "List", "input": {}},
    },
    {"type": "content_block_stop", "index": 3},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {
            "input_tokens": 4,
            "cache_creation_input_tokens": 120,
            "cache_read_input_tokens": 900,
            "output_tokens": 65,
        },
    },
    {"type": "message_stop"},
)

CHAT_REQUEST: dict[str, Any] = {
    "model": "gpt-5",
    "messages": [
        {"role": "developer", "content": "You are a coding agent."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look at this."},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "high"}},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}},
            ],
        },
        {
            "role": "assistant",
            "content": "Calling.",
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "read", "arguments": '{"file_path": "/a"}'},
                },
                {"id": "call_2", "type": "function", "function": {"name": "list", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "contents"},
        {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "a b"}]},
        {"role": "user", "content": "And now?"},
    ],
    "tools": [
        {"type": "function", "function": {"name": "read", "description": "d", "parameters": SCHEMA, "strict": False}},
        {"type": "function", "function": {"name": "list", "parameters": {"type": "object", "properties": {}}}},
    ],
    "tool_choice": {"type": "function", "function": {"name": "read"}},
    "parallel_tool_calls": True,
    "max_completion_tokens": 4096,
    "temperature": 0.5,
    "stop": ["END"],
    "seed": 7,
    "reasoning_effort": "low",
    "stream": True,
    "stream_options": {"include_usage": True},
    "user": "u-1",
    "prompt_cache_key": "k",
}

CHAT_RESPONSE: dict[str, Any] = {
    "id": "chatcmpl-B9",
    "object": "chat.completion",
    "created": 1741569952,
    "model": "gpt-5-2025-08-07",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Reading.",
                "refusal": None,
                "tool_calls": [
                    {"id": "call_9", "type": "function", "function": {"name": "read", "arguments": '{"limit":3}'}}
                ],
                "annotations": [],
            },
            "logprobs": None,
            "finish_reason": "tool_calls",
        }
    ],
    "usage": {
        "prompt_tokens": 2006,
        "completion_tokens": 300,
        "total_tokens": 2306,
        "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 192, "audio_tokens": 0},
    },
    "service_tier": "default",
    "system_fingerprint": "fp_1",
}


def chat_chunk(delta: dict[str, Any] | None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1741569952, "model": "gpt-5"}
    return {**head, "choices": choices, **more}


CHAT_STREAM = sse(
    chat_chunk({"role": "assistant", "content": "", "refusal": None}, usage=None),
    chat_chunk({"reasoning_content": "Hmm "}),
    chat_chunk({"reasoning_content": "yes"}),
    chat_chunk({"content": "Reading \U0001f600"}),
    chat_chunk({"content": " now."}),
    chat_chunk(
        {
            "tool_calls": [
                {"index": 0, "id": "call_1", "type": "function", "function": {"name": "read", "arguments": ""}}
            ]
        }
    ),
    chat_chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"file_'}}]}),
    chat_chunk({"tool_calls": [{"index": 1, "id": "call_2", "type": "function", "function": {"name": "list"}}]}),
    chat_chunk({"tool_calls": [{"index": 0, "function": {"arguments": 'path":"/a"}'}}]}),
    chat_chunk({}, "tool_calls"),
    chat_chunk(
        None,
        usage={
            "prompt_tokens": 100,
            "completion_tokens": 20,
            "total_tokens": 120,
            "prompt_tokens_details": {"cached_tokens": 64},
            "completion_tokens_details": {"reasoning_tokens": 5},
        },
    ),
    "[DONE]",
)

RESPONSES_REQUEST: dict[str, Any] = {
    "model": "gpt-5-codex",
    "instructions": "You are Codex.",
    "input": [
        {
            "type": "additional_tools",
            "role": "developer",
            "tools": [{"type": "function", "name": "late_tool", "parameters": {"type": "object"}, "strict": None}],
        },
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "<permissions>"}]},
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "List the files."},
                {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"},
            ],
        },
        {
            "type": "reasoning",
            "id": "rs_68",
            "summary": [{"type": "summary_text", "text": "**Listing**"}],
            "encrypted_content": "gAAAAABo",
        },
        {
            "type": "message",
            "role": "assistant",
            "id": "msg_68",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Sure.", "annotations": []}],
        },
        {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "call_1",
            "name": "shell",
            "arguments": '{"command": ["ls"]}',
            "status": "completed",
        },
        {"type": "custom_tool_call", "call_id": "call_2", "name": "apply_patch", "input": "*** Begin Patch\n"},
        {"type": "function_call_output", "call_id": "call_1", "output": "a\nb"},
        {"type": "custom_tool_call_output", "call_id": "call_2", "output": "done"},
        {"role": "user", "content": "Thanks. And?"},
    ],
    "tools": [
        {"type": "function", "name": "shell", "description": "Runs", "parameters": SCHEMA, "strict": False},
        {"type": "custom", "name": "apply_patch", "description": "Patch", "format": {"type": "text"}},
        {
            "type": "namespace",
            "name": "github",
            "description": "GitHub",
            "tools": [{"type": "function", "name": "search", "parameters": {"type": "object"}, "strict": True}],
        },
        {"type": "web_search"},
    ],
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "reasoning": {"effort": "medium", "summary": "auto"},
    "store": False,
    "stream": True,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "0199",
    "text": {"verbosity": "medium"},
}

RESPONSES_RESPONSE: dict[str, Any] = {
    "id": "resp_67cb",
    "object": "response",
    "created_at": 1741476777,
    "status": "completed",
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "max_output_tokens": None,
    "model": "gpt-5-2025-08-07",
    "output": [
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Think"}]},
        {
            "type": "web_search_call",
            "id": "ws_1",
            "status": "completed",
            "action": {"type": "search", "query": "weather"},
        },
        {
            "type": "message",
            "id": "msg_1",
            "status": "completed",
            "role": "assistant",
            "content": [
                {
                    "type": "output_text",
                    "text": "20 degrees.",
                    "annotations": [
                        {
                            "type": "url_citation",
                            "start_index": 0,
                            "end_index": 2,
                            "url": "https://example.com",
                            "title": "W",
                        }
                    ],
                    "logprobs": [],
                }
            ],
        },
        {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "call_1",
            "name": "shell",
            "arguments": '{"command":["ls"]}',
            "status": "completed",
        },
    ],
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "store": True,
    "temperature": 1,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1,
    "truncation": "disabled",
    "usage": {
        "input_tokens": 328,
        "input_tokens_details": {"cached_tokens": 200, "cache_write_tokens": 0},
        "output_tokens": 52,
        "output_tokens_details": {"reasoning_tokens": 16},
        "total_tokens": 380,
    },
    "user": None,
    "metadata": {},
}


def _responses_events() -> list[dict[str, Any]]:
    start = {**RESPONSES_RESPONSE, "status": "in_progress", "output": [], "usage": None}
    thinking, search, message, call = RESPONSES_RESPONSE["output"]
    text = message["content"][0]
    fc = {"item_id": "fc_1", "output_index": 3}
    place = {"item_id": "msg_1", "output_index": 2, "content_index": 0}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": start},
        {"type": "response.in_progress", "response": start},
        {"type": "response.output_item.added", "output_index": 0, "item": {**thinking, "summary": []}},
        {
            "type": "response.reasoning_summary_part.added",
            "item_id": "rs_1",
            "output_index": 0,
            "summary_index": 0,
            "part": {"type": "summary_text", "text": ""},
        },
        {
            "type": "response.reasoning_summary_text.delta",
            "item_id": "rs_1",
            "output_index": 0,
            "summary_index": 0,
            "delta": "Think",
        },
        {"type": "response.output_item.done", "output_index": 0, "item": thinking},
        {"type": "response.output_item.added", "output_index": 1, "item": {**search, "status": "in_progress"}},
        {"type": "response.web_search_call.searching", "output_index": 1, "item_id": "ws_1"},
        {"type": "response.output_item.done", "output_index": 1, "item": search},
        {"type": "response.output_item.added", "output_index": 2, "item": {**message, "content": []}},
        {"type": "response.content_part.added", **place, "part": {**text, "text": "", "annotations": []}},
        {"type": "response.output_text.delta", **place, "delta": "20 ", "logprobs": []},
        {"type": "response.output_text.delta", **place, "delta": "degrees.", "logprobs": []},
        {
            "type": "response.output_text.annotation.added",
            **place,
            "annotation_index": 0,
            "annotation": text["annotations"][0],
        },
        {"type": "response.output_text.done", **place, "text": "20 degrees.", "logprobs": []},
        {"type": "response.content_part.done", **place, "part": text},
        {"type": "response.output_item.done", "output_index": 2, "item": message},
        {"type": "response.output_item.added", "output_index": 3, "item": {**call, "arguments": ""}},
        {"type": "response.function_call_arguments.delta", **fc, "delta": '{"comm'},
        {"type": "response.function_call_arguments.delta", **fc, "delta": 'and":["ls"]}'},
        {
            "type": "response.function_call_arguments.done",
            "item_id": "fc_1",
            "output_index": 3,
            "arguments": call["arguments"],
        },
        {"type": "response.output_item.done", "output_index": 3, "item": call},
        {"type": "response.completed", "response": RESPONSES_RESPONSE},
    ]
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]


RESPONSES_EVENTS = _responses_events()
RESPONSES_STREAM = sse(*RESPONSES_EVENTS)

GEMINI_PATH = "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse"
GEMINI_REQUEST: dict[str, Any] = {
    "systemInstruction": {"role": "user", "parts": [{"text": "You are Gemini CLI."}]},
    "contents": [
        {
            "role": "user",
            "parts": [{"text": "Weather and time?"}, {"inlineData": {"mimeType": "image/png", "data": PNG}}],
        },
        {
            "role": "model",
            "parts": [
                {"text": "Both needed.", "thought": True},
                {"functionCall": {"name": "weather", "args": {"city": "Bonn"}}, "thoughtSignature": "CikBVKhc7g=="},
                {"functionCall": {"name": "time", "args": {}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "weather", "response": {"output": "20 degrees"}}},
                {"functionResponse": {"name": "time", "response": {"hour": 12}}},
            ],
        },
    ],
    "tools": [
        {
            "functionDeclarations": [
                {
                    "name": "weather",
                    "description": "d",
                    "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]},
                },
                {"name": "time", "parametersJsonSchema": {"type": "object", "properties": {}}},
            ]
        },
        {"googleSearch": {}},
    ],
    "toolConfig": {"functionCallingConfig": {"mode": "AUTO"}},
    "generationConfig": {
        "temperature": 0,
        "topP": 1,
        "maxOutputTokens": 8192,
        "stopSequences": ["STOP!"],
        "thinkingConfig": {"includeThoughts": True, "thinkingBudget": 4096},
        "responseModalities": ["TEXT"],
    },
    "safetySettings": [{"category": "HARM_CATEGORY_HATE_SPEECH", "threshold": "BLOCK_NONE"}],
}
GEMINI_ENVELOPE: dict[str, Any] = {
    "model": "gemini-2.5-pro",
    "project": "subtle-plasma-1b54t",
    "user_prompt_id": "e4d4b812########0",
    "request": {**GEMINI_REQUEST, "session_id": "0f9e"},
}

GEMINI_RESPONSE: dict[str, Any] = {
    "candidates": [
        {
            "content": {
                "role": "model",
                "parts": [
                    {"text": "Need both.", "thought": True},
                    {"text": "Calling."},
                    {"functionCall": {"name": "weather", "args": {"city": "Bonn"}}, "thoughtSignature": "CikBVKhc7g=="},
                    {"functionCall": {"name": "time", "args": {}}},
                ],
            },
            "finishReason": "STOP",
            "index": 0,
        }
    ],
    "usageMetadata": {
        "promptTokenCount": 1000,
        "candidatesTokenCount": 40,
        "totalTokenCount": 1104,
        "cachedContentTokenCount": 800,
        "thoughtsTokenCount": 64,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 1000}],
    },
    "modelVersion": "gemini-2.5-pro",
    "responseId": "cX3SaLqS",
}


def _gemini_chunks() -> list[dict[str, Any]]:
    def chunk(parts: list[dict[str, Any]], usage: dict[str, Any], **more: Any) -> dict[str, Any]:
        candidate = {"content": {"role": "model", "parts": parts}, "index": 0, **more}
        return {
            "candidates": [candidate],
            "usageMetadata": usage,
            "modelVersion": "gemini-2.5-pro",
            "responseId": "cX3SaLqS",
        }

    parts = GEMINI_RESPONSE["candidates"][0]["content"]["parts"]
    early = {"promptTokenCount": 1000, "totalTokenCount": 1000, "cachedContentTokenCount": 800}
    return [
        chunk([{"text": "Need ", "thought": True}], early),
        chunk([{"text": "both.", "thought": True}, {"text": "Call"}], early),
        chunk([{"text": "ing."}], early),
        chunk(parts[2:3], early),
        chunk(parts[3:4], GEMINI_RESPONSE["usageMetadata"], finishReason="STOP"),
    ]


GEMINI_CHUNKS = _gemini_chunks()
GEMINI_STREAM = "".join(f"data: {json.dumps(chunk)}\r\n\r\n" for chunk in GEMINI_CHUNKS).encode()
GEMINI_ARRAY = ("[" + "\n,\r\n".join(json.dumps(chunk, indent=2) for chunk in GEMINI_CHUNKS) + "\n]\n").encode()
GEMINI_ENVELOPE_STREAM = "".join(
    f"data: {json.dumps({'response': chunk, 'traceId': 'a1'})}\n\n" for chunk in GEMINI_CHUNKS
).encode()

OLLAMA_REQUEST: dict[str, Any] = {
    "model": "qwen3:8b",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather?", "images": [PNG]},
        {
            "role": "assistant",
            "content": "",
            "thinking": "call it",
            "tool_calls": [{"function": {"name": "weather", "arguments": {"city": "Bonn"}}}],
        },
        {"role": "tool", "tool_name": "weather", "content": "20 degrees"},
    ],
    "tools": [{"type": "function", "function": {"name": "weather", "description": "d", "parameters": SCHEMA}}],
    "options": {"num_ctx": 8192, "temperature": 0.2, "num_predict": 100, "stop": ["x"]},
    "think": True,
    "keep_alive": "5m",
}

OLLAMA_RESPONSE: dict[str, Any] = {
    "model": "qwen3:8b",
    "created_at": "2025-10-26T17:15:24.097767Z",
    "message": {
        "role": "assistant",
        "content": "It is warm.",
        "thinking": "hm",
        "tool_calls": [{"function": {"name": "weather", "arguments": {"city": "Bonn"}}}],
    },
    "done": True,
    "done_reason": "stop",
    "total_duration": 174560334,
    "load_duration": 101397084,
    "prompt_eval_count": 11,
    "prompt_eval_duration": 13074791,
    "eval_count": 18,
    "eval_duration": 52479709,
}


def _ollama_lines() -> list[dict[str, Any]]:
    def line(**message: Any) -> dict[str, Any]:
        return {
            "model": "qwen3:8b",
            "created_at": "2025-10-26T17:15:24.097767Z",
            "message": {"role": "assistant", "content": "", **message},
            "done": False,
        }

    last = {key: OLLAMA_RESPONSE[key] for key in OLLAMA_RESPONSE if key != "message"}
    return [
        line(thinking="h"),
        line(thinking="m"),
        line(content="It is "),
        line(content="warm."),
        line(tool_calls=OLLAMA_RESPONSE["message"]["tool_calls"]),
        {**last, "message": {"role": "assistant", "content": ""}},
    ]


OLLAMA_STREAM = "".join(json.dumps(line) + "\n" for line in _ollama_lines()).encode()
OLLAMA_GENERATE_STREAM = (
    b'{"model":"llama3.2","created_at":"2023-08-04T19:22:45Z","response":"The ","done":false}\n'
    b'{"model":"llama3.2","created_at":"2023-08-04T19:22:45Z","response":"sky","done":false}\n'
    b'{"model":"llama3.2","created_at":"2023-08-04T19:22:45Z","response":"","done":true,"done_reason":"stop",'
    b'"context":[1,2,3],"prompt_eval_count":26,"eval_count":2}\n'
)

CONVERSE_PATH = "/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"
CONVERSE_REQUEST: dict[str, Any] = {
    "system": [{"text": "Be brief."}, {"cachePoint": {"type": "default", "ttl": "1h"}}],
    "messages": [
        {"role": "user", "content": [{"text": "Hi"}, {"image": {"format": "png", "source": {"bytes": PNG}}}]},
        {
            "role": "assistant",
            "content": [
                {"reasoningContent": {"reasoningText": {"text": "think", "signature": "sig"}}},
                {"toolUse": {"toolUseId": "tooluse_1", "name": "weather", "input": {"city": "Bonn"}}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "toolResult": {
                        "toolUseId": "tooluse_1",
                        "content": [{"json": {"t": 20}}, {"text": "warm"}],
                        "status": "success",
                    }
                },
                {"cachePoint": {"type": "default"}},
            ],
        },
    ],
    "inferenceConfig": {"maxTokens": 512, "temperature": 0.5, "topP": 0.9, "stopSequences": ["x"]},
    "toolConfig": {
        "tools": [
            {"toolSpec": {"name": "weather", "description": "d", "inputSchema": {"json": SCHEMA}}},
            {"cachePoint": {"type": "default"}},
        ],
        "toolChoice": {"any": {}},
    },
}
CONVERSE_RESPONSE: dict[str, Any] = {
    "output": {
        "message": {
            "role": "assistant",
            "content": [
                {"reasoningContent": {"reasoningText": {"text": "think", "signature": "sig"}}},
                {"text": "Warm."},
                {"toolUse": {"toolUseId": "tooluse_2", "name": "weather", "input": {"city": "Bonn"}}},
            ],
        }
    },
    "stopReason": "tool_use",
    "usage": {
        "inputTokens": 30,
        "outputTokens": 60,
        "totalTokens": 1190,
        "cacheReadInputTokens": 1000,
        "cacheWriteInputTokens": 100,
        "cacheDetails": [{"ttl": "1h", "inputTokens": 100}],
    },
    "metrics": {"latencyMs": 1275},
}


def aws(name: str, payload: dict[str, Any]) -> bytes:
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    return encode_message(json.dumps(payload).encode(), headers)


CONVERSE_STREAM = b"".join(
    [
        aws("messageStart", {"role": "assistant"}),
        aws("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "think"}}}),
        aws("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"signature": "sig"}}}),
        aws("contentBlockStop", {"contentBlockIndex": 0}),
        aws("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"text": "War"}}),
        aws("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"text": "m."}}),
        aws("contentBlockStop", {"contentBlockIndex": 1}),
        aws(
            "contentBlockStart",
            {"contentBlockIndex": 2, "start": {"toolUse": {"toolUseId": "tooluse_2", "name": "weather"}}},
        ),
        aws("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"toolUse": {"input": '{"city":'}}}),
        aws("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"toolUse": {"input": '"Bonn"}'}}}),
        aws("contentBlockStop", {"contentBlockIndex": 2}),
        aws("messageStop", {"stopReason": "tool_use"}),
        aws("metadata", {"usage": CONVERSE_RESPONSE["usage"], "metrics": {"latencyMs": 1275}}),
    ]
)


def invoke_stream(events: bytes) -> bytes:
    """Anthropic's events as InvokeModelWithResponseStream wraps them."""
    out = []
    for line in events.split(b"\n"):
        if line.startswith(b"data: "):
            out.append(aws("chunk", {"bytes": base64.b64encode(line[6:]).decode(), "p": "abcdef"}))
    return b"".join(out)


INVOKE_STREAM = invoke_stream(ANTHROPIC_STREAM)

AMAZON_Q_REQUEST: dict[str, Any] = {
    "conversationState": {
        "conversationId": "9a0c",
        "chatTriggerType": "MANUAL",
        "history": [
            {"userInputMessage": {"content": "List files", "origin": "CLI"}},
            {
                "assistantResponseMessage": {
                    "messageId": "m1",
                    "content": "Listing.",
                    "toolUses": [{"toolUseId": "tooluse_1", "name": "fs_read", "input": {"path": "."}}],
                }
            },
        ],
        "currentMessage": {
            "userInputMessage": {
                "content": "",
                "modelId": "claude-sonnet-4.5",
                "origin": "CLI",
                "userInputMessageContext": {
                    "envState": {"operatingSystem": "linux", "currentWorkingDirectory": "/src"},
                    "toolResults": [
                        {"toolUseId": "tooluse_1", "content": [{"json": {"files": ["a"]}}], "status": "success"}
                    ],
                    "tools": [
                        {
                            "toolSpecification": {
                                "name": "fs_read",
                                "description": "Reads",
                                "inputSchema": {"json": SCHEMA},
                            }
                        }
                    ],
                },
            }
        },
    },
    "profileArn": "arn:aws:codewhisperer:us-east-1:1:profile/A",
}
AMAZON_Q_STREAM = b"".join(
    [
        aws("initial-response", {}),
        aws("messageMetadataEvent", {"conversationId": "9a0c", "utteranceId": "u-1"}),
        aws("assistantResponseEvent", {"content": "There is ", "modelId": "claude-sonnet-4.5"}),
        aws("assistantResponseEvent", {"content": "one."}),
        aws("toolUseEvent", {"toolUseId": "tooluse_2", "name": "fs_read"}),
        aws("toolUseEvent", {"toolUseId": "tooluse_2", "name": "fs_read", "input": '{"path":'}),
        aws("toolUseEvent", {"toolUseId": "tooluse_2", "name": "fs_read", "input": '"a"}'}),
        aws("toolUseEvent", {"toolUseId": "tooluse_2", "name": "fs_read", "stop": True}),
        aws("meteringEvent", {"unit": "credit", "usage": 0.04}),
        aws(
            "metadataEvent",
            {"tokenUsage": {"uncachedInputTokens": 5, "outputTokens": 7, "cacheReadInputTokens": 100}},
        ),
    ]
)

COMPLETIONS_STREAM = sse(
    {
        "id": "cmpl-1",
        "object": "text_completion",
        "model": "gpt-3.5-turbo-instruct",
        "choices": [{"index": 0, "text": "Hel", "finish_reason": None}],
    },
    {
        "id": "cmpl-1",
        "object": "text_completion",
        "model": "gpt-3.5-turbo-instruct",
        "choices": [{"index": 0, "text": "lo", "finish_reason": "stop"}],
    },
    {"id": "cmpl-1", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}},
    "[DONE]",
)

REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    ("anthropic", "/v1/messages", ANTHROPIC_REQUEST),
    ("openai_chat", "/v1/chat/completions", CHAT_REQUEST),
    ("openai_responses", "/v1/responses", RESPONSES_REQUEST),
    ("gemini", GEMINI_PATH, GEMINI_REQUEST),
    ("gemini", "/v1internal:streamGenerateContent?alt=sse", GEMINI_ENVELOPE),
    ("ollama", "/api/chat", OLLAMA_REQUEST),
    ("bedrock", CONVERSE_PATH, CONVERSE_REQUEST),
    ("amazon_q", "/generateAssistantResponse", AMAZON_Q_REQUEST),
]
RESPONSES: list[tuple[str, dict[str, Any]]] = [
    ("anthropic", ANTHROPIC_RESPONSE),
    ("openai_chat", CHAT_RESPONSE),
    ("openai_responses", RESPONSES_RESPONSE),
    ("gemini", GEMINI_RESPONSE),
    ("ollama", OLLAMA_RESPONSE),
    ("bedrock", CONVERSE_RESPONSE),
]
STREAMS: list[tuple[str, str, bytes]] = [
    ("anthropic", "text/event-stream", ANTHROPIC_STREAM),
    ("openai_chat", "text/event-stream; charset=utf-8", CHAT_STREAM),
    ("openai_responses", "text/event-stream", RESPONSES_STREAM),
    ("gemini", "text/event-stream", GEMINI_STREAM),
    ("gemini", "application/json", GEMINI_ARRAY),
    ("gemini", "text/event-stream", GEMINI_ENVELOPE_STREAM),
    ("ollama", "application/x-ndjson", OLLAMA_STREAM),
    ("ollama", "application/x-ndjson", OLLAMA_GENERATE_STREAM),
    ("bedrock", "application/vnd.amazon.eventstream", CONVERSE_STREAM),
    ("bedrock", "application/vnd.amazon.eventstream", INVOKE_STREAM),
    ("amazon_q", "application/vnd.amazon.eventstream", AMAZON_Q_STREAM),
    ("openai_completions", "text/event-stream", COMPLETIONS_STREAM),
]
FIVE = ("anthropic", "openai_chat", "openai_responses", "gemini", "ollama")
