"""What the look for a sentinel costs each request, and what a credential that is kept costs one that needs it.

    python bench/auth.py [--json]

The bar is 2 us for a request without a sentinel.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import timeit
from collections.abc import Callable

from ccinspect.auth.credential import Credential
from ccinspect.auth.resolver import Credentials
from ccinspect.auth.sentinel import apply, find_sentinel
from ccinspect.auth.settings import EnvAuth
from ccinspect.pipeline.message import Headers, Outgoing

BAR_US = 2.0
CALLS = 50_000
ROUNDS = 7
PATH = "/v1/messages?beta=true"
# As Claude Code sends them.
FIELDS = [
    (b"Host", b"api.anthropic.com"),
    (b"Accept", b"application/json"),
    (b"X-Stainless-Retry-Count", b"0"),
    (b"X-Stainless-Timeout", b"600"),
    (b"X-Stainless-Lang", b"js"),
    (b"X-Stainless-Package-Version", b"0.60.0"),
    (b"X-Stainless-OS", b"Linux"),
    (b"X-Stainless-Arch", b"x64"),
    (b"X-Stainless-Runtime", b"node"),
    (b"X-Stainless-Runtime-Version", b"v22.0.0"),
    (b"anthropic-dangerous-direct-browser-access", b"true"),
    (b"anthropic-version", b"2023-06-01"),
    (b"x-app", b"cli"),
    (b"User-Agent", b"claude-cli/2.0.0 (external, cli)"),
    (b"content-type", b"application/json"),
    (b"anthropic-beta", b"claude-code-20250219,interleaved-thinking-2025-05-14"),
    (b"x-stainless-helper-method", b"stream"),
    (b"accept-encoding", b"gzip, deflate, br"),
    (b"content-length", b"123456"),
]


def best(call: Callable[[], object]) -> float:
    """Microseconds a call, in the best round."""
    return min(timeit.repeat(call, number=CALLS, repeat=ROUNDS)) / CALLS * 1e6


def resolving() -> float:
    async def measure() -> float:
        credentials = Credentials({"work": EnvAuth(type="env", env="KEY")}, {"KEY": "k" * 100})
        await credentials.resolve("work")
        rounds = []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            for _ in range(CALLS):
                await credentials.resolve("work")
            rounds.append((time.perf_counter() - started) / CALLS * 1e6)
        return min(rounds)

    return asyncio.run(measure())


def main() -> int:
    real = Headers([*FIELDS, (b"x-api-key", b"sk-ant-api03-" + b"x" * 95)])
    bearer = Headers([*FIELDS, (b"Authorization", b"Bearer sk-ant-oat01-" + b"x" * 95)])
    sentinel = Headers([*FIELDS, (b"x-api-key", b"sk-ant-oat-ccinspect-work")])
    credential = Credential("work", "k" * 100, "authorization", "Bearer ")

    def replace() -> None:
        apply(Outgoing("POST", "https", "api.anthropic.com", 443, PATH, Headers(sentinel.fields)), credential)

    figures = {
        "no_key": best(lambda: find_sentinel(Headers(FIELDS), PATH)),
        "real_key": best(lambda: find_sentinel(real, PATH)),
        "real_bearer": best(lambda: find_sentinel(bearer, PATH)),
        "sentinel": best(lambda: find_sentinel(sentinel, PATH)),
        "replace": best(replace),
        "resolve_kept": resolving(),
    }
    if "--json" in sys.argv:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:14}{value:8.2f} us")
    return int(max(figures["no_key"], figures["real_key"], figures["real_bearer"]) > BAR_US)


if __name__ == "__main__":
    sys.exit(main())
