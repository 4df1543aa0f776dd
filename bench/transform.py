"""What a translation costs: a request of 1 MB in each pair of dialects, and an event of a stream.

    python bench/transform.py [--json]

The bar for a request is 60 ms in full, from the client's bytes to the upstream's. An event's share is what it takes to
read it, tell it in the other dialect and write it, and is compared with nothing: it is for the stream's delay.
"""

from __future__ import annotations

import gc
import json
import statistics
import sys
import time
from collections.abc import Callable

from ccinspect.pipeline.message import Headers, Outgoing
from ccinspect.transform.destinations import Destination
from ccinspect.transform.needs import ClientNeeds
from ccinspect.transform.request import translate_request
from ccinspect.transform.response import ResponseTranslator
from ccinspect.wire.events import BlockDelta, BlockStart, MessageStart
from ccinspect.wire.model import Message, Request, Sampling, Text, Tool, ToolCall, ToolResult
from ccinspect.wire.registry import DIALECTS

BAR_MS = 60.0
ROUNDS = 7
EVENTS = 5_000
SIZE = 1_000_000
PATHS = {
    "anthropic": "/v1/{action}",
    "openai_chat": "/v1/{action}",
    "openai_responses": "/v1/{action}",
    "gemini": "/v1beta/models/{model}:{action}",
    "ollama": "/{action}",
}
_LINE = '    return [item for item in values if item.name != "é"]  # keeps what is asked for\n'


def conversation() -> Request:
    """An agent's request: 25 tools, and turns of a call and its result until it is large enough."""
    schema = {"type": "object", "properties": {"path": {"type": "string", "description": "Where " * 20}}}
    tools = tuple(Tool(f"tool_{number}", "Does a thing. " * 30, schema) for number in range(25))
    messages: list[Message] = []
    for turn in range(SIZE // 4_000):
        messages.append(Message("user", (Text(f"Please look at file {turn}. " * 10),)))
        call = ToolCall(f"call_{turn}", "tool_1", {"path": f"/src/{turn}.py", "limit": turn})
        messages.append(Message("assistant", (Text("I will read it."), call)))
        messages.append(Message("tool", (ToolResult(f"call_{turn}", "tool_1", (Text(_LINE * 40),)),)))
    return Request(
        "elsewhere",
        model="model-a",
        system=(Text("You are an agent. " * 500),),
        messages=tuple(messages),
        tools=tools,
        sampling=Sampling(max_tokens=8_000),
        stream=True,
    )


def native(dialect: str) -> Outgoing:
    encode = DIALECTS[dialect].encode_request
    assert encode is not None
    encoded = encode(conversation())
    return Outgoing("POST", "https", "h.example", 443, encoded.path, Headers(), encoded.data())


def best_ms(work: Callable[[], object]) -> float:
    """Milliseconds of the median round."""
    spent = []
    for _ in range(ROUNDS):
        gc.collect()
        started = time.perf_counter()
        work()
        spent.append((time.perf_counter() - started) * 1_000)
    return statistics.median(spent)


def request_ms(source: str, target: str) -> float:
    outgoing = native(source)
    assert outgoing.body is not None
    assert len(outgoing.body) >= SIZE
    there = Destination("p", "https", "u.example", 443, PATHS[target], target, "model-b")
    return best_ms(lambda: translate_request(outgoing, source, there))


def event_us(upstream: str, client: str) -> float:
    """Microseconds for one event of text, each in a chunk of its own."""
    make = DIALECTS[upstream].open_encoder
    assert make is not None
    encoder = make(upstream)
    head = encoder.feed([MessageStart("id", "m"), BlockStart(0, Text())])
    chunks = [encoder.feed([BlockDelta(0, "text", f" word{number}")]) for number in range(EVENTS)]

    def tell() -> None:
        needs = ClientNeeds(client, upstream, stream=True)
        told = ResponseTranslator(needs, now=0, unique="u").stream(
            "application/x-ndjson" if upstream == "ollama" else "text/event-stream"
        )
        told.feed(head)
        for chunk in chunks:
            told.feed(chunk)

    return best_ms(tell) * 1_000 / EVENTS


def main() -> int:
    requests = {f"{source} -> {target}": request_ms(source, target) for source in PATHS for target in PATHS}
    events = {f"{source} -> {target}": event_us(source, target) for source in PATHS for target in PATHS}
    if "--json" in sys.argv:
        print(json.dumps({"request_ms": requests, "event_us": events, "bar_ms": BAR_MS}))
    else:
        print(f"{'':36}{'request of 1 MB':>16}{'an event':>12}")
        for pair, spent in requests.items():
            print(f"{pair:36}{spent:13.1f} ms{events[pair]:9.1f} us")
    return 0 if max(requests.values()) <= BAR_MS else 1


if __name__ == "__main__":
    sys.exit(main())
