"""Where each provider's requests go: host and path, by the dialect spoken and by what is asked.

Sources: the providers' API references. A path may hold `{model}`, `{action}` and, on Vertex, `{project}` and
`{location}`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from urllib.parse import quote

from ccinspect.transform.settings import FallbackSettings, Upstream

Paths = Mapping[str, str]

_GEMINI = "/v1beta/models/{model}:{action}"
_NOTHING: Mapping[str, str] = MappingProxyType({})

TRANSLATED = ("anthropic", "openai_chat", "openai_responses", "gemini", "ollama")
"""The dialects that requests and answers can be translated between."""

# What a kind of request adds to, or puts in the place of, the path of `generate`.
_OTHER_KINDS = {
    ("anthropic", "count_tokens"): "/count_tokens",
    ("openai_responses", "count_tokens"): "/input_tokens",
    ("openai_responses", "compact"): "/compact",
}
_ACTIONS = {
    ("generate", False): "generateContent",
    ("generate", True): "streamGenerateContent",
    ("count_tokens", False): "countTokens",
}


@dataclass(frozen=True, slots=True)
class Destination:
    """One provider, as a place to send requests to."""

    provider: str
    scheme: str
    host: str
    port: int
    paths: Paths
    """Path of its model calls by the dialect; the first is the one it speaks best. Empty: whatever the client asks."""
    base: str = ""
    """Path that the client's own path is put behind, when its dialect has no entry in `paths`."""
    headers: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    models: tuple[str, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    """Its own names for the names that clients use."""
    fallbacks: FallbackSettings | None = None
    project: str | None = None
    location: str | None = None

    def dialect_for(self, client: str | None) -> str | None:
        """The dialect to speak with it for a client of another or the same one; None: the client's, unchanged."""
        if not self.paths or client in self.paths:
            return client
        return next(iter(self.paths))

    def path_for(self, dialect: str, kind: str, model: str | None, stream: bool) -> str | None:
        """The path of a request; None where this provider has none for its kind."""
        template = self.paths.get(dialect)
        if template is None:
            return None
        if "{action}" in template:
            action = _ACTIONS.get((kind, stream))
            if dialect == "anthropic":
                action = {"generateContent": "rawPredict", "streamGenerateContent": "streamRawPredict"}.get(
                    action or ""
                )
            if action is None:
                return None
            path = template.replace("{action}", action)
            path += "?alt=sse" if action == "streamGenerateContent" else ""
        elif kind == "generate":
            path = template
        elif other := _OTHER_KINDS.get((dialect, kind)):
            path = template + other
        else:
            return None
        values = {"model": model or "", "project": self.project or "", "location": self.location or "global"}
        return re.sub(r"\{(model|project|location)\}", lambda found: quote(values[found[1]], safe="/:@.-_~"), path)

    def own_name(self, model: str | None) -> str | None:
        """The model's name there."""
        return self.aliases.get(model, model) if model is not None else None

    @property
    def netloc(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == {"http": 80, "https": 443}[self.scheme] else f"{host}:{self.port}"


def _openai(base: str, *, responses: bool = False, anthropic: str | None = None) -> Paths:
    paths = {"openai_chat": f"{base}/chat/completions"}
    if responses:
        paths = {"openai_responses": f"{base}/responses", **paths}
    paths |= {"openai_completions": f"{base}/completions", "openai_embeddings": f"{base}/embeddings"}
    return paths | ({"anthropic": anthropic} if anthropic else {})


def _https(provider: str, host: str, paths: Paths) -> Destination:
    return Destination(provider, "https", host, 443, paths)


def _local(provider: str, port: int, paths: Paths) -> Destination:
    return Destination(provider, "http", "127.0.0.1", port, paths)


_BUILT_IN = (
    _https(
        "anthropic",
        "api.anthropic.com",
        {"anthropic": "/v1/messages"},
    ),
    _https("openai", "api.openai.com", _openai("/v1", responses=True)),
    _https("chatgpt", "chatgpt.com", {"openai_responses": "/backend-api/codex/responses"}),
    _https(
        "gemini",
        "generativelanguage.googleapis.com",
        {"gemini": _GEMINI},
    ),
    _https(
        "vertex",
        "{location}-aiplatform.googleapis.com",
        {
            "gemini": "/v1/projects/{project}/locations/{location}/publishers/google/models/{model}:{action}",
            "anthropic": "/v1/projects/{project}/locations/{location}/publishers/anthropic/models/{model}:{action}",
        },
    ),
    _https("openrouter", "openrouter.ai", _openai("/api/v1", responses=True, anthropic="/api/v1/messages")),
    _https("deepseek", "api.deepseek.com", _openai("", anthropic="/anthropic/v1/messages")),
    _https("xai", "api.x.ai", _openai("/v1", responses=True, anthropic="/v1/messages")),
    _https("mistral", "api.mistral.ai", _openai("/v1")),
    _https("groq", "api.groq.com", _openai("/openai/v1", responses=True)),
    _https("moonshot", "api.moonshot.ai", _openai("/v1", anthropic="/anthropic/v1/messages")),
    _https("zai", "api.z.ai", _openai("/api/paas/v4", anthropic="/api/anthropic/v1/messages")),
    _https(
        "github-copilot",
        "api.githubcopilot.com",
        {
            "openai_chat": "/chat/completions",
            "openai_responses": "/responses",
            "anthropic": "/v1/messages",
        },
    ),
    _local("ollama", 11434, {"ollama": "/api/chat", **_openai("/v1", responses=True, anthropic="/v1/messages")}),
    _local("lm-studio", 1234, _openai("/v1", responses=True, anthropic="/v1/messages")),
    _local("llama.cpp", 8080, _openai("/v1", responses=True, anthropic="/v1/messages")),
    _local("vllm", 8000, _openai("/v1", responses=True, anthropic="/v1/messages")),
)
BUILT_IN: Mapping[str, Destination] = {each.provider: each for each in _BUILT_IN}

_DEFAULT_PATHS: Mapping[str, str] = {
    "anthropic": "/v1/messages",
    "openai_chat": "/v1/chat/completions",
    "openai_responses": "/v1/responses",
    "openai_completions": "/v1/completions",
    "openai_embeddings": "/v1/embeddings",
    "gemini": _GEMINI,
    "ollama": "/api/chat",
}


def build_destinations(upstreams: Mapping[str, Upstream]) -> dict[str, Destination]:
    """The built-in destinations, changed and added to by the configuration's `providers`."""
    found = dict(BUILT_IN)
    for name, upstream in upstreams.items():
        built_in = found.get(name)
        if built_in is None and upstream.host is None:
            # It only says how calls to its hosts are read.
            continue
        found[name] = _declared(name, upstream, built_in)
    return found


def _declared(name: str, upstream: Upstream, built_in: Destination | None) -> Destination:
    host = (upstream.host or (built_in.host if built_in else "")).strip("[]")
    scheme = upstream.scheme or (built_in.scheme if built_in and not upstream.host else _scheme_of(host))
    port = upstream.port or (built_in.port if built_in and not upstream.host else {"http": 80, "https": 443}[scheme])
    paths: Paths = built_in.paths if built_in else {}
    if upstream.type is not None:
        paths = {upstream.type: upstream.path or paths.get(upstream.type) or _DEFAULT_PATHS.get(upstream.type, "/")}
    elif upstream.path is not None and paths:
        paths = {next(iter(paths)): upstream.path}
    aliases = upstream.models if isinstance(upstream.models, dict) else {}
    return replace(
        built_in or Destination(name, scheme, host, port, paths),
        scheme=scheme,
        host=host,
        port=port,
        paths=paths,
        headers=upstream.headers,
        models=tuple(upstream.models),
        aliases=aliases,
        fallbacks=upstream.fallbacks,
    )


def _scheme_of(host: str) -> str:
    return "http" if host in ("localhost", "127.0.0.1", "::1") else "https"


def on_vertex(destination: Destination, project: str | None, location: str | None) -> Destination:
    """The destination for one project and location of Google Cloud."""
    location = location or destination.location or "global"
    host = destination.host
    if "{location}" in host:
        host = "aiplatform.googleapis.com" if location == "global" else host.replace("{location}", location)
    return replace(destination, host=host, project=project or destination.project, location=location)
