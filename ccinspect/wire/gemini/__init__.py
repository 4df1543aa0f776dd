"""Google Gemini (`generateContent`, `streamGenerateContent`), on the Gemini API, Vertex and Code Assist."""

from __future__ import annotations

from ccinspect.wire.codec import Codec
from ccinspect.wire.gemini.decode import decode_request, decode_response
from ccinspect.wire.gemini.encode import encode_error, encode_request, encode_response
from ccinspect.wire.gemini.stream import GeminiStream, open_stream
from ccinspect.wire.gemini.tell import GeminiEncoder

__all__ = ["CODEC", "GeminiEncoder", "GeminiStream"]

CODEC = Codec(
    name="gemini",
    decode_request=decode_request,
    decode_response=decode_response,
    open_stream=open_stream,
    encode_request=encode_request,
    encode_response=encode_response,
    encode_error=encode_error,
    open_encoder=GeminiEncoder,
)
