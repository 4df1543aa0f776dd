"""`ccinspect mcp` inside of a run that was started with --mcp: standard input and output joined to the run's server.

So an entry that `ccinspect mcp install` made for a client works there too, and shows that run only. Our server keeps no
sessions, answers each request with one JSON body and says nothing unasked, which makes this simple: a line in, a line
out, in order.
"""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from typing import Any

_SECONDS = 120.0
_GONE = -32000


def forward(lines: Iterable[str], url: str, token: str) -> Iterator[str]:
    """The answers to JSON-RPC messages, a line each; what cannot be handed over is answered by an error."""
    # Not through the proxy that the environment of a run may name.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    headers = {
        "accept": "application/json, text/event-stream",
        "content-type": "application/json",
        "authorization": f"Bearer {token}",
    }
    for line in filter(str.strip, lines):
        request = urllib.request.Request(url, line.encode("utf-8", "replace"), headers)
        try:
            with opener.open(request, timeout=_SECONDS) as answer:
                said = answer.read().decode("utf-8", "replace").strip()
        except urllib.error.HTTPError as error:
            with error:
                said = _failure(line, _reason(error))
        except (OSError, http.client.HTTPException) as error:
            said = _failure(line, f"the server of this run cannot be reached: {error}")
        if said:
            yield said + "\n"


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        told = json.loads(error.read())["error"]["message"]
    except (ValueError, LookupError, TypeError):
        told = error.reason
    return f"the server of this run answered {error.code}: {told}"


def _failure(line: str, why: str) -> str:
    """An answer for whoever waits for one; empty for a notification."""
    number = _number(line)
    error = {"code": _GONE, "message": why}
    return "" if number is None else json.dumps({"jsonrpc": "2.0", "id": number, "error": error})


def _number(line: str) -> Any:
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message.get("id") if isinstance(message, dict) else None
