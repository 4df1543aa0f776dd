"""The one table of names: every attribute, metric and well-known value that is emitted.

Source: the GenAI semantic conventions, which have a repository of their own since 2026
(open-telemetry/semantic-conventions-genai; all "Development"), read in November 2026, and the general semantic
conventions 1.44. What neither has a name for begins with `ccinspect.`.
"""

from __future__ import annotations

SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"
SCOPE = "ccinspect"

# Every GenAI span.
OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
CONVERSATION = "gen_ai.conversation.id"
COMPACTED = "gen_ai.conversation.compacted"
AGENT_NAME = "gen_ai.agent.name"
AGENT_VERSION = "gen_ai.agent.version"
ERROR_TYPE = "error.type"

# A model call: what was asked.
REQUEST_MODEL = "gen_ai.request.model"
OUTPUT_TYPE = "gen_ai.output.type"
CHOICES = "gen_ai.request.choice.count"
SEED = "gen_ai.request.seed"
STREAM = "gen_ai.request.stream"
TOP_K = "gen_ai.request.top_k"
TOP_P = "gen_ai.request.top_p"
TEMPERATURE = "gen_ai.request.temperature"
FREQUENCY_PENALTY = "gen_ai.request.frequency_penalty"
PRESENCE_PENALTY = "gen_ai.request.presence_penalty"
MAX_TOKENS = "gen_ai.request.max_tokens"
STOP_SEQUENCES = "gen_ai.request.stop_sequences"
REASONING_LEVEL = "gen_ai.request.reasoning.level"
PREVIOUS_RESPONSE = "gen_ai.request.previous_response.id"

# A model call: what came back.
RESPONSE_ID = "gen_ai.response.id"
RESPONSE_MODEL = "gen_ai.response.model"
FINISH_REASONS = "gen_ai.response.finish_reasons"
FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHE_READ_TOKENS = "gen_ai.usage.cache_read.input_tokens"
# `cache_creation` until the summer of 2026.
CACHE_WRITE_TOKENS = "gen_ai.usage.cache_write.input_tokens"
REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens"

# Content; only with `capture_content`.
SYSTEM_INSTRUCTIONS = "gen_ai.system_instructions"
INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"
TOOL_DEFINITIONS = "gen_ai.tool.definitions"

# A tool.
TOOL_NAME = "gen_ai.tool.name"
TOOL_TYPE = "gen_ai.tool.type"
TOOL_CALL = "gen_ai.tool.call.id"
TOOL_ARGUMENTS = "gen_ai.tool.call.arguments"
TOOL_RESULT = "gen_ai.tool.call.result"

# A run.
WORKFLOW = "gen_ai.workflow.name"

# What OpenAI's own page of the conventions adds.
OPENAI_API = "openai.api.type"
OPENAI_REQUEST_TIER = "openai.request.service_tier"
OPENAI_RESPONSE_TIER = "openai.response.service_tier"
OPENAI_FINGERPRINT = "openai.response.system_fingerprint"

# General conventions.
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
HTTP_METHOD = "http.request.method"
HTTP_STATUS = "http.response.status_code"
RESENT = "http.request.resend_count"
REQUEST_BYTES = "http.request.body.size"
RESPONSE_BYTES = "http.response.body.size"
URL = "url.full"
URL_SCHEME = "url.scheme"
USER_AGENT = "user_agent.original"
PROTOCOL_NAME = "network.protocol.name"
PROTOCOL_VERSION = "network.protocol.version"
SESSION = "session.id"
SERVICE_NAME = "service.name"
SERVICE_VERSION = "service.version"
HOST_NAME = "host.name"

