"""OpenAI Chat Completions (`/v1/chat/completions`), and the many that copied it."""

from __future__ import annotations

from ccinspect.wire.codec import Codec
from ccinspect.wire.openai_chat.decode import decode_request, decode_response
from ccinspect.wire.openai_chat.encode import encode_error, encode_request, encode_response
from ccinspect.wire.openai_chat.stream import ChatStream, open_stream
from ccinspect.wire.openai_chat.tell import ChatEncoder

__all__ = ["CODEC", "ChatEncoder", "ChatStream"]

CODEC = Codec(
    name="openai_chat",
    decode_request=decode_request,
    decode_response=decode_response,
    open_stream=open_stream,
    encode_request=encode_request,
    encode_response=encode_response,
    encode_error=encode_error,
    open_encoder=ChatEncoder,
)
