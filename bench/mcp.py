"""What MCP costs: the traffic beside it, and whoever asks. `python -m bench.mcp` prints rows of docs/benchmarks.md.

A store of 100,000 flows, one in twenty a call to a model, in conversations of ten turns. Delay of traffic: one daemon
gets the same small requests by turns, alone and while a client asks one tool after the other. First pages: each tool
that lists, asked over HTTP while nothing else happens.
"""

from __future__ import annotations

import asyncio
import http.client
import itertools
import json
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from bench.beside import Beside
from bench.latency import Seconds, percentile, request_times
from bench.latency import conversation as prose
from bench.servers import Instance, free_port, upstream
from bench.store import flow
from bench.table import Row, report
from ccinspect.analysis.options import AnalysisOptions
from ccinspect.analysis.query import open_analysis
from ccinspect.store.options import StoreOptions
from ccinspect.store.recorder import Recorder

FLOWS, ONE_IN, TURNS, RUNS, HOSTS = 100_000, 20, 10, 200, 50
DELAY, PAGE = 1.2, 0.100
ROUNDS, REQUESTS, ASKED = 11, 2_000, 9
_FLUSH_SECONDS = 300.0

LISTING: tuple[tuple[str, dict[str, Any]], ...] = (
    ("search_flows", {}),
    ("search_flows", {"host": "host-7.example"}),
    ("search_flows", {"errors": True}),
    ("search_flows", {"model_calls": True}),
    ("runs", {}),
    ("conversations", {}),
    ("usage_report", {}),
    ("usage_report", {"by": "tool"}),
    ("usage_report", {"by": "host"}),
    ("list_models", {}),
    ("limits", {}),
    ("query", {"sql": "SELECT model, sum(dollars) FROM spend GROUP BY model"}),
)
"""First pages, as a model asks for them."""
READING: tuple[tuple[str, dict[str, Any]], ...] = (
    ("context_breakdown", {}),
    ("search_flows", {"jq": "map(select(.response.status_code >= 400))"}),
)
"""Asked too while traffic flows."""


