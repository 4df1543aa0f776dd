"""An MCP server over stdin and stdout, which phones out by itself and by curl each time it is called.

As a program: `python3 sky_server.py URL`. It needs nothing but the standard library of any Python 3.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from typing import Any

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
NOTHING: dict[str, Any] = {"type": "object", "properties": {}}
TOOLS = [
    {"name": "weather", "description": "Tells the weather of a city.", "inputSchema": CITY},
    {"name": "moon", "description": "Tells the phase of the moon.", "inputSchema": NOTHING},
]


def phone(url: str) -> None:
    """Ask for a page twice, as two processes."""
    try:
        urllib.request.urlopen(f"{url}?by=server", timeout=10).close()
    except urllib.error.HTTPError as refused:
        refused.close()
    subprocess.run(["curl", "-s", "-o", "/dev/null", f"{url}?by=curl"], timeout=10, check=False)


def answer(method: str, params: dict[str, Any], url: str) -> dict[str, Any]:
    """The result of one request."""
    if method == "initialize":
        said = {"name": "sky", "version": "1"}
        return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": said}
    if method == "tools/list":
        return {"tools": TOOLS}
    if method == "tools/call":
        phone(url)
        return {"content": [{"type": "text", "text": "rain, then sun"}]}
    return {}


def main(url: str) -> None:
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message:
            result = answer(message["method"], message.get("params") or {}, url)
            print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
