"""One streamed answer, by OpenAI's own SDK with its built-in address."""

from __future__ import annotations

from openai import OpenAI

client = OpenAI(api_key="sk-demo-not-a-real-key-0002")

with client.responses.stream(model="gpt-5-mini", input="And what of me?") as stream:
    for event in stream:
        if event.type == "response.output_text.delta":
            print(event.delta, end="", flush=True)
print()
