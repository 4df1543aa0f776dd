"""One streamed answer with nothing but the standard library, for machines without an SDK."""

from __future__ import annotations

import json
import urllib.request

question = {
    "model": "claude-sonnet-5",
    "max_tokens": 200,
    "stream": True,
    "messages": [{"role": "user", "content": "What do you see of me?"}],
}
request = urllib.request.Request(
    "https://api.anthropic.com/v1/messages",
    data=json.dumps(question).encode(),
    headers={
        "x-api-key": "sk-ant-demo-not-a-real-key-0003",
        "anthropic-version": "2023-06-01",
        "content-type": "application/json",
    },
)
with urllib.request.urlopen(request) as answer:
    for line in answer:
        if line.startswith(b"data: "):
            event = json.loads(line.removeprefix(b"data: "))
            print(event.get("delta", {}).get("text", ""), end="", flush=True)
print()
