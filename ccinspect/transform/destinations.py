"""Where requests can be sent: the providers known from the start, and those of the configuration.

A provider may speak several dialects, each below a path of its own. A path is a template: `{model}` stands for the
model, `{action}` for the dialect's word for what is asked (`generateContent`, `messages/count_tokens`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from urllib.parse import quote

from ccinspect.transform.settings import Upstream

_V1 = "/v1/{action}"
_NOTHING: Mapping[str, str] = MappingProxyType({})

ACTIONS: dict[tuple[str, str], str] = {
    ("anthropic", "generate"): "messages",
    ("anthropic", "count_tokens"): "messages/count_tokens",
    ("anthropic", "batch"): "messages/batches",
    ("openai_chat", "generate"): "chat/completions",
    ("openai_completions", "generate"): "completions",
    ("openai_embeddings", "embeddings"): "embeddings",
    ("openai_responses", "generate"): "responses",
    ("openai_responses", "warm_up"): "responses",
    ("openai_responses", "count_tokens"): "responses/input_tokens",
    ("openai_responses", "compact"): "responses/compact",
    ("gemini", "generate"): "generateContent",
    ("gemini", "count_tokens"): "countTokens",
    ("ollama", "generate"): "api/chat",
    ("ollama", "embeddings"): "api/embed",
}
"""(dialect, kind of request) -> the dialect's word for it."""
_STREAMED = {"generateContent": "streamGenerateContent", "rawPredict": "streamRawPredict"}
_LAST_OF_CALL = re.compile(r"/(?:messages|chat/completions|completions|embeddings|responses|api/chat)$")


@dataclass(frozen=True, slots=True)
class Destination:
    """One place to send requests to, as one rule, sentinel or fallback asks for it."""

    provider: str | None
    """Whose credentials are used; None where only an address was given."""
    scheme: str
    host: str
    port: int
    path: str | None
    """Template; None keeps the request's own path."""
    dialect: str | None
    """What is spoken there; None where the body goes as it is, whatever it says."""
    model: str | None = None
    """The model's name there; None keeps the client's."""
    headers: Mapping[str, str] = _NOTHING
    only_max_tokens: bool = False
    """Chat Completions as others than OpenAI serve it: `max_tokens` and `system`, no newer names."""
    strict_fields: bool = False
    """Fields it does not know are refused (Mistral)."""
    model_in_path: bool = False
    """Anthropic's bodies on Vertex: the model and the version stand elsewhere than at Anthropic."""
    keeps_credentials: bool = False
    """The client's own credentials go along: the request stays with its provider, or its sender named the host."""

    def path_for(self, kind: str, stream: bool, model: str | None) -> str | None:
        """The path for a request of this kind; None when it keeps its own, or when nothing here is of that kind."""
        if self.path is None:
            return None
        if self.dialect is None:
            return _named(self.path, model).replace("{action}", "")
        action = ACTIONS.get((self.dialect, kind))
        if action is None:
            return None
        return fill(self.path, self.dialect, action, stream, model)

    def below_prefix(self, path: str) -> str | None:
        """The path of what is no model call (`/v1/models`): the one given, or its own below the provider's prefix."""
        if self.dialect is None:
            return self.path if self.path is not None and "{" not in self.path else None
        bare = path.partition("?")[0]
        if self.path is not None and self.path.endswith(_V1) and bare.startswith("/v1/"):
            return self.path.removesuffix(_V1) + bare
        return None

    def as_record(self) -> dict[str, object]:
        return {
            "provider": self.provider,
            "scheme": self.scheme,
            "host": self.host,
            "port": self.port,
            "path": self.path,
            "dialect": self.dialect,
            "model": self.model,
        }


