"""The neutral model: what a request and an answer mean, whatever dialect they were spoken in.

Everything is a frozen dataclass. `path` and `raw` carry no meaning of their own and are left out of comparisons:

* `path`: where the thing stands in the JSON it was read from, as keys and indexes: `("messages", 3, "content", 0)`;
* `raw`: that piece of JSON itself, never to be changed in place. As long as a thing still equals what its `raw`
  decodes to, the encoder of its own dialect writes `raw` back, to the last detail of spelling;
* `extra`: the fields of `raw` that have no place in the model. The encoder of the same dialect writes them back
  also when the thing was changed; any other names each of them in a diagnostic.

`None` means "not said", and is never the same as zero or empty.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Json = Any
JsonObject = dict[str, Any]
Path = tuple[str | int, ...]


def format_path(path: Path) -> str:
    """Write a path as jq does: `.messages[3].content[0]`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path) or "."


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """Something a decoder could not read, or an encoder could not carry into its dialect."""

    severity: str
    """`info`: same meaning in another form; `warning`: something is lost; `error`: the result is not usable."""
    code: str
    message: str
    path: Path = ()
    source: str = ""
    """Dialect it was read from."""
    target: str = ""
    """Dialect it was to be written in; empty for a decoder's."""


@dataclass(frozen=True, slots=True)
class Signature:
    """A provider's opaque proof of what its model thought; only `origin` can read it."""

    value: str
    origin: str
    """Dialect of the provider that made it."""


@dataclass(frozen=True, slots=True)
class CacheMarker:
    """The sender's wish that everything up to and with this block be cached."""

    ttl: str | None = None
    """`5m`, `1h`, `30m`, ... as on the wire; None is the provider's default."""


@dataclass(frozen=True, slots=True)
class Citation:
    """One source that a text names."""

    title: str | None = None
    url: str | None = None
    text: str | None = None
    """The words cited."""
    raw: Json = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Block:
    """Base of all content blocks."""

    path: Path = field(default=(), kw_only=True, compare=False)
    raw: Json = field(default=None, kw_only=True, compare=False)
    cache: CacheMarker | None = field(default=None, kw_only=True)
    signature: Signature | None = field(default=None, kw_only=True)
    extra: JsonObject = field(default_factory=dict, kw_only=True)


