"""What changing requests costs them, and the flows beside them. `python -m bench.changes` prints table rows.

Small requests with hooks against bare mitmweb; requests of a megabyte and streams that are translated against the same
that pass, through one daemon; and how long other flows wait meanwhile, and while a credential is slow to come.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench.latency import (
    Seconds,
    StreamRequest,
    conversation,
    event_delays,
    paced_times,
    percentile,
    request_times,
    stream_path,
)
from bench.servers import Instance, bare_mitmweb, free_port, upstream
from bench.table import Row, report

HOOKS, TRANSLATION, STALL, STREAM, SLOW_CREDENTIAL = 1.3, 0.060, 0.020, 1.3, 0.100
ROUNDS = 11
_SMALL = conversation(500)
_BIG = conversation(1_000_000)
_BIG_EACH_ROUND = 20
_WAIT_SECONDS = 3
# Where waits are measured: what the analyst takes of the processor is measured by `bench.analysis`.
_NO_ANALYSIS = {"enabled": False}
_FLOWS, _PERIOD = 20, 0.2
_TRANSLATED = "/v1/messages?translated"
_TRANSLATED_STREAM = StreamRequest(
    "/v1/messages?streamed",
    '{{"model":"{delay}","max_tokens":9,"stream":true,"messages":[{{"role":"user","content":"go"}}]}}',
)
_PASSED_STREAM = StreamRequest(stream_path("/sse/chat/completions"))
HOOKS_BY_DEFAULT = {"inbound": ["extract_session_id", "inject_mcp_notifications"]}
HOOKS_OF_ALL_KINDS = HOOKS_BY_DEFAULT | {"outbound": ["inject_auth", "verbose_mode", "policy", "cache_breakpoints"]}
REDACTING = [{"name": "keys", "secrets": True, "mode": "flag"}]


@dataclass(frozen=True)
class _Daemon:
    port: int
    """A reverse listener before the upstream."""
    main_port: int
    """The reverse listener that knows providers."""
    instance: Instance


@contextmanager
def _daemon(upstream_port: int, directory: Path, **blocks: Any) -> Iterator[_Daemon]:
    """A daemon before the upstream, with rules that translate what asks for it, and a slow credential."""
    port = free_port()
    there = {"host": "127.0.0.1", "port": upstream_port, "scheme": "http", "type": "openai_chat"}
    streamed = stream_path("/sse/chat/completions", "{model}")
    slow = there | {"type": "anthropic", "auth": f"sleep {_WAIT_SECONDS}; echo a-key"}
    providers = {"whole": there, "streamed": there | {"path": streamed}, "slow": slow}
    rules = [
        {"match_path": rf"\?{what}$", "action": "transform", "dest_provider": provider}
        for what, provider in (("translated", "whole"), ("streamed", "streamed"))
    ]
    target = {"port": port, "upstream": f"http://127.0.0.1:{upstream_port}"}
    inspector = {"reverse_targets": [target], "transforms": rules}
    instance = Instance(directory, inspector, providers=providers, **blocks)
    with instance.running():
        yield _Daemon(port, instance.status()["inspector"]["ports"]["reverse"], instance)


# Small requests with hooks


def small_requests(directory: Path) -> list[Row]:
    """Every request runs the hooks, against bare mitmweb."""
    with (
        upstream() as port,
        bare_mitmweb(port, directory / "bare") as bare,
        _daemon(port, directory / "default", hooks=HOOKS_BY_DEFAULT) as default,
        _daemon(port, directory / "all", hooks=HOOKS_OF_ALL_KINDS, redact=REDACTING) as everything,
    ):
        ports = {"bare": bare.port, "default": default.port, "all": everything.port}
        rounds = _by_turns({name: partial(_small_p50, port) for name, port in ports.items()})
        for daemon, expected in ((default, 2), (everything, 7)):
            _check_hooks(daemon.instance, expected)
    return [
        _against("small request, the default hooks, p50", rounds, "default", "bare", "bare mitmweb", HOOKS),
        _against(
            "the same with all built-in hooks that fit, and a search for secrets", rounds, "all", "bare", "bare mitmweb"
        ),
    ]


def _small_p50(port: int) -> float:
    return percentile(request_times(port, [_SMALL] * 300), 0.5)


def _check_hooks(instance: Instance, expected: int) -> None:
    """What was measured is what was meant: the hooks were there, and none failed."""
    hooks = instance.json("flows", "list", "--json", "--limit", "1")[-1]["changes"]["hooks"]
    states = [hook["state"] for hook in hooks]
    if len(states) != expected or not set(states) <= {"ran", "skipped"}:
        raise RuntimeError(f"the hooks were {hooks}")


# Translation


def translation(directory: Path) -> list[Row]:
    with upstream() as port, _daemon(port, directory / "daemon", analysis=_NO_ANALYSIS) as daemon:
        big = _by_turns(
            {
                "translated": lambda: _with_others(daemon.port, _TRANSLATED),
                "passed": lambda: _with_others(daemon.port, "/v1/messages"),
            }
        )
        _check_translated(daemon.instance)
    took = {name: [one.big for one in rounds] for name, rounds in big.items()}
    more = statistics.median(mine - other for mine, other in zip(took["translated"], took["passed"], strict=True))
    waits = {name: statistics.median(one.longest for one in rounds) for name, rounds in big.items()}
    stall, usual = waits["translated"], waits["passed"]
    return [
        Row(
            "request of 1 MB translated, p50, over the same that passes",
            f"{more * 1e3:.1f} ms more (passes in {statistics.median(took['passed']) * 1e3:.1f} ms)",
            f"<= {TRANSLATION * 1e3:.0f} ms",
            more <= TRANSLATION,
        ),
        Row(
            f"longest that one of a stream of small requests takes beside {_BIG_EACH_ROUND} such translations",
            f"{stall * 1e3:.1f} ms (beside requests that pass {usual * 1e3:.1f} ms)",
            f"<= {STALL * 1e3:.0f} ms",
            stall <= STALL,
        ),
    ]


def streams(directory: Path) -> list[Row]:
    with upstream() as port, _daemon(port, directory / "daemon", analysis=_NO_ANALYSIS) as daemon:
        rounds = _by_turns(
            {
                "translated": lambda: percentile(event_delays(daemon.port, _TRANSLATED_STREAM), 0.99),
                "passed": lambda: percentile(event_delays(daemon.port, _PASSED_STREAM), 0.99),
            }
        )
    return [
        _against(
            "translated stream, 32 x 200 events: delay per event, p99",
            rounds,
            "translated",
            "passed",
            "passed",
            STREAM,
        ),
    ]


@dataclass(frozen=True)
class _Beside:
    big: float
    """Median of the big requests' seconds."""
    longest: float
    """Of the small ones' beside them."""