# Ours.
FLOW = "ccinspect.flow.id"
SOURCE = "ccinspect.source"
OUR_PROVIDER = "ccinspect.provider"
DIALECT = "ccinspect.dialect"
PURPOSE = "ccinspect.purpose"
RELATION = "ccinspect.relation"
TURN = "ccinspect.turn"
CERTAINTY = "ccinspect.certainty"
NOTE = "ccinspect.note"
COST = "ccinspect.cost.usd"
COST_BASIS = "ccinspect.cost.basis"
CACHE_SAVED = "ccinspect.cache.saved_usd"
CACHE_VERDICT = "ccinspect.cache.verdict"
CACHE_WRITE_5M = "ccinspect.usage.cache_write_5m.input_tokens"
CACHE_WRITE_1H = "ccinspect.usage.cache_write_1h.input_tokens"
RUN = "ccinspect.run.id"
RUN_NAME = "ccinspect.run.name"
RUN_MODE = "ccinspect.run.mode"
PROJECT = "ccinspect.project"
TAG = "ccinspect.tag."
"""Followed by the tag's name."""
CALLS = "ccinspect.calls"
UNPRICED = "ccinspect.cost.unpriced_calls"
EXIT_CODE = "process.exit.code"
COMMAND = "process.executable.name"
INPUT_OUTLINE = "ccinspect.input.outline"
OUTPUT_OUTLINE = "ccinspect.output.outline"
UNFINISHED = "ccinspect.unfinished"
LINK = "ccinspect.link"
"""On a link, why it is there: `retry_of`, `fallback_of`, `replay_of`, `conversation`, `run`."""

# Events.
HOOK_EVENT = "ccinspect.hook"
EVENT_NAME = "ccinspect.hook.name"
EVENT_STAGE = "ccinspect.hook.stage"
EVENT_STATE = "ccinspect.hook.state"
EVENT_MILLISECONDS = "ccinspect.duration_ms"

# Metrics.
DURATION_METRIC = "gen_ai.client.inference.duration"
FIRST_CHUNK_METRIC = "gen_ai.client.inference.time_to_first_chunk"
INPUT_METRIC = "gen_ai.client.inference.operation.input_tokens"
OUTPUT_METRIC = "gen_ai.client.inference.operation.output_tokens"
USAGE_METRICS = {
    INPUT_TOKENS: "gen_ai.client.inference.usage.input_tokens",
    OUTPUT_TOKENS: "gen_ai.client.inference.usage.output_tokens",
    CACHE_READ_TOKENS: "gen_ai.client.inference.usage.cache_read.input_tokens",
    CACHE_WRITE_TOKENS: "gen_ai.client.inference.usage.cache_write.input_tokens",
    REASONING_TOKENS: "gen_ai.client.inference.usage.reasoning.output_tokens",
}
MODALITY = "gen_ai.token.modality"
COST_METRIC = "ccinspect.cost"
HIT_RATE_METRIC = "ccinspect.cache.hit_ratio"
CAPTURE_QUEUE_METRIC = "ccinspect.capture.queue"
CAPTURE_LOST_METRIC = "ccinspect.capture.lost"
STORE_SIZE_METRIC = "ccinspect.store.size"
EXPORT_QUEUE_METRIC = "ccinspect.export.queue"
EXPORT_DROPPED_METRIC = "ccinspect.export.dropped"

PROVIDERS = {
    "anthropic": "anthropic",
    "openai": "openai",
    "chatgpt": "openai",
    "azure-openai": "azure.ai.openai",
    "code-assist": "gcp.gemini",
    "gemini": "gcp.gemini",
    "vertex": "gcp.vertex_ai",
    "bedrock": "aws.bedrock",
    "amazon-q": "aws.bedrock",
    "deepseek": "deepseek",
    "xai": "x_ai",
    "mistral": "mistral_ai",
    "groq": "groq",
    "moonshot": "moonshot_ai",
}
"""From the names of `identity/table.py` to the well-known ones; any other is told as it is."""

CHAT = "chat"
GENERATE_CONTENT = "generate_content"
TEXT_COMPLETION = "text_completion"
EMBEDDINGS = "embeddings"
INVOKE_AGENT = "invoke_agent"
INVOKE_WORKFLOW = "invoke_workflow"
EXECUTE_TOOL = "execute_tool"

_BY_DIALECT = {"gemini": GENERATE_CONTENT, "openai_completions": TEXT_COMPLETION}
_OPENAI_APIS = {"openai_chat": "chat_completions", "openai_responses": "responses"}
OTHER_ERROR = "_OTHER"


def provider_name(name: str) -> str:
    return PROVIDERS.get(name, name)


def operation_name(kind: str, dialect: str) -> str:
    """The operation of a model call; kinds the conventions do not know keep our word for them."""
    return _BY_DIALECT.get(dialect, CHAT) if kind == "generate" else kind


def openai_api(dialect: str) -> str | None:
    """The conventions' word for the API that a call to OpenAI speaks; None where they have none."""
    return _OPENAI_APIS.get(dialect)
