"""OpenAI Responses (`/v1/responses`), over server-sent events and over WebSocket."""

from __future__ import annotations

from ccinspect.wire.codec import Codec
from ccinspect.wire.openai_chat.encode import encode_error
from ccinspect.wire.openai_responses.decode import decode_request, decode_response
from ccinspect.wire.openai_responses.encode import encode_request, encode_response
from ccinspect.wire.openai_responses.socket import ResponsesSocket
from ccinspect.wire.openai_responses.stream import ResponsesStream, open_stream
from ccinspect.wire.openai_responses.tell import ResponsesEncoder

__all__ = ["CODEC", "ResponsesEncoder", "ResponsesSocket", "ResponsesStream"]

CODEC = Codec(
    name="openai_responses",
    decode_request=decode_request,
    decode_response=decode_response,
    open_stream=open_stream,
    encode_request=encode_request,
    encode_response=encode_response,
    encode_error=encode_error,
    open_encoder=ResponsesEncoder,
)