async def fill(directory: Path) -> None:
    """Record FLOWS flows of RUNS runs, and analyse them."""
    recorder = Recorder.start(directory, StoreOptions())
    await recorder.ready()
    for number in range(RUNS):
        run: dict[str, Any] = {
            "id": f"{number:010x}",
            "name": None,
            "mode": "inspect",
            "command": ["agent"],
            "cwd": "/",
            "tags": {},
        }
        recorder.put({"kind": "run_started", "run": run | {"started_at": time.time()}})
    for number in range(FLOWS):
        recorder.put(_call(number // ONE_IN) if number % ONE_IN == 0 else _other(number))
        if number % 500 == 0:
            await recorder.flush(_FLUSH_SECONDS)
    await recorder.close()
    open_analysis(directory, AnalysisOptions()).close()


def _other(number: int) -> dict[str, Any]:
    made = flow(number, 0, 12) | {"run": f"{number % RUNS:010x}"}
    host = f"host-{number % HOSTS}.example"
    made["request"] = made["request"] | {"method": "GET", "host": host, "pretty_host": host, "path": f"/{number}"}
    return {"kind": "flow_ended", "flow": made, "request_body": None, "response_body": b'{"ok":1}'}


def _call(number: int) -> dict[str, Any]:
    talk, turn = divmod(number, TURNS)
    said = [f"Turn {at} of talk {talk}, with a few words to count." for at in range(2 * turn + 1)]
    messages = [{"role": "assistant" if at % 2 else "user", "content": text} for at, text in enumerate(said)]
    tools = [{"name": f"tool_{at}", "description": "Does this and that. " * 5, "input_schema": {}} for at in range(5)]
    asked = {"model": f"claude-sonnet-4-{talk % 3}", "max_tokens": 10, "tools": tools, "messages": messages}
    usage = {"input_tokens": 200, "output_tokens": 20, "cache_read_input_tokens": 100 * turn}
    content = [{"type": "text", "text": f"Turn {2 * turn + 1} of talk {talk}, with a few words to count."}]
    answer = {"id": f"msg_{number}", "type": "message", "role": "assistant", "model": asked["model"]}
    answer |= {"content": content, "stop_reason": "end_turn", "usage": usage}
    body, response = json.dumps(asked).encode(), json.dumps(answer).encode()
    made = flow(number + 1, len(body), len(response)) | {"run": f"{talk % RUNS:010x}"}
    made["response"] = made["response"] | {"headers": [[b"Content-Type", b"application/json"]], "status_code": 200}
    return {"kind": "flow_ended", "flow": made, "request_body": body, "response_body": response}


class Client:
    """One session with the MCP server over HTTP."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._headers = {
            "authorization": f"Bearer {token}",
            "accept": "application/json, text/event-stream",
            "content-type": "application/json",
        }
        client = {"name": "bench", "version": "1"}
        self._post("initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client})
        self._post("notifications/initialized", {}, None)

    def ask(self, tool: str, arguments: dict[str, Any]) -> float:
        """Seconds of one call, which must succeed."""
        started = time.perf_counter()
        result = self._post("tools/call", {"name": tool, "arguments": arguments})["result"]
        seconds = time.perf_counter() - started
        if result["isError"]:
            raise RuntimeError(f"{tool}: {result['content']}")
        return seconds

    def _post(self, method: str, params: dict[str, Any], number: int | None = 1) -> Any:
        message = {"jsonrpc": "2.0", "method": method, "params": params} | ({} if number is None else {"id": number})
        # The server closes a connection on which nothing is asked for a while.
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request("POST", "/mcp", json.dumps(message), self._headers)
            answer = connection.getresponse()
            if session := answer.headers.get("mcp-session-id"):
                self._headers["mcp-session-id"] = session
            body = answer.read()
        finally:
            connection.close()
        return json.loads(body) if body else None


def first_pages(client: Client) -> list[Row]:
    taken = [(_typical(client, tool, arguments), _named(tool, arguments)) for tool, arguments in LISTING]
    seconds, slowest = max(taken)
    median = statistics.median(each for each, _ in taken)
    figure = f"{seconds * 1e3:.0f} ms ({slowest}); median {median * 1e3:.0f} ms"
    what = f"MCP: slowest first page of {len(LISTING)} lists, {FLOWS:,} flows, p50"
    return [Row(what, figure, f"<= {PAGE * 1e3:.0f} ms", seconds <= PAGE)]


def _typical(client: Client, tool: str, arguments: dict[str, Any]) -> float:
    client.ask(tool, arguments)
    seconds = statistics.median(client.ask(tool, arguments) for _ in range(ASKED))
    print(f"{_named(tool, arguments)}: {seconds * 1e3:.0f} ms", file=sys.stderr)
    return seconds


def _named(tool: str, arguments: dict[str, Any]) -> str:
    return f"{tool} {', '.join(arguments)}".strip()


def delay_of_traffic(client: Client, port: int) -> list[Row]:
    small = [prose(500)] * REQUESTS
    rounds: list[tuple[float, float]] = []
    asked = 0
    request_times(port, small)

    def alone() -> Seconds:
        return request_times(port, small)

    def beside() -> Seconds:
        nonlocal asked
        calls = itertools.cycle((*LISTING, *READING))
        with Beside(partial(client.ask, tool, arguments) for tool, arguments in calls) as asking:
            times = request_times(port, small)
        asked += asking.taken
        return times

    for number in range(ROUNDS):
        order = (alone, beside) if number % 2 else (beside, alone)
        p99 = {measure: percentile(measure(), 0.99) for measure in order}
        rounds.append((p99[beside], p99[alone]))
    mine, without = (statistics.median(figures) for figures in zip(*rounds, strict=True))
    ratio = statistics.median(own / other for own, other in rounds)
    print(f"{asked} calls beside {ROUNDS * REQUESTS} requests", file=sys.stderr)
    figure = f"{mine * 1e3:.2f} ms, {ratio:.2f} x (without {without * 1e3:.2f} ms)"
    return [Row("delay of traffic while a client asks over MCP, p99", figure, f"<= {DELAY} x", ratio <= DELAY)]


def measure(directory: Path) -> list[Row]:
    with upstream() as upstream_port:
        port, mcp_port = free_port(), free_port()
        target = {"port": port, "upstream": f"http://127.0.0.1:{upstream_port}"}
        mcp = {"enabled": True, "port": mcp_port}
        instance = Instance(directory / "instance", {"reverse_targets": [target]}, mcp=mcp)
        asyncio.run(fill(instance.paths.store_dir))
        with instance.running():
            client = Client(mcp_port, instance.paths.mcp_token.read_text().strip())
            return first_pages(client) + delay_of_traffic(client, port)


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="ccinspect-bench-") as directory:
        rows = measure(Path(directory))
    return report(rows)


if __name__ == "__main__":
    sys.exit(main())
