"""Amazon Bedrock: InvokeModel (Anthropic's bodies) and Converse, buffered and as AWS event streams. Only read.

The model stands in the path: `/model/MODEL/invoke`, `/converse`, and their streaming twins.
"""

from __future__ import annotations

from ccinspect.wire.bedrock.decode import decode_request, decode_response
from ccinspect.wire.bedrock.stream import BedrockStream, open_stream
from ccinspect.wire.codec import Codec

__all__ = ["CODEC", "BedrockStream"]

CODEC = Codec("bedrock", decode_request, decode_response, open_stream)
