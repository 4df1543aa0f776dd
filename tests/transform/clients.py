"""The official SDKs as clients of the daemon: each asks in its own dialect, and says what it understood."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

import anthropic
import ollama
import openai
from google import genai
from google.genai import types
from openai.lib.streaming.chat import ChatCompletionStreamState

# One white pixel.
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = "weather"
DESCRIPTION = "Tells the weather."
_LIMIT = 2048


@dataclass
class Said:
    """What the SDK made of an answer."""

    text: str = ""
    thinking: str = ""
    calls: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    """(id, name, arguments)"""
    tokens: tuple[int, int] = (0, 0)


class Client(Protocol):
    """One conversation."""

    def ask(self, text: str, *, image: bool = False, tools: bool = False, thinking: bool = False) -> Said: ...

    def bring(self, results: Iterable[tuple[str, str, str]]) -> Said:
        """Send the results of the calls: (id, name, text)."""

    def close(self) -> None: ...


class AnthropicClient:
    def __init__(self, url: str, key: str, stream: bool) -> None:
        self._client = anthropic.Anthropic(base_url=url, api_key=key, max_retries=0)
        self._stream = stream
        self._history: list[Any] = []
        self._options: dict[str, Any] = {}

    def close(self) -> None:
        self._client.close()

    def ask(self, text: str, *, image: bool = False, tools: bool = False, thinking: bool = False) -> Said:
        content: list[Any] = [{"type": "text", "text": text}]
        if image:
            source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
            content.insert(0, {"type": "image", "source": source})
        if tools:
            self._options["tools"] = [{"name": TOOL, "description": DESCRIPTION, "input_schema": SCHEMA}]
        if thinking:
            self._options["thinking"] = {"type": "enabled", "budget_tokens": 1024}
        return self._send({"role": "user", "content": content})

    def bring(self, results: Iterable[tuple[str, str, str]]) -> Said:
        content = [{"type": "tool_result", "tool_use_id": call, "content": text} for call, _, text in results]
        return self._send({"role": "user", "content": content})

    def _send(self, message: Any) -> Said:
        self._history.append(message)
        options = {"model": "claude-x", "max_tokens": _LIMIT, "messages": self._history, **self._options}
        if self._stream:
            with self._client.messages.stream(**options) as stream:
                answer = stream.get_final_message()
        else:
            answer = self._client.messages.create(**options)
        self._history.append({"role": "assistant", "content": answer.content})
        said = Said(tokens=(answer.usage.input_tokens, answer.usage.output_tokens))
        for block in answer.content:
            if block.type == "text":
                said.text += block.text
            elif block.type == "thinking":
                said.thinking += block.thinking
            elif block.type == "tool_use":
                said.calls.append((block.id, block.name, dict(block.input)))
        assert answer.stop_reason == ("tool_use" if said.calls else "end_turn")
        return said


class ChatClient:
    def __init__(self, url: str, key: str, stream: bool) -> None:
        self._client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
        self._stream = stream
        self._history: list[Any] = []
        self._options: dict[str, Any] = {}

    def close(self) -> None:
        self._client.close()

    def ask(self, text: str, *, image: bool = False, tools: bool = False, thinking: bool = False) -> Said:
        content: list[Any] = [{"type": "text", "text": text}]
        if image:
            content.insert(0, {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}})
        if tools:
            function = {"name": TOOL, "description": DESCRIPTION, "parameters": SCHEMA}
            self._options["tools"] = [{"type": "function", "function": function}]
        if thinking:
            self._options["reasoning_effort"] = "medium"
        return self._send([{"role": "user", "content": content}])

    def bring(self, results: Iterable[tuple[str, str, str]]) -> Said:
        return self._send([{"role": "tool", "tool_call_id": call, "content": text} for call, _, text in results])

    def _send(self, messages: list[Any]) -> Said:
        self._history += messages
        options = {"model": "gpt-x", "messages": self._history, **self._options}
        if self._stream:
            state = ChatCompletionStreamState()
            pieces = self._client.chat.completions.create(
                **options, stream=True, stream_options={"include_usage": True}
            )
            thoughts = ""
            for piece in pieces:
                for choice in piece.choices:
                    thoughts += getattr(choice.delta, "reasoning_content", None) or ""
                state.handle_chunk(piece)
            answer: Any = state.get_final_completion()
        else:
            answer = self._client.chat.completions.create(**options)
            thoughts = getattr(answer.choices[0].message, "reasoning_content", None) or ""
        choice = answer.choices[0]
        self._history.append(choice.message.model_dump(exclude_none=True, exclude={"parsed"}))
        said = Said(choice.message.content or "", thoughts)
        said.tokens = (answer.usage.prompt_tokens, answer.usage.completion_tokens)
        for call in choice.message.tool_calls or []:
            said.calls.append((call.id, call.function.name, json.loads(call.function.arguments)))
        assert choice.finish_reason == ("tool_calls" if said.calls else "stop")
        return said


class ResponsesClient:
    def __init__(self, url: str, key: str, stream: bool) -> None:
        self._client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
        self._stream = stream
        self._history: list[Any] = []
        self._options: dict[str, Any] = {}

    def close(self) -> None:
        self._client.close()

    def ask(self, text: str, *, image: bool = False, tools: bool = False, thinking: bool = False) -> Said:
        content: list[Any] = [{"type": "input_text", "text": text}]
        if image:
            url = f"data:image/png;base64,{PIXEL}"
            content.insert(0, {"type": "input_image", "image_url": url, "detail": "auto"})
        if tools:
            tool = {"type": "function", "name": TOOL, "description": DESCRIPTION, "parameters": SCHEMA, "strict": False}
            self._options["tools"] = [tool]
        if thinking:
            self._options["reasoning"] = {"effort": "medium", "summary": "auto"}
        return self._send([{"role": "user", "content": content}])

    def bring(self, results: Iterable[tuple[str, str, str]]) -> Said:
        return self._send(
            [{"type": "function_call_output", "call_id": call, "output": text} for call, _, text in results]
        )

    def _send(self, items: list[Any]) -> Said:
        self._history += items
        options = {"model": "gpt-x", "input": self._history, "store": False, **self._options}
        if self._stream:
            answer: Any = None
            for event in self._client.responses.create(**options, stream=True):
                if event.type == "response.completed":
                    answer = event.response
        else:
            answer = self._client.responses.create(**options)
        self._history += [item.model_dump(exclude_none=True) for item in answer.output]
        said = Said(answer.output_text)
        said.tokens = (answer.usage.input_tokens, answer.usage.output_tokens)
        for item in answer.output:
            if item.type == "reasoning":
                said.thinking += "".join(part.text for part in [*(item.summary or []), *(item.content or [])])
            elif item.type == "function_call":
                said.calls.append((item.call_id, item.name, json.loads(item.arguments)))
        assert answer.status == "completed"
        return said


class GeminiClient:
    def __init__(self, url: str, key: str, stream: bool) -> None:
        self._client = genai.Client(api_key=key, http_options=types.HttpOptions(base_url=url))
        self._stream = stream
        self._history: list[types.Content] = []
        self._options: dict[str, Any] = {}

    def close(self) -> None:
        self._client.close()

    def ask(self, text: str, *, image: bool = False, tools: bool = False, thinking: bool = False) -> Said:
        parts = [types.Part(text=text)]
        if image:
            parts.insert(0, types.Part.from_bytes(data=base64.b64decode(PIXEL), mime_type="image/png"))
        if tools:
            function = types.FunctionDeclaration(name=TOOL, description=DESCRIPTION, parameters_json_schema=SCHEMA)
            self._options["tools"] = [types.Tool(function_declarations=[function])]
        if thinking:
            self._options["thinking_config"] = types.ThinkingConfig(include_thoughts=True)
        return self._send(types.Content(role="user", parts=parts))

    def bring(self, results: Iterable[tuple[str, str, str]]) -> Said:
        parts = [
            types.Part(function_response=types.FunctionResponse(id=call, name=name, response={"output": text}))
            for call, name, text in results
        ]
        return self._send(types.Content(role="user", parts=parts))

    def _send(self, content: types.Content) -> Said:
        self._history.append(content)
        options: dict[str, Any] = {
            "model": "gemini-x",
            "contents": self._history,
            "config": types.GenerateContentConfig(**self._options),
        }
        if self._stream:
            answers = list(self._client.models.generate_content_stream(**options))
        else:
            answers = [self._client.models.generate_content(**options)]
        parts: list[types.Part] = []
        for answer in answers:
            for candidate in answer.candidates or []:
                parts += (candidate.content.parts or []) if candidate.content else []
        self._history.append(types.Content(role="model", parts=parts))
        usage = answers[-1].usage_metadata
        assert usage is not None
        said = Said(tokens=(usage.prompt_token_count or 0, usage.candidates_token_count or 0))
        said.tokens = (said.tokens[0], said.tokens[1] + (usage.thoughts_token_count or 0))
        for part in parts:
            if part.function_call:
                call = part.function_call
                said.calls.append((call.id or "", call.name or "", dict(call.args or {})))
            elif part.thought:
                said.thinking += part.text or ""
            else:
                said.text += part.text or ""
        return said


class OllamaClient:
    def __init__(self, url: str, key: str, stream: bool) -> None:
        self._client = ollama.Client(host=url, headers={"authorization": f"Bearer {key}"})
        self._stream = stream
        self._history: list[Any] = []
        self._options: dict[str, Any] = {}

    def close(self) -> None:
        self._client._client.close()

    def ask(self, text: str, *, image: bool = False, tools: bool = False, thinking: bool = False) -> Said:
        message: dict[str, Any] = {"role": "user", "content": text}
        if image:
            message["images"] = [PIXEL]
        if tools:
            function = {"name": TOOL, "description": DESCRIPTION, "parameters": SCHEMA}
            self._options["tools"] = [{"type": "function", "function": function}]
        if thinking:
            self._options["think"] = True
        return self._send([message])

    def bring(self, results: Iterable[tuple[str, str, str]]) -> Said:
        return self._send([{"role": "tool", "tool_name": name, "content": text} for _, name, text in results])

    def _send(self, messages: list[Any]) -> Said:
        self._history += messages
        options = {"model": "llama-x", "messages": self._history, **self._options}
        answers: Any = (
            list(self._client.chat(**options, stream=True)) if self._stream else [self._client.chat(**options)]
        )
        said = Said()
        calls = []
        for answer in answers:
            said.text += answer.message.content or ""
            said.thinking += answer.message.thinking or ""
            calls += answer.message.tool_calls or []
        said.calls = [("", call.function.name, dict(call.function.arguments)) for call in calls]
        said.tokens = (answers[-1].prompt_eval_count, answers[-1].eval_count)
        own: dict[str, Any] = {"role": "assistant", "content": said.text}
        if said.thinking:
            own["thinking"] = said.thinking
        if calls:
            own["tool_calls"] = [call.model_dump() for call in calls]
        self._history.append(own)
        assert answers[-1].done
        return said


CLIENTS: dict[str, type[Any]] = {
    "anthropic": AnthropicClient,
    "openai_chat": ChatClient,
    "openai_responses": ResponsesClient,
    "gemini": GeminiClient,
    "ollama": OllamaClient,
}
