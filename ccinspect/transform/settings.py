"""What may be configured: the rules of `inspector.transforms`, and where a provider's requests are sent.

Imports nothing but pydantic and the standard library: `config.py` reads it at every start.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Source = Literal["reverse", "proxy", "wireguard"]
SOURCES: tuple[Source, ...] = ("reverse", "proxy", "wireguard")
Action = Literal["passthrough", "redirect", "transform", "deny"]
Dialect = Literal[
    "anthropic",
    "openai_chat",
    "openai_responses",
    "gemini",
    "ollama",
    "openai_completions",
    "openai_embeddings",
    "bedrock",
]


def _regex(text: str) -> str:
    import regex

    try:
        regex.compile(text)
    except regex.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return text


def _no_line_end(text: str) -> str:
    # A header's value with a line end in it would be two headers.
    if any(character in text for character in "\r\n\0"):
        raise ValueError("a header cannot hold a line end")
    try:
        text.encode("latin-1")
    except UnicodeEncodeError as error:
        raise ValueError("a header can only hold Latin-1 characters") from error
    return text


def _host_alone(value: object) -> object:
    if isinstance(value, str) and "/" in value:
        raise ValueError("has to be a host name or an address alone: scheme, port and path have keys of their own")
    return value


Regex = Annotated[str, Field(max_length=1_000), AfterValidator(_regex)]
Host = Annotated[
    str,
    Field(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9._-]+$|^\[?[0-9a-fA-F:.]+\]?$"),
    BeforeValidator(_host_alone),
]
Port = Annotated[int, Field(ge=1, le=65535)]
Path = Annotated[str, Field(max_length=1_000, pattern=r"^/[!-~]*$")]
Name = Annotated[str, Field(min_length=1, max_length=300, pattern=r"^[!-~]+$")]
HeaderName = Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$")]
HeaderValue = Annotated[str, Field(max_length=8_000), AfterValidator(_no_line_end)]
Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]


class _Block(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TransformRule(_Block):
    """One entry of `inspector.transforms`. All conditions that are given must hold; the first rule that fits wins."""

    match_host: Regex | None = Field(None, description="Host that the request asks for.")
    match_path: Regex | None = Field(None, description="Its path, with the query.")
    match_model: Regex | None = Field(None, description="The model it names, in the body or in the path.")
    match_provider: Regex | None = Field(None, description="The provider it goes to, as in `providers list`.")
    match_agent: Regex | None = Field(None, description="The program that sent it: `claude-code`, `codex`, ...")
    match_run: Regex | None = Field(None, description="Id of the run it belongs to.")
    match_project: Regex | None = Field(None, description="The project of that run.")
    match_source: Regex | None = Field(None, description="How it came: `reverse`, `proxy` or `wireguard`.")
    sources: tuple[Source, ...] = Field(
        (), description="Only requests that came this way: `reverse`, `proxy`, `wireguard`. Without it: all."
    )
    action: Action = Field(
        description="`passthrough`: leave it as it is; `redirect`: send the same body elsewhere; "
        "`transform`: elsewhere, in the dialect spoken there; `deny`: answer 403."
    )
    dest_provider: Name | None = Field(None, description="Provider to send it to; its credentials are used.")
    dest_model: Name | None = Field(None, description="Model to ask for there.")
    dest_host: Host | None = Field(None, description="Host to send it to, instead of the provider's own.")
    dest_path: Path | None = Field(
        None, description="Path to send it to. `{model}` and `{action}` stand for the model and the dialect's word."
    )
    dest_scheme: Literal["http", "https"] | None = Field(None, description="`http` or `https`.")
    dest_port: Port | None = Field(None, description="Port to send it to.")
    vertex_project: Name | None = Field(None, description="Google Cloud project, for `dest_provider: vertex`.")
    vertex_location: Name | None = Field(None, description="Its location: `global`, `us-east5`, ...")
    reason: str | None = Field(None, description="`deny`: what the client is told.", max_length=500)

    @model_validator(mode="after")
    def _says_where(self) -> TransformRule:
        told = [name for name in _DESTINATION if getattr(self, name) is not None]
        if self.action in ("passthrough", "deny"):
            if told:
                raise ValueError(f"`{self.action}` sends nothing elsewhere: remove `{told[0]}`")
        elif not told:
            raise ValueError(f"`{self.action}` needs a destination: `dest_provider`, `dest_model` or `dest_host`")
        if self.action == "transform" and self.dest_provider is None:
            raise ValueError("`transform` needs `dest_provider`: without it nobody knows the dialect spoken there")
        if self.reason is not None and self.action != "deny":
            raise ValueError("`reason` is for `deny` only")
        return self

    def conditions(self) -> dict[str, str]:
        """The regular expressions by what they are matched with: `host`, `path`, `model`, ..."""
        given = {name: getattr(self, f"match_{name}") for name in CONDITIONS}
        return {name: pattern for name, pattern in given.items() if pattern is not None}


CONDITIONS = ("source", "host", "path", "provider", "agent", "run", "project", "model")
"""Cheapest first; the model last, because it takes the body."""
_DESTINATION = (
    "dest_provider",
    "dest_model",
    "dest_host",
    "dest_path",
    "dest_scheme",
    "dest_port",
    "vertex_project",
    "vertex_location",
)


class FallbackTarget(_Block):
    """Where to go next; what is not said stays as it was."""

    provider: Name | None = Field(None, description="Another provider.")
    model: Name | None = Field(None, description="Another model.")

    @model_validator(mode="after")
    def _is_another(self) -> FallbackTarget:
        if self.provider is None and self.model is None:
            raise ValueError("needs a `provider`, a `model`, or both")
        return self


def _as_target(value: object) -> object:
    return {"model": value} if isinstance(value, str) else value


def _as_fallbacks(value: object) -> object:
    return {"to": value} if isinstance(value, list | tuple) else value


class Fallbacks(_Block):
    """`providers.NAME.fallbacks`; a list alone is its `to`."""

    on: tuple[Annotated[int, Field(ge=400, le=599)], ...] = Field(
        (429, 503, 500, 529),
        description="Status codes after which the request is sent again. Nothing is sent twice "
        "once the client has got a part of an answer.",
    )
    attempts: Annotated[int, Field(ge=1, le=20)] = Field(
        3, description="Attempts at the same provider and model, the first one counted."
    )
    max_delay: Seconds = Field(
        60, description="Longest wait before an attempt, in seconds, whatever the provider says."
    )
    give_up_after: Seconds = Field(
        300, description="A provider that says to wait longer than this is not asked again: the next one is."
    )
    budget: Seconds = Field(
        120,
        description="Seconds since the first attempt after which there is no more waiting; "
        "what is left of `to` is tried once each.",
    )
    to: tuple[Annotated[FallbackTarget, BeforeValidator(_as_target)], ...] = Field(
        (), description="Where to go next, in this order: a model, or `{provider, model}`.", max_length=20
    )


def _as_models(value: object) -> object:
    return {name: name for name in value} if isinstance(value, list | tuple) else value


class Upstream(_Block):
    """Where a provider's requests are sent: a part of `providers.NAME`."""

    host: Host | None = Field(None, description="Host that requests are sent to.")
    port: Port | None = Field(None, description="Its port. Default: 443, for `http` 80.")
    scheme: Literal["http", "https"] | None = Field(None, description="`http` or `https` (the default).")
    path: Path | None = Field(
        None,
        description="Path that requests are sent to, with `{model}` and `{action}` filled in. "
        "One that ends with a slash goes before the dialect's own path.",
    )
    type: Dialect | None = Field(
        None,
        description="Dialect spoken there. Default: of those the provider is known to "
        "speak, the client's own, else the first.",
    )
    models: Annotated[Mapping[Name, Name], BeforeValidator(_as_models)] = Field(
        {}, description="Models offered in `/v1/models`: a list, or a map from the name to offer to the provider's own."
    )
    headers: Mapping[HeaderName, HeaderValue] = Field(
        {}, description="Headers set on each request. Secrets belong into `auth`."
    )
    fallbacks: Annotated[Fallbacks, BeforeValidator(_as_fallbacks)] | None = Field(
        None, description="What to do when the provider cannot answer."
    )