def _with_others(port: int, path: str) -> _Beside:
    """Big requests one after the other, and small ones beside them on another connection that pass."""
    big: Seconds = []
    end = threading.Event()

    def send() -> None:
        try:
            # With pauses, as agents make: else the processor is all taken, and small ones wait for it.
            for _ in range(_BIG_EACH_ROUND):
                big.extend(request_times(port, [_BIG], path))
                end.wait(0.02)
        finally:
            end.set()

    def until_then() -> Iterator[bytes]:
        while not end.is_set():
            yield _SMALL
            end.wait(0.002)

    thread = threading.Thread(target=send)
    thread.start()
    small = request_times(port, until_then())
    thread.join()
    return _Beside(percentile(big, 0.5), max(small))


def _check_translated(instance: Instance) -> None:
    """What was measured is what was meant."""
    listed = instance.json(
        "flows", "list", "--json", "--limit", "100000", "--jq", "map(select(.sizes.request > 900000))"
    )
    routes = [flow["changes"]["route"]["dialect"] for flow in listed if (flow.get("changes") or {}).get("route")]
    if routes != ["openai_chat"] * (ROUNDS * _BIG_EACH_ROUND):
        raise RuntimeError(f"{len(routes)} requests were translated")


# A credential that takes its time


def slow_credential(directory: Path) -> list[Row]:
    with upstream() as port, _daemon(port, directory / "daemon", analysis=_NO_ANALYSIS) as daemon:
        usual = asyncio.run(_paced(daemon.port, _WAIT_SECONDS))
        took: Seconds = []
        key = "x-api-key: sk-ccinspect-slow\r\n"
        thread = threading.Thread(target=lambda: took.extend(request_times(daemon.main_port, [_SMALL], headers=key)))
        thread.start()
        beside = asyncio.run(_paced(daemon.port, _WAIT_SECONDS))
        thread.join()
    if not took or took[0] < _WAIT_SECONDS:
        raise RuntimeError(f"the request did not wait for its credential: {took}")
    longest = max(beside)
    return [
        Row(
            f"longest of {_FLOWS} flows' requests while a credential takes {_WAIT_SECONDS} s",
            f"{longest * 1e3:.1f} ms (else {max(usual) * 1e3:.1f} ms), p50 {percentile(beside, 0.5) * 1e3:.2f} ms "
            f"(else {percentile(usual, 0.5) * 1e3:.2f} ms)",
            f"<= {SLOW_CREDENTIAL * 1e3:.0f} ms more",
            longest <= max(usual) + SLOW_CREDENTIAL,
        )
    ]


async def _paced(port: int, seconds: float) -> Seconds:
    """Seconds of the requests of 20 flows, each of which sends one every 0.2 s."""
    delays, requests = (number * _PERIOD / _FLOWS for number in range(_FLOWS)), int(seconds / _PERIOD)
    times = await asyncio.gather(*(paced_times(port, _SMALL, _PERIOD, requests, delay) for delay in delays))
    return [one for flow in times for one in flow]


def _by_turns[T](measures: dict[str, Callable[[], T]]) -> dict[str, list[T]]:
    """What each measures, round by round; who begins changes. The first round warms up and does not count."""
    taken: dict[str, list[T]] = {name: [] for name in measures}
    for number in range(ROUNDS):
        for name in list(measures)[:: 1 if number % 2 else -1]:
            taken[name].append(measures[name]())
    return taken


def _against(what: str, rounds: dict[str, Seconds], mine: str, other: str, title: str, bar: float | None = None) -> Row:
    """The ratio is the median of the rounds' own ratios: what else the machine does hits both of a round alike."""
    ratio = statistics.median(own / theirs for own, theirs in zip(rounds[mine], rounds[other], strict=True))
    own, theirs = statistics.median(rounds[mine]), statistics.median(rounds[other])
    figure = f"{own * 1e3:.2f} ms, {ratio:.2f} x ({title} {theirs * 1e3:.2f} ms)"
    return Row(what, figure, "" if bar is None else f"<= {bar} x", bar is None or ratio <= bar)


PARTS: dict[str, Callable[[Path], list[Row]]] = {
    "hooks": small_requests,
    "translation": translation,
    "streams": streams,
    "credential": slow_credential,
}


def main() -> int:
    rows: list[Row] = []
    for name in sys.argv[1:] or PARTS:
        with tempfile.TemporaryDirectory(prefix="ccinspect-bench-") as directory:
            rows += PARTS[name](Path(directory))
    return report(rows)


if __name__ == "__main__":
    sys.exit(main())
