"""How fast streams are decoded: bytes to events to the answer so far, per dialect, on one core.

    python bench/wire.py [--json]

The bar is 15 MB/s for each dialect, with chunks of 16 kB. Streams are long answers in small
deltas, as models send them.
"""

from __future__ import annotations

import base64
import gc
import json
import sys
import time
from collections.abc import Callable

from ccinspect.wire.eventstream import encode_message
from ccinspect.wire.model import Outcome
from ccinspect.wire.registry import DIALECTS

BAR_MB_S = 15.0
CHUNK = 16 * 1024
EVENTS = 60_000
ROUNDS = 3
WORDS = ["", "The", "quick", "brown", "fox", "jumps"]


def _sse(*events: dict[str, object], named: bool = True) -> str:
    lines = []
    for event in events:
        name = f"event: {event['type']}\n" if named else ""
        lines.append(f"{name}data: {json.dumps(event, separators=(',', ':'))}\n\n")
    return "".join(lines)


def anthropic() -> bytes:
    usage = {"input_tokens": 10, "output_tokens": 1}
    message = {"id": "msg_01", "type": "message", "role": "assistant", "model": "claude", "content": [], "usage": usage}
    deltas = [
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "text_delta", "text": f" {WORDS[n % 5]}{WORDS[n % 3]} "},
        }
        for n in range(EVENTS)
    ]
    return _sse(
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *deltas,
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage},
        {"type": "message_stop"},
    ).encode()


def openai_chat() -> bytes:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-5", "usage": None}

    def chunk(delta: dict[str, object], finish: str | None) -> dict[str, object]:
        return {**head, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]}

    deltas = [chunk({"content": f" {WORDS[n % 5]}"}, None) for n in range(EVENTS)]
    text = _sse(chunk({"role": "assistant", "content": ""}, None), *deltas, chunk({}, "stop"), named=False)
    return (text + "data: [DONE]\n\n").encode()


def openai_responses() -> bytes:
    response = {"id": "resp_1", "object": "response", "status": "in_progress", "model": "gpt-5", "output": []}
    place = {"item_id": "msg_68a0b1", "output_index": 0, "content_index": 0}
    item = {"type": "message", "id": "msg_68a0b1", "role": "assistant", "status": "in_progress", "content": []}
    deltas = [
        {
            "type": "response.output_text.delta",
            "sequence_number": n,
            **place,
            "delta": f" {WORDS[n % 5]}",
            "logprobs": [],
            "obfuscation": "aBcDeFgH",
        }
        for n in range(EVENTS)
    ]
    part = {"type": "output_text", "text": "", "annotations": []}
    return _sse(
        {"type": "response.created", "response": response},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.content_part.added", **place, "part": part},
        *deltas,
        {"type": "response.completed", "response": {**response, "status": "completed"}},
    ).encode()


def gemini() -> bytes:
    def chunk(text: str, finish: str | None) -> dict[str, object]:
        candidate: dict[str, object] = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
        if finish:
            candidate["finishReason"] = finish
        usage = {"promptTokenCount": 10, "candidatesTokenCount": 20, "totalTokenCount": 30}
        return {
            "candidates": [candidate],
            "usageMetadata": usage,
            "modelVersion": "gemini-2.5-pro",
            "responseId": "cX3SaLqSGvTxxN8P",
        }

    chunks = [chunk(f" {WORDS[n % 5]}" * 8, None) for n in range(EVENTS)]
    return _sse(*chunks, chunk("", "STOP"), named=False).encode()


def ollama() -> bytes:
    def line(content: str, **more: object) -> str:
        head = {"model": "qwen3:8b", "created_at": "2025-10-26T17:15:24.097767Z"}
        return json.dumps({**head, "message": {"role": "assistant", "content": content}, "done": False, **more}) + "\n"

    lines = [line(f" {WORDS[n % 5]}") for n in range(EVENTS)]
    return "".join([*lines, line("", done=True, done_reason="stop", eval_count=5)]).encode()


def bedrock() -> bytes:
    out = []
    for line in anthropic().split(b"\n"):
        if line.startswith(b"data: "):
            payload = json.dumps({"bytes": base64.b64encode(line[6:]).decode(), "p": "abcdefghijklmnop"}).encode()
            headers = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}
            out.append(encode_message(payload, headers))
    return b"".join(out)


CASES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "anthropic": ("text/event-stream", anthropic),
    "openai_chat": ("text/event-stream", openai_chat),
    "openai_responses": ("text/event-stream", openai_responses),
    "gemini": ("text/event-stream", gemini),
    "ollama": ("application/x-ndjson", ollama),
    "bedrock": ("application/vnd.amazon.eventstream", bedrock),
}


def measure(dialect: str, content_type: str, data: bytes) -> float:
    """Best of some rounds, in MB per second of CPU time: other work on the machine does not count."""
    best = 0.0
    for _ in range(ROUNDS):
        gc.collect()
        started = time.process_time()
        stream = DIALECTS[dialect].open_stream(content_type)
        for start in range(0, len(data), CHUNK):
            stream.feed(data[start : start + CHUNK])
        response = stream.close("eof")
        took = time.process_time() - started
        assert response.outcome is Outcome.COMPLETE, response.outcome
        best = max(best, len(data) / took / 1e6)
    return best


def main() -> None:
    rates = {}
    for dialect, (content_type, make) in CASES.items():
        data = make()
        rates[dialect] = measure(dialect, content_type, data)
        if "--json" not in sys.argv:
            print(f"{dialect:18} {len(data) / 1e6:6.1f} MB  {rates[dialect]:6.1f} MB/s")
    if "--json" in sys.argv:
        print(json.dumps({name: round(rate, 1) for name, rate in rates.items()}))
    if any(rate < BAR_MB_S for rate in rates.values()):
        raise SystemExit(f"below the bar of {BAR_MB_S} MB/s")


if __name__ == "__main__":
    main()
