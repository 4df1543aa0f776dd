"""A tool loop of two turns and a streamed answer, by Anthropic's own SDK with its built-in address."""

from __future__ import annotations

from anthropic import Anthropic
from anthropic.types import MessageParam, ToolParam

client = Anthropic(api_key="sk-ant-demo-not-a-real-key-0001")

with client.messages.stream(
    model="claude-sonnet-5",
    max_tokens=200,
    system="You are a demonstration.",
    messages=[{"role": "user", "content": "What do you see of me?"}],
) as stream:
    for text in stream.text_stream:
        print(text, end="", flush=True)
print()

weather: ToolParam = {
    "name": "mcp__sky__weather",
    "description": "Tells the weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
tides: ToolParam = {
    "name": "mcp__sea__tides",
    "description": "Tells when the tide is high in a harbour.",
    "input_schema": {"type": "object", "properties": {"harbour": {"type": "string"}}, "required": ["harbour"]},
}
messages: list[MessageParam] = [{"role": "user", "content": "Please use the tool mcp__sky__weather."}]
for _ in range(2):
    answer = client.messages.create(model="claude-haiku-4-5", max_tokens=200, tools=[weather, tides], messages=messages)
    messages.append({"role": "assistant", "content": answer.content})
    for block in answer.content:
        if block.type == "text":
            print(block.text)
        if block.type == "tool_use":
            print(f"it wants to call {block.name}({block.input})")
            result = "Rain in the morning, sun from noon on, 14 degrees."
            messages.append(
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": block.id, "content": result}]}
            )
