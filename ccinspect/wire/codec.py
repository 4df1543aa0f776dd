"""What every dialect offers, and the tools their encoders share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from ccinspect.wire.events import StreamEvent
from ccinspect.wire.jsontext import dump, parse
from ccinspect.wire.model import (
    ApiError,
    Block,
    Diagnostic,
    Json,
    JsonObject,
    Message,
    Path,
    Request,
    Response,
    Tool,
    ToolCall,
)
from ccinspect.wire.stream import StreamDecoder


@dataclass(frozen=True, slots=True)
class Encoded:
    """A body ready to be sent. `path` is the URL path of a request, where the dialect says the model there."""

    body: JsonObject
    path: str = ""
    diagnostics: tuple[Diagnostic, ...] = ()

    def data(self) -> bytes:
        return dump(self.body)


class StreamEncoder(Protocol):
    """Tells stream events in a dialect, each as soon as it comes."""

    @property
    def diagnostics(self) -> Sequence[Diagnostic]:
        """What could not be carried so far."""

    def feed(self, events: Iterable[StreamEvent]) -> bytes:
        """The bytes that say these events; may be empty."""

    def close(self) -> bytes:
        """The bytes still to be said when no more events come: the end mark, if the answer came to its end."""


@dataclass(frozen=True, slots=True)
class Codec:
    """One dialect. No decoder raises on any input: what cannot be read is told in `diagnostics`."""

    name: str
    decode_request: Callable[[bytes, str], Request]
    """(body without content encoding, URL path with query)"""
    decode_response: Callable[[bytes, int], Response]
    """(buffered body without content encoding, HTTP status)"""
    open_stream: Callable[[str], StreamDecoder]
    """(content type of the answer)"""
    encode_request: Callable[[Request], Encoded] | None = None
    encode_response: Callable[[Response], Encoded] | None = None
    encode_error: Callable[[ApiError], Encoded] | None = None
    open_encoder: Callable[[str], StreamEncoder] | None = None
    """(dialect the events come from)"""


@dataclass(slots=True)
class Notes:
    """Collects the diagnostics of one encoding."""

    source: str
    target: str
    found: list[Diagnostic] = field(default_factory=list)

    @property
    def home(self) -> bool:
        """Encoding back into the dialect it was read from."""
        return self.source == self.target

    def note(self, severity: str, code: str, message: str, path: Path = ()) -> None:
        self.found.append(Diagnostic(severity, code, message, path, self.source, self.target))

    def lost(self, code: str, message: str, path: Path = ()) -> None:
        self.note("warning", code, message, path)

    def extra(self, thing: Block | Message | Tool | Request | Response) -> JsonObject:
        """The fields that only this dialect knows: to be written at home, to be named anywhere else."""
        if self.home:
            return thing.extra
        path = () if isinstance(thing, Request | Response) else thing.path
        for key in thing.extra:
            self.lost("field_dropped", f"{self.target} has no place for {key!r}", (*path, key))
        return {}

    def unsaid(self, wanted: bool, what: str, path: Path = ()) -> None:
        """Name a parameter that was given and that the target has no word for."""
        if wanted:
            self.lost("parameter_dropped", f"{self.target} has no parameter for {what}", path)


def patched(
    request: Request,
    raw: JsonObject,
    read: Callable[[JsonObject, str], Request],
    body_of: Callable[[Request, Notes], JsonObject],
) -> JsonObject:
    """`raw` with only those top-level fields replaced whose meaning in `request` is not that in `raw`."""
    old = read(raw, request.path)
    if old == request:
        return raw
    before = body_of(old, Notes(request.dialect, request.dialect))
    after = body_of(request, Notes(request.dialect, request.dialect))
    out = dict(raw)
    for key in before.keys() | after.keys():
        if key not in after:
            out.pop(key, None)
        elif key not in before or after[key] != before[key]:
            out[key] = after[key]
    return out


def read_object(body: bytes, dialect: str) -> tuple[JsonObject, tuple[Diagnostic, ...]]:
    """Parse a body that should be a JSON object; an empty one and the reason as a diagnostic otherwise."""
    return object_of(*parse(body), dialect)


def object_of(value: Json, problem: str | None, dialect: str) -> tuple[JsonObject, tuple[Diagnostic, ...]]:
    """The same for what `jsontext.parse` gave: a value, or why there is none."""
    if problem is None and not isinstance(value, dict):
        problem = f"a JSON {type(value).__name__}, not an object"
    if problem is not None or not isinstance(value, dict):
        return {}, (Diagnostic("error", "unreadable_body", problem or "", (), dialect),)
    return value, ()


def leftover(raw: JsonObject, known: frozenset[str]) -> JsonObject:
    """The fields that are not in `known`."""
    if raw.keys() <= known:
        return {}
    return {key: value for key, value in raw.items() if key not in known}


def names(words: str) -> frozenset[str]:
    """Field names, written in one string."""
    return frozenset(words.split())


def without_none(**fields: Json) -> JsonObject:
    return {key: value for key, value in fields.items() if value is not None}


def coalesce(messages: Iterable[Message], role_of: Callable[[Message], str]) -> Iterator[tuple[str, list[Message]]]:
    """Group neighbours that have the same role in the target: (role, messages)."""
    role = ""
    group: list[Message] = []
    for message in messages:
        if group and role_of(message) != role:
            yield role, group
            group = []
        role = role_of(message)
        group.append(message)
    if group:
        yield role, group


def hoist_system(request: Request) -> tuple[tuple[Block, ...], tuple[Message, ...]]:
    """The system prompt wherever it was said: (all leading system text, the messages after it)."""
    blocks = list(request.system)
    rest = list(request.messages)
    while rest and rest[0].role in ("system", "developer"):
        blocks += rest.pop(0).blocks
    return tuple(blocks), tuple(rest)


def readable(value: Json, limit: int = 100_000) -> str:
    """The words in any JSON, for counting and searching blocks that have no neutral meaning."""
    words: list[str] = []
    stack = [value]
    size = 0
    while stack and size < limit:
        item = stack.pop()
        if isinstance(item, str):
            words.append(item[: limit - size])
            size += len(item)
        elif isinstance(item, dict):
            stack += [field for key, field in reversed(item.items()) if not key.startswith(_SEALED)]
        elif isinstance(item, list):
            stack += reversed(item)
    return "\n".join(words)


_SEALED = ("encrypted_", "signature", "type", "id", "data")


def name_calls(blocks: Iterable[Block]) -> list[Block]:
    """The blocks of an answer, with an id for each tool call that came without one."""
    return [
        replace(block, id=f"call_{index}") if isinstance(block, ToolCall) and not block.id else block
        for index, block in enumerate(blocks)
    ]
