"""Every client dialect against every upstream dialect, whole and streamed, judged by the official SDKs.

    python -m tests.transform.matrix

prints the table: a row for each client, a column for each upstream; in each field, of 8 exchanges (text, tools, images,
thinking; buffered and streamed) how many are right. An exchange is right when the upstream's SDK types accept the
request, the client's SDK parses the answer, and the content of both is what was said.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ccinspect.pipeline.message import Headers, Outgoing
from ccinspect.transform.destinations import Destination
from ccinspect.transform.request import Translated, translate_request
from ccinspect.transform.response import ResponseTranslator
from ccinspect.wire.codec import hoist_system
from ccinspect.wire.model import Block, Media, Request, Text, Thinking, ToolCall, ToolResult
from ccinspect.wire.registry import DIALECTS as CODECS
from tests.transform import natives
from tests.wire import judges
from tests.wire.samples import PNG

PATHS = {
    "anthropic": "/v1/{action}",
    "openai_chat": "/v1/{action}",
    "openai_responses": "/v1/{action}",
    "gemini": "/v1beta/models/{model}:{action}",
    "ollama": "/{action}",
}


@dataclass(frozen=True)
class Exchange:
    client: str
    upstream: str
    scene: str
    stream: bool

    def __str__(self) -> str:
        return f"{self.client}-{self.upstream}-{self.scene}-{'stream' if self.stream else 'buffered'}"


def exchanges() -> Iterator[Exchange]:
    for client in natives.DIALECTS:
        for upstream in natives.DIALECTS:
            for scene in natives.SCENES:
                yield from (Exchange(client, upstream, scene, stream) for stream in (False, True))


def destination(dialect: str, **more: Any) -> Destination:
    return Destination("p", "https", "upstream.example", 443, PATHS[dialect], dialect, "model-b", **more)


def sent(exchange: Exchange) -> Translated:
    body = json.dumps(natives.request(exchange.client, exchange.scene, exchange.stream)).encode()
    path = natives.path_of(exchange.client, exchange.stream)
    outgoing = Outgoing("POST", "https", "client.example", 443, path, Headers(), body)
    return translate_request(outgoing, exchange.client, destination(exchange.upstream))


def answered(exchange: Exchange, translated: Translated) -> bytes:
    """What the client gets, body only; a stream in pieces of 7 bytes."""
    if not translated.client.translates:
        make = natives.stream if exchange.stream else natives.answer
        return make(exchange.upstream, exchange.scene)
    kind = natives.content_type(exchange.upstream, exchange.stream)
    headers = Headers(((b"content-type", kind.encode()),))
    translator = ResponseTranslator(translated.client, translated.diagnostics, now=1_700_000_000, unique="u1")
    assert translator.streams(200, headers) is exchange.stream
    if not exchange.stream:
        status, _, body, _ = translator.buffered(200, headers, natives.answer(exchange.upstream, exchange.scene))
        assert status == 200
        return body
    data = natives.stream(exchange.upstream, exchange.scene)
    told = translator.stream(kind)
    return b"".join([*(told.feed(data[at : at + 7]) for at in range(0, len(data), 7)), told.close()])


def check(exchange: Exchange) -> None:
    """Raises AssertionError, or what an SDK raises, when the exchange is not right."""
    translated = sent(exchange)
    outgoing = translated.outgoing
    assert outgoing.body is not None
    judges.accept_request(exchange.upstream, json.loads(outgoing.body))
    told = CODECS[exchange.upstream].decode_request(outgoing.body, outgoing.path)
    assert history(told) == expected_history(exchange.scene)
    assert [(tool.name, tool.description, tool.schema) for tool in told.tools] == (
        list(natives.TOOLS) if exchange.scene == "tools" else []
    )
    assert (told.model, told.stream, told.sampling.max_tokens) == ("model-b", exchange.stream, 4096)
    # OpenAI has no word for thinking of no told amount: its models think anyway.
    unsaid = any("thinking without" in note.message for note in translated.diagnostics)
    assert (told.reasoning is not None or unsaid) is (exchange.scene == "thinking")
    lost = [note for note in translated.diagnostics if note.severity != "info" and note.code not in _MAY_BE_LOST]
    assert not lost
    check_answer(exchange, answered(exchange, translated))


# A budget of tokens as one of three words; the summary of thoughts that Chat Completions never shows.
_MAY_BE_LOST = {"value_changed", "parameter_dropped"}


def check_answer(exchange: Exchange, data: bytes) -> None:
    codec = CODECS[exchange.client]
    if exchange.stream:
        parsed = judges.STREAMS[exchange.client](data)
        decoder = codec.open_stream(natives.content_type(exchange.client, True))
        decoder.feed(data)
        raw = decoder.close()
    else:
        parsed = judges.parse_response(exchange.client, json.loads(data))
        raw = codec.decode_response(data, 200)
    response = codec.decode_response(json.dumps(parsed).encode(), 200)
    # Chat Completions has thinking only beside the types of its SDK, whose stream does not show it.
    shown = not (exchange.client == "openai_chat" and exchange.stream)
    assert saids(response.blocks) == expected_answer(exchange.scene, shown)
    assert saids(raw.blocks) == expected_answer(exchange.scene)
    assert all(block.id for block in raw.blocks if isinstance(block, ToolCall))
    assert response.usage is not None
    assert (response.usage.total_input, response.usage.output) == (100, 20)
    assert response.stop_reason == ("tool_use" if exchange.scene == "tools" else "end_turn")


def history(request: Request) -> list[tuple[Any, ...]]:
    system, messages = hoist_system(request)
    out = [("system", *said(block)) for block in system]
    for message in messages:
        side = "assistant" if message.role == "assistant" else "user"
        out += [(side, *said(block)) for block in message.blocks]
    return out


def saids(blocks: tuple[Block, ...]) -> list[tuple[Any, ...]]:
    # Gemini's own streams end with an empty part.
    return [said(block) for block in blocks if not (isinstance(block, Text) and not block.text)]


def said(block: Block) -> tuple[Any, ...]:
    if isinstance(block, Text):
        return ("text", block.text)
    if isinstance(block, Thinking):
        return ("thinking", block.text)
    if isinstance(block, Media):
        return (block.kind, block.data)
    if isinstance(block, ToolCall):
        arguments = block.arguments
        return ("call", block.name, arguments)
    assert isinstance(block, ToolResult)
    return ("result", block.call_id, *[said(item) for item in block.content])


def expected_history(scene: str) -> list[tuple[Any, ...]]:
    out: list[tuple[Any, ...]] = [("system", "text", natives.SYSTEM), ("user", "text", natives.ASKED)]
    if scene == "images":
        out.append(("user", "image", PNG))
    if scene == "tools":
        out += [("assistant", "call", name, arguments) for _, name, arguments in natives.CALLS]
        results = zip(natives.CALLS, natives.RESULTS, strict=True)
        out += [("user", "result", call[0], ("text", text)) for call, text in results]
    return out


def expected_answer(scene: str, thinks: bool = True) -> list[tuple[Any, ...]]:
    if scene == "tools":
        return [("call", name, arguments) for _, name, arguments in natives.CALLS]
    thought = [("thinking", natives.THOUGHT)] if scene == "thinking" and thinks else []
    return [*thought, ("text", natives.ANSWER)]


def main() -> int:
    wrong: dict[Exchange, Exception] = {}
    everything = list(exchanges())
    for exchange in everything:
        try:
            check(exchange)
        except Exception as error:
            wrong[exchange] = error
    width = max(map(len, natives.DIALECTS)) + 2
    print("client \\ upstream".ljust(width + 2) + "".join(name.rjust(width) for name in natives.DIALECTS))
    for client in natives.DIALECTS:
        row = client.ljust(width + 2)
        for upstream in natives.DIALECTS:
            mine = [exchange for exchange in everything if (exchange.client, exchange.upstream) == (client, upstream)]
            row += f"{sum(exchange not in wrong for exchange in mine)}/{len(mine)}".rjust(width)
        print(row)
    print(f"\n{len(everything) - len(wrong)} of {len(everything)} exchanges are right")
    for exchange, problem in wrong.items():
        print(f"  {exchange}: {type(problem).__name__}: {str(problem)[:200]}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
