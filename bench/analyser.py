"""How long the analyser takes: `python bench/analyser.py`.

Measures the CPU time of analysing an 800 KB agent conversation at first sight, and of its next turn once its blocks are
counted; and of hostile texts. Exits with 1 when a bar is missed.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ccinspect
from ccinspect.analyser import encodings
from ccinspect.analyser.analyse import Analyser, Exchange
from ccinspect.analyser.tokens import TokenCounter
from ccinspect.analyser.turns import MemoryIndex
from ccinspect.wire.anthropic import decode
from ccinspect.wire.model import Request, Response, Text, ToolCall, Usage

SIZE = 800_000
FIRST_SIGHT, NEXT_TURN, HOSTILE = 0.250, 0.025, 2.0
MODEL = "claude-sonnet-4-5-20250929"


def conversation(size: int) -> dict[str, Any]:
    """A Messages request of about `size` bytes: the package's own source, read and grepped file by file."""
    randomness = random.Random(7)
    source = "\n".join(path.read_text() for path in sorted(Path(ccinspect.__path__[0]).rglob("*.py")))
    lines = source.split("\n")
    messages: list[dict[str, Any]] = [{"role": "user", "content": [{"type": "text", "text": "Find the bug, please."}]}]
    length = 40_000
    while length < size:
        start, count = randomness.randrange(len(lines)), randomness.choice((5, 30, 60, 120))
        result = "\n".join(f"{at}\t{lines[at % len(lines)]}" for at in range(start, start + count))
        number = len(messages)
        name, arguments = ("Read", {"file_path": f"/src/m{number}.py", "offset": start, "limit": count})
        if number % 3 == 0:
            name, arguments = "Bash", {"command": f"cd /src && grep -rn 'def f{number}' . | head -{count}"}
        call = {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": arguments}
        messages.append({"role": "assistant", "content": [{"type": "text", "text": f"Let me look at {number}."}, call]})
        answer = {"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": result}
        messages.append({"role": "user", "content": [answer]})
        length += len(json.dumps(messages[-2:]))
    messages[-1]["content"][-1]["cache_control"] = {"type": "ephemeral"}
    tools = [
        {
            "name": f"Tool{at}" if at < 12 else f"mcp__server{at % 3}__tool{at}",
            "description": " ".join(randomness.choices(source.split(), k=180)),
            "input_schema": {"type": "object", "properties": {"path": {"type": "string", "description": "A path"}}},
        }
        for at in range(24)
    ]
    system = [{"type": "text", "text": source[:14_000], "cache_control": {"type": "ephemeral"}}]
    user = json.dumps({"session_id": "0b5c0f7e-0000-4000-8000-000000000000"})
    return {"model": MODEL, "system": system, "tools": tools, "messages": messages, "metadata": {"user_id": user}}


def next_turn(body: dict[str, Any]) -> dict[str, Any]:
    call = {"type": "tool_use", "id": "toolu_next", "name": "Bash", "input": {"command": "git status"}}
    answer = {"type": "tool_result", "tool_use_id": "toolu_next", "content": "On branch main\nnothing to commit\n" * 20}
    more = [{"role": "assistant", "content": [call]}, {"role": "user", "content": [answer]}]
    return {**body, "messages": [*body["messages"], *more]}


def response(turn: int) -> Response:
    blocks = (Text("I see."), ToolCall(id="toolu_next", name="Bash", arguments={"command": "git status"}))
    usage = Usage(input=400, cache_read=0 if turn == 0 else 250_000, cache_write_5m=250_000, output=60)
    return Response("anthropic", id=f"msg_{turn}", model=MODEL, blocks=blocks, usage=usage)


def timed(action: Callable[[], object]) -> float:
    start = time.process_time()
    action()
    return time.process_time() - start


def one_round(data: bytes, more: bytes) -> dict[str, float]:
    index = MemoryIndex()
    analyser = Analyser(index, TokenCounter())
    start = time.process_time()
    request = decode.decode_request(data, "/v1/messages")
    decoded = time.process_time()
    index.add(analyser.analyse(Exchange("flow-0", request, response(0), 0.0, "anthropic")).turn)
    first = time.process_time()
    request = decode.decode_request(more, "/v1/messages")
    again = time.process_time()
    analyser.analyse(Exchange("flow-1", request, response(1), 9.0, "anthropic"))
    end = time.process_time()
    return {"decode": decoded - start, "first sight": first - decoded, "next turn": end - again}


def measure_turns(rounds: int = 5) -> dict[str, float]:
    body = conversation(SIZE)
    data, more = json.dumps(body).encode(), json.dumps(next_turn(body)).encode()
    print(f"conversation: {len(data):,} bytes, {len(body['messages'])} messages")
    times: dict[str, list[float]] = {"decode": [], "first sight": [], "next turn": []}
    for _ in range(rounds):
        for name, seconds in one_round(data, more).items():
            times[name].append(seconds)
    return {name: statistics.median(values) for name, values in times.items()}


def measure_hostile() -> dict[str, float]:
    letters = random.Random(1).choices("abcdefghijklmnopqrstuvwxyz", k=20_000)
    texts = {
        "20,000 letters": "".join(letters),
        "a million spaces": " " * 1_000_000 + "x",
        "a million accents": "\u0301" * 1_000_000,
        "unclosed fences": "```a.py\n" * 500_000,
        "unclosed tags": "<file path='x'>" * 500_000,
        "100 MB of words": "some words " * 9_100_000,
    }
    times = {}
    for name, text in texts.items():
        counter = TokenCounter()
        request = Request("anthropic", model=MODEL, system=(Text(text),))
        times[name] = timed(lambda: Analyser(counter=counter).analyse(Exchange("f", request, None, 0.0)))  # noqa: B023
    return times


def main() -> int:
    print(f"loading the vocabulary, once a process: {timed(lambda: encodings.load('o200k_base')) * 1000:.0f} ms")
    Analyser().analyse(Exchange("warm", Request("anthropic", model=MODEL), response(0), 0.0, "anthropic"))
    turns = measure_turns()
    bars = {"first sight": FIRST_SIGHT, "next turn": NEXT_TURN}
    missed = 0
    for name, seconds in turns.items():
        bar = bars.get(name)
        missed += bar is not None and seconds > bar
        print(f"{name:24} {seconds * 1000:8.1f} ms" + (f"   bar {bar * 1000:.0f} ms" if bar else ""))
    for name, seconds in measure_hostile().items():
        missed += seconds > HOSTILE
        print(f"{name:24} {seconds * 1000:8.1f} ms   bar {HOSTILE * 1000:.0f} ms")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
