"""Anthropic Messages (`/v1/messages`), also as spoken by Bedrock's InvokeModel and Vertex."""

from __future__ import annotations

from ccinspect.wire.anthropic.decode import decode_request, decode_response
from ccinspect.wire.anthropic.encode import encode_error, encode_request, encode_response
from ccinspect.wire.anthropic.stream import AnthropicStream, open_stream
from ccinspect.wire.anthropic.tell import AnthropicEncoder
from ccinspect.wire.codec import Codec

__all__ = ["CODEC", "AnthropicEncoder", "AnthropicStream"]

CODEC = Codec(
    name="anthropic",
    decode_request=decode_request,
    decode_response=decode_response,
    open_stream=open_stream,
    encode_request=encode_request,
    encode_response=encode_response,
    encode_error=encode_error,
    open_encoder=AnthropicEncoder,
)