@dataclass(frozen=True, slots=True)
class Text(Block):
    text: str = ""
    citations: tuple[Citation, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal(Block):
    text: str = ""


@dataclass(frozen=True, slots=True)
class Thinking(Block):
    """Reasoning of the model. Its `signature` is what the provider wants back with it, or (`redacted`) all there is."""

    text: str = ""
    redacted: bool = False
    """Only the provider can read it; `signature` holds it sealed."""
    summary: bool = False
    """`text` is the provider's summary and not the reasoning itself (OpenAI Responses)."""
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Media(Block):
    """An image, a document, a sound or a video: exactly one of `data`, `url`, `file_id` and `text` is there."""

    kind: str = "image"
    """`image`, `document`, `audio` or `video`."""
    media_type: str | None = None
    data: str | None = None
    """Base64, as on the wire."""
    url: str | None = None
    file_id: str | None = None
    text: str | None = None
    """A document given as plain text."""
    name: str | None = None
    context: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class ToolCall(Block):
    id: str = ""
    name: str = ""
    arguments: JsonObject | str = field(default_factory=dict)
    """An object; or the text as it came, when it is no JSON object (free-form tools, broken or cut arguments)."""
    server: str | None = None
    """MCP server or namespace that the tool belongs to, when the wire says it apart from the name."""
    executor: str = "client"
    """`client`: the agent runs it; `provider`: the provider runs it by itself (web search, code execution, MCP)."""
    kind: str = "function"
    """`function`, `custom` (free-form text as arguments), or the wire's own word for a built-in one."""


@dataclass(frozen=True, slots=True)
class ToolResult(Block):
    call_id: str = ""
    name: str | None = None
    content: tuple[Block, ...] = ()
    is_error: bool = False
    executor: str = "client"
    kind: str = "function"


@dataclass(frozen=True, slots=True)
class Unknown(Block):
    """A block of a kind nobody here knows, or that has no neutral meaning; `raw` is all of it."""

    kind: str = ""
    dialect: str = ""
    text: str = ""
    """What can be read of it, for counting and searching; may be empty."""


@dataclass(frozen=True, slots=True)
class Message:
    """One entry of the history. `role` is `system`, `developer`, `user`, `assistant` or `tool`."""

    role: str
    blocks: tuple[Block, ...] = ()
    name: str | None = None
    extra: JsonObject = field(default_factory=dict)
    path: Path = field(default=(), compare=False)
    raw: Json = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool definition. `schema` is None for built-in tools, whose whole definition is in `raw`."""

    name: str
    description: str | None = None
    schema: JsonObject | None = None
    kind: str = "function"
    """`function`, `custom` (free-form), or the wire's own word for a built-in one."""
    strict: bool | None = None
    server: str | None = None
    """Namespace or MCP server, when the wire says it apart from the name."""
    cache: CacheMarker | None = None
    extra: JsonObject = field(default_factory=dict)
    path: Path = field(default=(), compare=False)
    raw: Json = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Whether and which tool the model shall call."""

    mode: str = "auto"
    """`auto`, `none`, `required` (any tool) or `tool` (the one in `names`)."""
    names: tuple[str, ...] = ()
    """The tool of mode `tool`; for the other modes, the only ones allowed (empty: all)."""
    parallel: bool | None = None


@dataclass(frozen=True, slots=True)
class Reasoning:
    """How much the model shall think, in whichever of the dialects' measures was used."""

    enabled: bool | None = None
    budget: int | None = None
    """Tokens."""
    effort: str | None = None
    summary: str | None = None
    """What of it is shown: `auto`, `concise`, `detailed`, `summarized`, `omitted`, `included`."""


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """`json` (any object) or `json_schema`; plain text is None on the request."""

    kind: str = "json"
    schema: JsonObject | None = None
    name: str | None = None
    strict: bool | None = None


@dataclass(frozen=True, slots=True)
class Sampling:
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    candidates: int | None = None


@dataclass(frozen=True, slots=True)
class Request:
    dialect: str
    kind: str = "generate"
    """`generate`, `count_tokens`, `embeddings`, `batch`, `warm_up` (nothing is generated), `compact` or `other`."""
    model: str | None = None
    system: tuple[Block, ...] = ()
    messages: tuple[Message, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    sampling: Sampling = field(default_factory=Sampling)
    reasoning: Reasoning | None = None
    output: OutputFormat | None = None
    stream: bool = False
    include_usage: bool = True
    """False where the sender must ask for usage in a stream and did not (OpenAI Chat Completions)."""
    previous_response_id: str | None = None
    conversation_id: str | None = None
    user: str | None = None
    """The sender's own user or session mark, as on the wire (Anthropic `metadata.user_id`, OpenAI `user`)."""
    service_tier: str | None = None
    extra: JsonObject = field(default_factory=dict)
    path: str = field(default="", compare=False)
    """The URL path it was sent to."""
    raw: Json = field(default=None, compare=False)
    diagnostics: tuple[Diagnostic, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the provider counted them; every part counts tokens no other part counts, but `reasoning` is
    a share of `output`."""

    input: int | None = None
    """Neither read from a cache nor written to one."""
    cache_read: int | None = None
    cache_write_5m: int | None = None
    cache_write_1h: int | None = None
    cache_write_other: int | None = None
    """Written for another or an untold time (OpenAI, Gemini, Bedrock without details)."""
    output: int | None = None
    reasoning: int | None = None
    web_searches: int | None = None
    raw: Json = field(default=None, compare=False)

    @property
    def cache_write(self) -> int:
        return (self.cache_write_5m or 0) + (self.cache_write_1h or 0) + (self.cache_write_other or 0)

    @property
    def total_input(self) -> int:
        """All that was in the context window."""
        return (self.input or 0) + (self.cache_read or 0) + self.cache_write

    @property
    def total(self) -> int:
        return self.total_input + (self.output or 0)


class StopReason(StrEnum):
    END_TURN = "end_turn"
    MAX_TOKENS = "max_tokens"
    STOP_SEQUENCE = "stop_sequence"
    TOOL_USE = "tool_use"
    PAUSE = "pause"
    REFUSAL = "refusal"
    CONTENT_FILTER = "content_filter"
    CONTEXT_WINDOW = "context_window"
    ERROR = "error"
    OTHER = "other"


class Outcome(StrEnum):
    """How an answer ended."""

    COMPLETE = "complete"
    ERROR = "error"
    """The provider answered with an error, at once or in the midst of the stream."""
    TRUNCATED = "truncated"
    """The body ended properly, but the answer in it did not."""
    CLIENT_DISCONNECTED = "client_disconnected"
    UPSTREAM_RESET = "upstream_reset"


class ErrorKind(StrEnum):
    INVALID_REQUEST = "invalid_request"
    AUTHENTICATION = "authentication"
    PERMISSION = "permission"
    NOT_FOUND = "not_found"
    TOO_LARGE = "too_large"
    RATE_LIMIT = "rate_limit"
    QUOTA = "quota"
    OVERLOADED = "overloaded"
    TIMEOUT = "timeout"
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class ApiError:
    kind: ErrorKind
    message: str = ""
    type: str | None = None
    """The wire's own word: `rate_limit_error`, `RESOURCE_EXHAUSTED`, ..."""
    code: str | None = None
    param: str | None = None
    status: int | None = None
    """The HTTP status, of the answer or as told in the error itself."""
    retry_after: float | None = None
    """Seconds."""
    raw: Json = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Response:
    dialect: str
    id: str | None = None
    model: str | None = None
    blocks: tuple[Block, ...] = ()
    alternatives: tuple[tuple[Block, ...], ...] = ()
    """The second and further candidates, when more than one was asked for."""
    stop_reason: StopReason | None = None
    stop_detail: str | None = None
    """The wire's own word for `stop_reason`."""
    stop_sequence: str | None = None
    usage: Usage | None = None
    error: ApiError | None = None
    outcome: Outcome = Outcome.COMPLETE
    service_tier: str | None = None
    created: float | None = None
    """Seconds since the epoch."""
    count: int | None = None
    """Of a `count_tokens` answer: the tokens; of an embeddings answer: the vectors."""
    extra: JsonObject = field(default_factory=dict)
    raw: Json = field(default=None, compare=False)
    diagnostics: tuple[Diagnostic, ...] = field(default=(), compare=False)
