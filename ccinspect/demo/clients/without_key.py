"""A call in Anthropic's dialect to its built-in address, by a client that holds a sentinel and no key."""

from __future__ import annotations

import json
import urllib.request

asked = urllib.request.Request(
    "https://api.anthropic.com/v1/messages",
    json.dumps(
        {
            "model": "claude-opus-4-5",
            "max_tokens": 200,
            "system": "You are a demonstration.",
            "messages": [{"role": "user", "content": "Who answers this?"}],
        }
    ).encode(),
    {
        "x-api-key": "sk-ant-oat-ccinspect-openai",
        "anthropic-version": "2023-06-01",
        "content-type": "application/json",
    },
)
with urllib.request.urlopen(asked, timeout=30) as response:
    answer = json.load(response)
print(f"{answer['type']} from {answer['model']}: {answer['content'][0]['text']}")
