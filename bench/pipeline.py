"""What hooks cost a request: none, five small ones, one in a thread, and one that changes a body of 1 MB.

    python -m bench.pipeline [--json]

The bars: no hooks below 2 us, five small header hooks below 150 us.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from ccinspect.pipeline.context import Context
from ccinspect.pipeline.declaration import Hook, Stage, hook
from ccinspect.pipeline.message import Facts, Headers, Outgoing
from ccinspect.pipeline.order import Step
from ccinspect.pipeline.pipeline import Pipeline
from ccinspect.wire.jsonedit import rewrite
from ccinspect.wire.jsontext import parse

FACTS = Facts("flow", "reverse", agent="claude-code", provider="anthropic", dialect="anthropic", kind="generate")
FIELDS = tuple((f"x-header-{n}".encode(), b"value") for n in range(20))
BARS = {"no hooks": 2.0, "five small header hooks": 150.0}


def small(number: int) -> Hook:
    @hook(writes=(f"headers.x-header-{number}",), inline=True, name=f"small{number}")
    def change(ctx: Context) -> None:
        ctx.headers.set(f"x-header-{number}", "changed")

    return change


@hook(reads=("headers",), writes=("headers.x-new",))
def in_a_thread(ctx: Context) -> None:
    ctx.headers.set("x-new", "1")


@hook(reads=("headers",), writes=("headers.x-new",))
async def in_the_other_loop(ctx: Context) -> None:
    ctx.headers.set("x-new", "1")


@hook(reads=("body",), writes=("body",))
def last_message(ctx: Context) -> None:
    ctx.json["messages"][-1]["content"] = "changed"


def request(body: bytes | None = None) -> Outgoing:
    return Outgoing("POST", "https", "api.anthropic.com", 443, "/v1/messages", Headers(FIELDS), body)


def big_body() -> bytes:
    messages = [{"role": "user", "content": [{"type": "text", "text": f"word {n} " * 300}]} for n in range(400)]
    return json.dumps({"model": "claude", "max_tokens": 10, "messages": messages}).encode()


def best(times: list[float]) -> float:
    """Microseconds of a typical one: the median of the quickest half."""
    return sorted(times)[len(times) // 4] * 1e6


async def run(hooks: list[Hook], outgoing: Outgoing, rounds: int) -> float:
    stage: Stage = "outbound"
    pipeline = Pipeline({stage: [Step(each.name, each, None, 5.0) for each in hooks]})
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        result = await pipeline.run(stage, outgoing, FACTS)
        times.append(time.perf_counter() - started)
        assert all(record.state == "ran" for record in result.records)
    pipeline.close()
    return best(times)


def timed_rewrite(body: bytes, rounds: int) -> float:
    before, after = parse(body)[0], parse(body)[0]
    after["messages"][-1]["content"] = "changed"
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        rewrite(body, before, after)
        times.append(time.perf_counter() - started)
    return best(times)


async def measure() -> dict[str, float]:
    body = big_body()
    return {
        "no hooks": await run([], request(), 20_000),
        "five small header hooks": await run([small(n) for n in range(5)], request(), 2_000),
        "one hook in a thread": await run([in_a_thread], request(), 1_000),
        "one coroutine": await run([in_the_other_loop], request(), 1_000),
        f"one change in a body of {len(body) / 1e6:.1f} MB": await run([last_message], request(body), 20),
        "  of it: writing the change": timed_rewrite(body, 20),
    }


def main() -> int:
    figures = asyncio.run(measure())
    if "--json" in sys.argv:
        print(json.dumps(figures))
    else:
        for what, micros in figures.items():
            bar = f"   bar {BARS[what]:g} us" if what in BARS else ""
            print(f"{what:40} {micros:10.1f} us{bar}")
    return int(any(figures[what] > bar for what, bar in BARS.items()))


if __name__ == "__main__":
    sys.exit(main())
