"""The official SDKs are the judges of the fake provider: what they parse, a real client parses."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest
from google import genai
from google.genai import errors, types

from ccinspect.demo.provider import Provider

WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}, "note": {"type": "string"}},
    "required": ["city", "days"],
}
ARGUMENTS = {"city": "example city", "days": 1}
HELLO = "Hello from the fake provider. You said: hello there"


@pytest.fixture
def trust(provider: Provider) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=provider.authority.pem.decode())


@pytest.fixture
def claude(provider: Provider, trust: ssl.SSLContext) -> Iterator[anthropic.Anthropic]:
    http = anthropic.DefaultHttpxClient(verify=trust)
    url = f"https://localhost:{provider.https_port}"
    with anthropic.Anthropic(api_key="sk-ant-fake", base_url=url, http_client=http) as client:
        yield client


@pytest.fixture
def gpt(provider: Provider, trust: ssl.SSLContext) -> Iterator[openai.OpenAI]:
    http = openai.DefaultHttpxClient(verify=trust)
    url = f"https://localhost:{provider.https_port}/v1"
    with openai.OpenAI(api_key="sk-fake", base_url=url, http_client=http) as client:
        yield client


@pytest.fixture
def gemini(provider: Provider, trust: ssl.SSLContext) -> Iterator[genai.Client]:
    with httpx.Client(verify=trust) as http:
        options = types.HttpOptions(base_url=f"https://localhost:{provider.https_port}", httpx_client=http)
        yield genai.Client(api_key="fake", vertexai=False, http_options=options)


def message(**more: Any) -> dict[str, Any]:
    return {
        "model": "claude-fake-large",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "hello there"}],
        **more,
    }


class TestAnthropic:
    def test_buffered(self, claude: anthropic.Anthropic) -> None:
        answer = claude.messages.create(**message())
        assert answer.content[0].text == HELLO
        assert answer.stop_reason == "end_turn"
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (3, 13)

    def test_streamed_is_the_buffered_answer_in_pieces(self, claude: anthropic.Anthropic) -> None:
        buffered = claude.messages.create(**message())
        with claude.messages.stream(**message()) as stream:
            deltas = list(stream.text_stream)
            final = stream.get_final_message()
        assert len(deltas) > 3
        assert "".join(deltas) == HELLO
        assert final.id == buffered.id
        assert [block.text for block in final.content] == [HELLO]
        assert final.stop_reason == buffered.stop_reason
        assert final.usage.output_tokens == buffered.usage.output_tokens

    def test_raw_events_come_in_the_documented_order(self, claude: anthropic.Anthropic) -> None:
        kinds = [event.type for event in claude.messages.create(**message(), stream=True)]
        assert kinds[:2] == ["message_start", "content_block_start"]
        assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
        assert set(kinds[2:-3]) - {"ping"} == {"content_block_delta"}

    def test_thinking_comes_first_and_is_signed(self, claude: anthropic.Anthropic) -> None:
        with claude.messages.stream(**message(thinking={"type": "adaptive"})) as stream:
            thinking, text = stream.get_final_message().content
        assert (thinking.type, text.type) == ("thinking", "text")
        assert thinking.thinking
        assert thinking.signature

    @pytest.mark.parametrize("streamed", [False, True], ids=["buffered", "streamed"])
    def test_tool_round_trip(self, claude: anthropic.Anthropic, streamed: bool) -> None:
        tools = [{"name": "weather", "description": "Tells the weather.", "input_schema": WEATHER}]
        turn = {"role": "user", "content": "please use the tool weather"}
        ask = message(tools=tools, messages=[turn])
        if streamed:
            with claude.messages.stream(**ask) as stream:
                called = stream.get_final_message()
        else:
            called = claude.messages.create(**ask)
        (block,) = called.content
        assert (block.type, block.name, block.input) == ("tool_use", "weather", ARGUMENTS)
        assert called.stop_reason == "tool_use"
        result = {"type": "tool_result", "tool_use_id": block.id, "content": "rain, then sun"}
        turns = [turn, {"role": "assistant", "content": called.content}, {"role": "user", "content": [result]}]
        answer = claude.messages.create(**message(tools=tools, messages=turns))
        assert answer.content[0].text == "The tool has answered: rain, then sun"

    def test_count_tokens_agrees_with_usage(self, claude: anthropic.Anthropic) -> None:
        ask = message(system="Be short.")
        counted = claude.messages.count_tokens(**{k: v for k, v in ask.items() if k != "max_tokens"})
        assert counted.input_tokens == claude.messages.create(**ask).usage.input_tokens

    def test_told_arguments_and_a_schema_for_the_answer(self, claude: anthropic.Anthropic) -> None:
        tools = [{"name": "weather", "input_schema": WEATHER}]
        turn = {"role": "user", "content": 'Use the tool weather with {"city": "Bonn", "days": 3}, and be quick.'}
        (block,) = claude.messages.create(**message(tools=tools, messages=[turn])).content
        assert block.input == {"city": "Bonn", "days": 3}
        wanted = {"format": {"type": "json_schema", "schema": WEATHER}}
        assert json.loads(claude.messages.create(**message(output_config=wanted)).content[0].text) == ARGUMENTS

    def test_models(self, claude: anthropic.Anthropic) -> None:
        assert [model.id for model in claude.models.list()] == ["claude-fake-large", "claude-fake-small"]
        assert claude.models.retrieve("claude-fake-small").id == "claude-fake-small"

    @pytest.mark.parametrize(
        ("model", "error"),
        [
            ("error-400", anthropic.BadRequestError),
            ("error-401", anthropic.AuthenticationError),
            ("error-429", anthropic.RateLimitError),
            ("error-500", anthropic.InternalServerError),
            ("error-529", anthropic.InternalServerError),
        ],
    )
    def test_errors_are_in_the_dialect(self, claude: anthropic.Anthropic, model: str, error: type[Exception]) -> None:
        with pytest.raises(error) as caught:
            claude.messages.create(**message(model=model))
        assert caught.value.body["type"] == "error"
        assert caught.value.request_id == caught.value.body["request_id"]

    def test_a_request_without_messages_is_refused(self, claude: anthropic.Anthropic) -> None:
        with pytest.raises(anthropic.BadRequestError, match="messages"):
            claude.messages.create(**message(messages=[]))


CHAT: dict[str, Any] = {"model": "gpt-fake-large", "messages": [{"role": "user", "content": "hello there"}]}


class TestChatCompletions:
    def test_buffered(self, gpt: openai.OpenAI) -> None:
        answer = gpt.chat.completions.create(**CHAT)
        assert answer.choices[0].message.content == HELLO
        assert answer.choices[0].finish_reason == "stop"
        assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens

    def test_streamed_with_usage_only_when_asked_for(self, gpt: openai.OpenAI) -> None:
        chunks = list(gpt.chat.completions.create(**CHAT, stream=True))
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == HELLO
        assert all(chunk.usage is None for chunk in chunks)
        asked = list(gpt.chat.completions.create(**CHAT, stream=True, stream_options={"include_usage": True}))
        assert asked[-1].choices == []
        assert asked[-1].usage.completion_tokens == 13

    @pytest.mark.parametrize("streamed", [False, True], ids=["buffered", "streamed"])
    def test_tool_round_trip(self, gpt: openai.OpenAI, streamed: bool) -> None:
        function = {"name": "weather", "parameters": WEATHER}
        turn = {"role": "user", "content": "call the tool weather"}
        ask = {"model": "gpt-fake-large", "messages": [turn], "tools": [{"type": "function", "function": function}]}
        if streamed:
            with gpt.chat.completions.stream(**ask) as stream:
                choice = stream.get_final_completion().choices[0]
        else:
            choice = gpt.chat.completions.create(**ask).choices[0]
        assert choice.finish_reason == "tool_calls"
        (call,) = choice.message.tool_calls
        assert (call.function.name, call.function.arguments) == ("weather", '{"city": "example city", "days": 1}')
        called = {
            "role": "assistant",
            "content": None,
            "tool_calls": [call.model_dump(include={"id", "type", "function"})],
        }
        result = {"role": "tool", "tool_call_id": call.id, "content": "rain"}
        answer = gpt.chat.completions.create(model="gpt-fake-large", messages=[turn, called, result])
        assert answer.choices[0].message.content == "The tool has answered: rain"

    def test_errors_are_in_the_dialect(self, gpt: openai.OpenAI) -> None:
        with pytest.raises(openai.RateLimitError) as caught:
            gpt.chat.completions.create(**CHAT | {"model": "error-429"})
        assert caught.value.body["message"] == "this model always answers 429"
        assert caught.value.request_id


class TestResponses:
    def test_buffered(self, gpt: openai.OpenAI) -> None:
        answer = gpt.responses.create(model="gpt-fake-large", input="hello there")
        assert answer.output_text == HELLO
        assert answer.status == "completed"
        assert answer.usage.output_tokens == 13

    def test_streamed_is_the_buffered_answer_in_pieces(self, gpt: openai.OpenAI) -> None:
        with gpt.responses.stream(model="gpt-fake-large", input="hello there") as stream:
            events = list(stream)
            final = stream.get_final_response()
        assert [event.sequence_number for event in events] == list(range(len(events)))
        assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == HELLO
        assert final.output_text == HELLO
        assert events[-1].type == "response.completed"

    @pytest.mark.parametrize("streamed", [False, True], ids=["buffered", "streamed"])
    def test_tool_round_trip(self, gpt: openai.OpenAI, streamed: bool) -> None:
        tool = {"type": "function", "name": "weather", "parameters": WEATHER, "strict": False}
        turn = {"role": "user", "content": "call the tool weather"}
        ask = {"model": "gpt-fake-large", "input": [turn], "tools": [tool]}
        if streamed:
            with gpt.responses.stream(**ask) as stream:
                called = stream.get_final_response()
        else:
            called = gpt.responses.create(**ask)
        (item,) = called.output
        assert (item.type, item.name, item.arguments) == (
            "function_call",
            "weather",
            '{"city": "example city", "days": 1}',
        )
        call = {"type": "function_call", "call_id": item.call_id, "name": item.name, "arguments": item.arguments}
        result = {"type": "function_call_output", "call_id": item.call_id, "output": "rain"}
        answer = gpt.responses.create(model="gpt-fake-large", input=[turn, call, result])
        assert answer.output_text == "The tool has answered: rain"

    def test_models(self, gpt: openai.OpenAI) -> None:
        assert [model.id for model in gpt.models.list()] == ["gpt-fake-large", "gpt-fake-small"]

    def test_a_websocket_remembers_what_was_said(self, gpt: openai.OpenAI, trust: ssl.SSLContext) -> None:
        """A warm-up, a call of a free-form tool in a namespace, and its result without the history."""
        patch = {"type": "custom", "name": "patch", "format": {"type": "text"}}
        tools = [{"type": "namespace", "name": "files", "description": "Files", "tools": [patch]}]
        turn = {"role": "user", "content": "call the tool patch"}
        with gpt.responses.connect(websocket_connection_options={"ssl": trust}) as connection:

            def ask(**fields: Any) -> Any:
                connection.send({"type": "response.create", "model": "gpt-fake-large", **fields})
                return next(event for event in connection if event.type in ("response.completed", "error"))

            warm = ask(input=[turn], tools=tools, generate=False).response
            assert warm.output == []
            called = ask(input=[], previous_response_id=warm.id, tools=tools).response
            (item,) = called.output
            told = (item.type, item.name, item.namespace, item.input)
            assert told == ("custom_tool_call", "patch", "files", "example for patch")
            result = {"type": "custom_tool_call_output", "call_id": item.call_id, "output": "patched"}
            answer = ask(input=[result], previous_response_id=called.id).response
            assert answer.output_text == "The tool has answered: patched"
            assert ask(input=[turn], previous_response_id="resp_never").type == "error"


class TestGemini:
    MODEL = "gemini-fake-large"

    def test_buffered(self, gemini: genai.Client) -> None:
        answer = gemini.models.generate_content(model=self.MODEL, contents="hello there")
        assert answer.text == HELLO
        usage = answer.usage_metadata
        assert (usage.prompt_token_count, usage.candidates_token_count, usage.total_token_count) == (3, 13, 16)

    def test_streamed_with_thoughts(self, gemini: genai.Client) -> None:
        config = {"thinking_config": {"include_thoughts": True}}
        chunks = list(gemini.models.generate_content_stream(model=self.MODEL, contents="hello there", config=config))
        parts = [part for chunk in chunks for part in chunk.candidates[0].content.parts]
        assert "".join(part.text for part in parts if not part.thought) == HELLO
        assert parts[0].thought is True
        usage = chunks[-1].usage_metadata
        assert usage.thoughts_token_count
        assert usage.total_token_count == 3 + usage.candidates_token_count + usage.thoughts_token_count
        assert [chunk.candidates[0].finish_reason for chunk in chunks][-2:] == [None, types.FinishReason.STOP]

    def test_streamed_as_one_array(self, provider: Provider, trust: ssl.SSLContext) -> None:
        url = f"https://localhost:{provider.https_port}/v1/models/{self.MODEL}:streamGenerateContent?key=fake"
        answered = httpx.post(url, json={"contents": [{"parts": [{"text": "hello there"}]}]}, verify=trust)
        texts = [chunk["candidates"][0]["content"]["parts"][0]["text"] for chunk in answered.json()]
        assert len(texts) > 3
        assert "".join(texts) == HELLO

    def test_tool_round_trip(self, gemini: genai.Client) -> None:
        tool = types.FunctionDeclaration(name="weather", parameters_json_schema=WEATHER)
        config = types.GenerateContentConfig(
            tools=[types.Tool(function_declarations=[tool])],
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        )
        chat = gemini.chats.create(model=self.MODEL, config=config)
        (call,) = chat.send_message("call the tool weather").function_calls
        assert (call.name, call.args) == ("weather", ARGUMENTS)
        result = types.Part.from_function_response(name=call.name, response={"output": "rain"})
        assert chat.send_message(result).text == "The tool has answered: rain"

    def test_the_rest(self, gemini: genai.Client) -> None:
        assert gemini.models.count_tokens(model=self.MODEL, contents="hello there").total_tokens == 3
        assert gemini.models.get(model=self.MODEL).name == f"models/{self.MODEL}"
        with pytest.raises(errors.ClientError) as caught:
            gemini.models.generate_content(model="error-429", contents="hello there")
        assert (caught.value.code, caught.value.status) == (429, "RESOURCE_EXHAUSTED")


def test_the_same_request_gets_the_same_bytes(provider: Provider, gpt: openai.OpenAI) -> None:
    first, second = (gpt.chat.completions.with_raw_response.create(**CHAT).http_response.content for _ in range(2))
    assert first == second
