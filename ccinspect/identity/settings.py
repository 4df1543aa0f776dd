"""The block `providers` of the configuration: providers that nobody coded.

jq expressions are compiled when the file is read, so that a mistake is told with the provider's name and the key.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from ccinspect.identity.jq_programs import check
from ccinspect.identity.table import DIALECTS


def _as_tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _compile(alternatives: tuple[str, ...]) -> tuple[str, ...]:
    for expression in alternatives:
        check(expression)
    return alternatives


def _compile_in_event(alternatives: tuple[str, ...]) -> tuple[str, ...]:
    for expression in alternatives:
        check(expression, in_event=True)
    return alternatives


def _known_dialect(name: str) -> str:
    if name not in DIALECTS:
        raise ValueError(f"no dialect of this name; there are {', '.join(DIALECTS)}")
    return name


ProviderName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
_Some = Annotated[tuple[str, ...], Field(max_length=10)]
Expression = Annotated[_Some, BeforeValidator(_as_tuple), AfterValidator(_compile)]
"""A jq expression, or a list of which the first that finds something counts."""
EventExpression = Annotated[_Some, BeforeValidator(_as_tuple), AfterValidator(_compile_in_event)]
"""The same, for an event of a stream: `$name` is its SSE name, `$type` its type."""


class _Block(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Expressions(_Block):
    def fields(self) -> dict[str, tuple[str, ...]]:
        """All expressions of this block by their dotted key, `usage.input` for nested ones."""
        found: dict[str, tuple[str, ...]] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, _Expressions):
                found |= {f"{name}.{inner}": either for inner, either in value.fields().items()}
            elif value:
                found[name] = value
        return found


class UsageExpressions(_Expressions):
    input: Expression = Field(default=(), description="Tokens read anew: neither from a cache nor written to one.")
    cache_read: Expression = Field(default=(), description="Tokens read from a cache.")
    cache_write: Expression = Field(default=(), description="Tokens written to a cache.")
    output: Expression = Field(default=(), description="Tokens generated, reasoning included.")
    reasoning: Expression = Field(default=(), description="Of the output, tokens of reasoning.")


class EventUsageExpressions(UsageExpressions):
    input: EventExpression = Field(default=(), description="As in `response.usage`.")
    cache_read: EventExpression = Field(default=(), description="As in `response.usage`.")
    cache_write: EventExpression = Field(default=(), description="As in `response.usage`.")
    output: EventExpression = Field(default=(), description="As in `response.usage`.")
    reasoning: EventExpression = Field(default=(), description="As in `response.usage`.")


class RequestExpressions(_Expressions):
    model: Expression = Field(default=(), description="The model's name.")
    system: Expression = Field(default=(), description="The system prompt: texts, joined by line ends.")
    messages: Expression = Field(
        default=(),
        description="The messages, one result each or one list: a text (of the user), or an object with `role` and "
        "`content` (or `text`), which may be a text or a list of parts with `text`.",
    )
    text: Expression = Field(default=(), description="The prompt, where there are no messages.")
    tools: Expression = Field(default=(), description="The tool definitions, one result each or one list.")
    stream: Expression = Field(default=(), description="Whether a stream is asked for.")


class ResponseExpressions(_Expressions):
    model: Expression = Field(default=(), description="The model that answered.")
    text: Expression = Field(default=(), description="The answer: texts, joined.")
    thinking: Expression = Field(default=(), description="The reasoning shown with it: texts, joined.")
    stop_reason: Expression = Field(default=(), description="Why the answer ended, in the provider's word.")
    usage: UsageExpressions = Field(default=UsageExpressions(), description="Tokens.")


class EventExpressions(_Expressions):
    model: EventExpression = Field(default=(), description="The model that answers; the first one found counts.")
    text: EventExpression = Field(default=(), description="A piece of the answer; pieces are joined.")
    thinking: EventExpression = Field(default=(), description="A piece of the reasoning.")
    stop_reason: EventExpression = Field(default=(), description="Why the answer ended; the last one found counts.")
    usage: EventUsageExpressions = Field(
        default=EventUsageExpressions(), description="Tokens; a later count replaces an earlier one."
    )


class StreamExpressions(_Block):
    format: Literal["auto", "sse", "json-lines"] = Field(
        default="auto", description="How events are put on the wire; `auto` goes by the content type."
    )
    type: EventExpression = Field(
        default=(), description="An event's type. Without it: the SSE event name, else `.type`, else `.event`."
    )
    end: str = Field(default="[DONE]", description="Data of the event that only marks the end.", max_length=1_000)
    cumulative: bool = Field(
        default=False, description="Each event repeats the whole text so far, instead of the next piece."
    )
    events: dict[str, EventExpressions] = Field(
        default={}, description="What to find in events, by type; `*` is for all types not named.", max_length=100
    )
    final: EventExpressions = Field(
        default=EventExpressions(), description="What to find in the last event only, whatever its type."
    )


class ProviderSettings(_Block):
    """One entry of `providers`, read either by a dialect or by expressions."""

    hosts: list[Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^/\s]+$")]] = Field(
        description="Host names; `*` stands for any part of one, `:PORT` at the end for that port only.",
        min_length=1,
        max_length=100,
    )
    paths: list[Annotated[str, Field(max_length=500, pattern=r"^(/|\*\*)")]] = Field(
        default=[],
        description="Paths of model calls; `*` stands for anything but a slash, `**` for anything. Without it: all.",
        max_length=100,
    )
    dialect: Annotated[str, AfterValidator(_known_dialect)] | None = Field(
        default=None, description="Dialect to read its calls with: " + ", ".join(f"`{name}`" for name in DIALECTS) + "."
    )
    prices: str | None = Field(
        default=None, description="The provider in genai-prices whose prices hold: `openai`, ..."
    )
    request: RequestExpressions = Field(default=RequestExpressions(), description="jq over the request's JSON.")
    response: ResponseExpressions = Field(
        default=ResponseExpressions(), description="jq over the JSON of an answer that is not a stream."
    )
    stream: StreamExpressions = Field(
        default=StreamExpressions(), description="jq over the JSON of each event of a streamed answer."
    )

    @property
    def has_expressions(self) -> bool:
        return bool(self.request.fields() or self.response.fields() or self.stream.events or self.stream.final.fields())

    @model_validator(mode="after")
    def _one_way_to_read(self) -> ProviderSettings:
        if self.dialect and self.has_expressions:
            raise ValueError("has both a `dialect` and expressions: keep the one that reads its calls")
        return self
