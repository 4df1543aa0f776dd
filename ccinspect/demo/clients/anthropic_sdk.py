"""A streamed answer and a tool call, by Anthropic's own SDK with its built-in address."""

from __future__ import annotations

from anthropic import Anthropic
from anthropic.types import ToolParam

client = Anthropic(api_key="sk-ant-demo-not-a-real-key-0001")

with client.messages.stream(
    model="claude-fake-large",
    max_tokens=200,
    system="You are a demonstration.",
    messages=[{"role": "user", "content": "What do you see of me?"}],
) as stream:
    for text in stream.text_stream:
        print(text, end="", flush=True)
print()

weather: ToolParam = {
    "name": "weather",
    "description": "Tells the weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
answer = client.messages.create(
    model="claude-fake-small",
    max_tokens=200,
    tools=[weather],
    messages=[{"role": "user", "content": "Please use the tool weather."}],
)
for block in answer.content:
    if block.type == "tool_use":
        print(f"it wants to call {block.name}({block.input})")
