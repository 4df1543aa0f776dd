"""Ollama (`/api/chat`, `/api/generate`, `/api/embed`)."""

from __future__ import annotations

from ccinspect.wire.codec import Codec
from ccinspect.wire.ollama.decode import decode_request, decode_response
from ccinspect.wire.ollama.encode import encode_error, encode_request, encode_response
from ccinspect.wire.ollama.stream import OllamaStream, open_stream
from ccinspect.wire.ollama.tell import OllamaEncoder

__all__ = ["CODEC", "OllamaEncoder", "OllamaStream"]

CODEC = Codec(
    name="ollama",
    decode_request=decode_request,
    decode_response=decode_response,
    open_stream=open_stream,
    encode_request=encode_request,
    encode_response=encode_response,
    encode_error=encode_error,
    open_encoder=OllamaEncoder,
)