def fill(template: str, dialect: str, action: str, stream: bool, model: str | None) -> str:
    """The template with the model and the action in it."""
    if "publishers/anthropic" in template:
        # On Vertex, tokens are counted by a model of that name.
        template = template.replace("{model}", "count-tokens") if action.endswith("count_tokens") else template
        action = "rawPredict"
    if stream:
        action = _STREAMED.get(action, action)
    if template.endswith("/"):
        template += "v1/{action}" if dialect.startswith(("openai", "anthropic")) else "{action}"
        if dialect == "gemini":
            template = template.removesuffix("{action}") + "v1beta/models/{model}:{action}"
    if "{action}" not in template and "/" in action and _LAST_OF_CALL.search(template):
        # A path given for generating says where its neighbours are.
        base = template.removesuffix("/" + _main_action(dialect))
        template = f"{base}/{action}" if base != template else template
    path = _named(template, model).replace("{action}", action)
    return f"{path}?alt=sse" if action == "streamGenerateContent" and "?" not in path else path


def _named(template: str, model: str | None) -> str:
    return template.replace("{model}", quote(model or "unknown", safe="@.-_~:/"))


def _main_action(dialect: str) -> str:
    return ACTIONS.get((dialect, "generate"), "")


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one provider: its address, and the path template of each dialect it speaks, best first."""

    name: str
    host: str | None
    paths: Mapping[str, str]
    scheme: str = "https"
    port: int | None = None
    only_max_tokens: bool = True
    strict_fields: bool = False
    headers: Mapping[str, str] = _NOTHING
    models: Mapping[str, str] = _NOTHING
    settings: Upstream | None = field(default=None, compare=False)

    def dialect_for(self, asked: str | None) -> str | None:
        """The dialect to speak with a client of this one."""
        if asked in self.paths:
            return asked
        spoken = [dialect for dialect in self.paths if dialect in TRANSLATABLE]
        return spoken[0] if spoken else None


TRANSLATABLE = ("anthropic", "openai_chat", "openai_responses", "gemini", "ollama")
"""Dialects that requests and answers can be translated from and to."""

_OPENAI = {"openai_chat": _V1, "openai_responses": _V1, "openai_completions": _V1, "openai_embeddings": _V1}
_CHAT = {"openai_chat": _V1, "openai_completions": _V1, "openai_embeddings": _V1}
_GEMINI = "/v1beta/models/{model}:{action}"
_VERTEX = "/v1/projects/{project}/locations/{location}"


def _below(prefix: str, paths: Mapping[str, str]) -> dict[str, str]:
    return {dialect: prefix + path for dialect, path in paths.items()}


BUILT_IN: dict[str, Known] = {
    known.name: known
    for known in (
        Known("anthropic", "api.anthropic.com", {"anthropic": _V1}),
        Known("openai", "api.openai.com", _OPENAI, only_max_tokens=False),
        Known(
            "gemini",
            "generativelanguage.googleapis.com",
            {
                "gemini": _GEMINI,
                **_below("/v1beta/openai", {"openai_chat": "/{action}", "openai_embeddings": "/{action}"}),
            },
        ),
        Known(
            "vertex",
            "{location}-aiplatform.googleapis.com",
            {
                "gemini": _VERTEX + "/publishers/google/models/{model}:{action}",
                "anthropic": _VERTEX + "/publishers/anthropic/models/{model}:{action}",
                "openai_chat": _VERTEX + "/endpoints/openapi/{action}",
            },
        ),
        Known(
            "openrouter",
            "openrouter.ai",
            _below("/api", {**_OPENAI, "anthropic": _V1}),
            only_max_tokens=False,
        ),
        Known("deepseek", "api.deepseek.com", {**_CHAT, "anthropic": "/anthropic" + _V1}),
        Known("xai", "api.x.ai", {**_OPENAI, "anthropic": _V1}),
        Known("mistral", "api.mistral.ai", _CHAT, strict_fields=True),
        Known("groq", "api.groq.com", _below("/openai", _OPENAI)),
        Known("moonshot", "api.moonshot.ai", {**_CHAT, "anthropic": "/anthropic" + _V1}),
        Known("zai", "api.z.ai", {"openai_chat": "/api/paas/v4/{action}", "anthropic": "/api/anthropic" + _V1}),
        Known("ollama", "127.0.0.1", {"ollama": "/{action}", **_OPENAI, "anthropic": _V1}, scheme="http", port=11434),
        # Only sent on as it is: its requests are signed, and its dialect is only read.
        Known("bedrock", None, {}),
    )
}


class Destinations:
    """All providers that requests can be sent to."""

    def __init__(self, upstreams: Mapping[str, Upstream] | None = None, hosts: Mapping[str, str] | None = None) -> None:
        """`upstreams` are the entries of `providers`; `hosts` gives the host of those that only say `hosts:`."""
        self.known = dict(BUILT_IN)
        for name, settings in (upstreams or {}).items():
            self.known[name] = _configured(name, settings, self.known.get(name), (hosts or {}).get(name))

    def names(self) -> Iterable[str]:
        return self.known.keys()

    def find(
        self,
        provider: str,
        dialect: str | None,
        model: str | None = None,
        vertex: tuple[str | None, str | None] = (None, None),
    ) -> Destination | None:
        """Where a request in `dialect` (None: not a call we read) goes at a provider; None when it has no address.

        `vertex` is its project and location. `model` may be one of the provider's aliases.
        """
        known = self.known.get(provider)
        if known is None or known.host is None:
            return None
        spoken = known.dialect_for(dialect)
        project, location = vertex
        path = known.paths.get(spoken) if spoken else None
        places = {"{project}": project or "", "{location}": location or "global"}
        host = known.host
        if host.startswith("{location}-") and places["{location}"] == "global":
            host = host.removeprefix("{location}-")
        for mark, value in places.items():
            host = host.replace(mark, value)
            path = path.replace(mark, quote(value, safe="")) if path is not None else None
        return Destination(
            provider=provider,
            scheme=known.scheme,
            host=host,
            port=known.port or (80 if known.scheme == "http" else 443),
            path=path,
            dialect=spoken,
            model=known.models.get(model, model) if model else None,
            headers=known.headers,
            only_max_tokens=known.only_max_tokens,
            strict_fields=known.strict_fields,
            model_in_path=spoken == "anthropic" and path is not None and "{model}" in path,
        )


def _configured(name: str, settings: Upstream, known: Known | None, host: str | None) -> Known:
    """A provider of the configuration, on top of the built-in one of the same name."""
    base = known or Known(name, host, {})
    paths = dict(base.paths)
    if settings.type is not None:
        paths = {settings.type: settings.path or paths.get(settings.type) or "/"}
    elif settings.path is not None:
        paths = _moved(paths, settings.path)
    elif not paths:
        paths = dict(_CHAT)
    moved = settings.host is not None or settings.scheme is not None
    return replace(
        base,
        host=settings.host.strip("[]") if settings.host else base.host,
        port=settings.port or (None if moved else base.port),
        scheme=settings.scheme or base.scheme,
        paths=paths,
        only_max_tokens=base.only_max_tokens
        if settings.host is None and known
        else not _is_openais(settings.host or host),
        headers={**base.headers, **settings.headers},
        models=dict(settings.models),
        settings=settings,
    )


def _moved(paths: Mapping[str, str], path: str) -> dict[str, str]:
    """The dialects that can be spoken at a path of the configuration: a fixed one is one dialect's."""
    first = next(iter(paths), "openai_chat")
    if "{action}" not in path and not path.endswith("/"):
        return {first: path}
    family = first.partition("_")[0]
    return {dialect: path for dialect in paths if dialect.startswith(family)} or {first: path}


def _is_openais(host: str | None) -> bool:
    """Hosts that know `max_completion_tokens`, and models that know nothing else."""
    return host is not None and host.lower().endswith(("openai.com", ".azure.com", "openrouter.ai"))
