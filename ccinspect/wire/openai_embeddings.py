"""OpenAI Embeddings (`/v1/embeddings`). Only read, never written."""

from __future__ import annotations

from ccinspect.wire.apierror import is_error, read_error
from ccinspect.wire.codec import Codec, leftover, names, read_object
from ccinspect.wire.jsontext import as_list, as_name
from ccinspect.wire.model import JsonObject, Message, Outcome, Request, Response
from ccinspect.wire.openai_completions import read_prompts
from ccinspect.wire.stream import StreamDecoder, pick_framing
from ccinspect.wire.usage import openai_chat_usage

DIALECT = "openai_embeddings"


def decode_request(body: bytes, path: str = "") -> Request:
    raw, diagnostics = read_object(body, DIALECT)
    inputs = read_prompts(raw.get("input"), "input")
    return Request(
        dialect=DIALECT,
        kind="embeddings",
        model=as_name(raw.get("model")),
        messages=(Message("user", inputs, path=("input",), raw=raw.get("input")),) if inputs else (),
        user=as_name(raw.get("user")),
        extra=leftover(raw, names("model input user")),
        path=path,
        raw=raw,
        diagnostics=diagnostics,
    )


def decode_response(body: bytes, status: int = 200) -> Response:
    raw, diagnostics = read_object(body, DIALECT)
    if is_error(raw, status):
        return Response(DIALECT, error=read_error(raw, status), outcome=Outcome.ERROR, raw=raw, diagnostics=diagnostics)
    return Response(
        dialect=DIALECT,
        model=as_name(raw.get("model")),
        usage=openai_chat_usage(raw.get("usage")),
        outcome=Outcome.TRUNCATED if diagnostics else Outcome.COMPLETE,
        count=len(as_list(raw.get("data"))),
        raw=raw,
        diagnostics=diagnostics,
    )


class _NoStream(StreamDecoder):
    """Embeddings are never streamed; whatever claims to be is kept as unknown."""

    dialect = DIALECT

    def on_event(self, name: str, data: JsonObject) -> None:
        self.on_text(name, "")


def open_stream(content_type: str = "") -> StreamDecoder:
    return _NoStream(pick_framing(content_type, "sse"))


CODEC = Codec(DIALECT, decode_request, decode_response, open_stream)
