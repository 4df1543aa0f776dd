"""OpenAI's legacy Completions (`/v1/completions`): a prompt in, its continuation out. Only read, never written."""

from __future__ import annotations

from dataclasses import replace

from ccinspect.wire.apierror import is_error, read_error
from ccinspect.wire.codec import Codec, leftover, names, read_object
from ccinspect.wire.events import (
    BlockDelta,
    BlockStart,
    MessageStart,
    MessageStop,
    StreamEnd,
    StreamFailure,
    UsageReport,
)
from ccinspect.wire.jsontext import as_count, as_int, as_list, as_name, as_number, as_object, as_text
from ccinspect.wire.model import Block, Json, JsonObject, Message, Outcome, Request, Response, Sampling, Text, Unknown
from ccinspect.wire.openai_chat.decode import stop_reason
from ccinspect.wire.stream import StreamDecoder, pick_framing
from ccinspect.wire.usage import openai_chat_usage

DIALECT = "openai_completions"
_REQUEST_FIELDS = names("model prompt max_tokens temperature top_p n stream stream_options stop seed user")


def read_prompts(value: Json, name: str) -> tuple[Block, ...]:
    """A text, a list of texts, a list of tokens, or a list of those."""
    if isinstance(value, str):
        return (Text(value, path=(name,), raw=value),) if value else ()
    if isinstance(value, list) and value and all(type(item) is int for item in value):
        return (Unknown("tokens", DIALECT, path=(name,), raw=value),)
    return tuple(
        Text(item, path=(name, index), raw=item)
        if isinstance(item, str)
        else Unknown("tokens" if isinstance(item, list) else "", DIALECT, path=(name, index), raw=item)
        for index, item in enumerate(as_list(value))
    )


def decode_request(body: bytes, path: str = "") -> Request:
    raw, diagnostics = read_object(body, DIALECT)
    prompts = read_prompts(raw.get("prompt"), "prompt")
    stop = raw.get("stop")
    asked = as_object(raw.get("stream_options")).get("include_usage") is True
    return Request(
        dialect=DIALECT,
        model=as_name(raw.get("model")),
        messages=(Message("user", prompts, path=("prompt",), raw=raw.get("prompt")),) if prompts else (),
        sampling=Sampling(
            max_tokens=as_count(raw.get("max_tokens")),
            temperature=as_number(raw.get("temperature")),
            top_p=as_number(raw.get("top_p")),
            stop=(stop,) if isinstance(stop, str) else tuple(word for word in as_list(stop) if isinstance(word, str)),
            seed=as_int(raw.get("seed")),
            candidates=as_count(raw.get("n")),
        ),
        stream=raw.get("stream") is True,
        include_usage=raw.get("stream") is not True or asked,
        user=as_name(raw.get("user")),
        extra=leftover(raw, _REQUEST_FIELDS),
        path=path,
        raw=raw,
        diagnostics=diagnostics,
    )


def decode_response(body: bytes, status: int = 200) -> Response:
    raw, diagnostics = read_object(body, DIALECT)
    if is_error(raw, status):
        return Response(DIALECT, error=read_error(raw, status), outcome=Outcome.ERROR, raw=raw, diagnostics=diagnostics)
    choices = [as_object(choice) for choice in as_list(raw.get("choices"))]
    candidates = [_text(choice, index) for index, choice in enumerate(choices)]
    word = choices[0].get("finish_reason") if choices else None
    answer = Response(
        dialect=DIALECT,
        id=as_name(raw.get("id")),
        model=as_name(raw.get("model")),
        blocks=candidates[0] if candidates else (),
        alternatives=tuple(candidates[1:]),
        stop_reason=stop_reason(word),
        stop_detail=as_name(word),
        usage=openai_chat_usage(raw.get("usage")),
        created=as_number(raw.get("created")),
        raw=raw,
        diagnostics=diagnostics,
    )
    return replace(answer, outcome=Outcome.TRUNCATED) if diagnostics else answer


def _text(choice: JsonObject, index: int) -> tuple[Block, ...]:
    text = as_text(choice.get("text"))
    return (Text(text, path=("choices", index, "text"), raw=choice.get("text")),) if text else ()


class CompletionsStream(StreamDecoder):
    dialect = DIALECT
    end_mark_optional = True
    _MAX_CANDIDATES = 1000

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self._begun: set[int] = set()

    def on_text(self, name: str, text: str) -> None:
        if text.startswith("[DONE]"):
            self.out.append(StreamEnd())
        else:
            super().on_text(name, text)

    def on_event(self, name: str, data: JsonObject) -> None:
        if data.get("error"):
            self.out.append(StreamFailure(read_error(data)))
            return
        if not self._begun:
            start = MessageStart(as_name(data.get("id")), as_name(data.get("model")), as_number(data.get("created")))
            self.out.append(start)
        for choice in map(as_object, as_list(data.get("choices"))):
            number = min(as_count(choice.get("index")) or 0, self._MAX_CANDIDATES)
            if number not in self._begun:
                self._begun.add(number)
                self.out.append(BlockStart(number, Text(), number))
            if as_text(choice.get("text")):
                self.out.append(BlockDelta(number, "text", choice["text"]))
            word = choice.get("finish_reason")
            if word is not None and number == 0:
                self.out.append(MessageStop(stop_reason(word), as_name(word)))
        usage = openai_chat_usage(data.get("usage"))
        if usage is not None:
            self.out.append(UsageReport(usage))


def open_stream(content_type: str = "") -> CompletionsStream:
    return CompletionsStream(pick_framing(content_type, "sse"))


CODEC = Codec(DIALECT, decode_request, decode_response, open_stream)
