"""Host and path to provider and dialect."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccinspect.errors import ConfigError
from ccinspect.identity.providers import Providers
from ccinspect.identity.settings import ProviderSettings
from ccinspect.identity.table import BUILT_IN, DIALECTS
from ccinspect.wire import registry

# (host, port, path, provider, dialect)
CALLS = [
    ("api.anthropic.com", 443, "/v1/messages?beta=true", "anthropic", "anthropic"),
    ("api.anthropic.com", 443, "/v1/messages/count_tokens", "anthropic", "anthropic"),
    ("api.anthropic.com", 443, "/v1/messages/batches", "anthropic", "anthropic"),
    ("API.Anthropic.COM.", 443, "/messages", "anthropic", "anthropic"),
    ("api.openai.com", 443, "/v1/chat/completions", "openai", "openai_chat"),
    ("api.openai.com", 443, "/v1/completions", "openai", "openai_completions"),
    ("api.openai.com", 443, "/v1/embeddings", "openai", "openai_embeddings"),
    ("api.openai.com", 443, "/v1/responses", "openai", "openai_responses"),
    ("eu.api.openai.com", 443, "/v1/responses", "openai", "openai_responses"),
    ("chatgpt.com", 443, "/backend-api/codex/responses", "chatgpt", "openai_responses"),
    ("me.openai.azure.com", 443, "/openai/deployments/gpt-5/chat/completions?api-version=1",
     "azure-openai", "openai_chat"),
    ("me.openai.azure.com", 443, "/openai/v1/responses", "azure-openai", "openai_responses"),
    ("me.services.ai.azure.com", 443, "/anthropic/v1/messages", "azure-openai", "anthropic"),
    ("api.githubcopilot.com", 443, "/chat/completions", "github-copilot", "openai_chat"),
    ("api.individual.githubcopilot.com", 443, "/responses", "github-copilot", "openai_responses"),
    ("api.enterprise.githubcopilot.com", 443, "/v1/messages", "github-copilot", "anthropic"),
    ("copilot-proxy.githubusercontent.com", 443, "/v1/engines/copilot-codex/completions",
     "github-copilot", "openai_completions"),
    ("generativelanguage.googleapis.com", 443, "/v1beta/models/gemini-3-pro:streamGenerateContent?alt=sse&key=x",
     "gemini", "gemini"),
    ("generativelanguage.googleapis.com", 443, "/v1/models/gemini-3-pro:generateContent", "gemini", "gemini"),
    ("generativelanguage.googleapis.com", 443, "/v1beta/models/gemini-3-pro:countTokens", "gemini", "gemini"),
    ("generativelanguage.googleapis.com", 443, "/v1beta/openai/chat/completions", "gemini", "openai_chat"),
    ("cloudcode-pa.googleapis.com", 443, "/v1internal:streamGenerateContent?alt=sse", "code-assist", "gemini"),
    ("daily-cloudcode-pa.sandbox.googleapis.com", 443, "/v1internal:generateContent", "code-assist", "gemini"),
    ("us-central1-aiplatform.googleapis.com", 443,
     "/v1/projects/p/locations/us-central1/publishers/google/models/gemini-3-pro:generateContent", "vertex", "gemini"),
    ("aiplatform.eu.rep.googleapis.com", 443,
     "/v1/projects/p/locations/eu/publishers/anthropic/models/claude-opus-4:streamRawPredict", "vertex", "anthropic"),
    ("aiplatform.googleapis.com", 443, "/v1/projects/p/locations/global/endpoints/openapi/chat/completions",
     "vertex", "openai_chat"),
    ("bedrock-runtime.us-east-1.amazonaws.com", 443, "/model/us.anthropic.claude-opus-4-v1%3A0/converse-stream",
     "bedrock", "bedrock"),
    ("bedrock-runtime.us-east-1.amazonaws.com", 443,
     "/model/arn:aws:bedrock:us-east-1:1:inference-profile/x/invoke-with-response-stream", "bedrock", "bedrock"),
    ("bedrock-runtime.eu-west-1.amazonaws.com", 443, "/model/m/invoke", "bedrock", "bedrock"),
    ("bedrock-runtime.us-west-2.amazonaws.com", 443, "/openai/v1/chat/completions", "bedrock", "openai_chat"),
    ("q.us-east-1.amazonaws.com", 443, "/generateAssistantResponse", "amazon-q", "amazon_q"),
    ("openrouter.ai", 443, "/api/v1/chat/completions", "openrouter", "openai_chat"),
    ("openrouter.ai", 443, "/api/v1/messages", "openrouter", "anthropic"),
    ("api.deepseek.com", 443, "/chat/completions", "deepseek", "openai_chat"),
    ("api.deepseek.com", 443, "/anthropic/v1/messages", "deepseek", "anthropic"),
    ("api.x.ai", 443, "/v1/responses", "xai", "openai_responses"),
    ("api.mistral.ai", 443, "/v1/chat/completions", "mistral", "openai_chat"),
    ("codestral.mistral.ai", 443, "/v1/fim/completions", "mistral", "openai_chat"),
    ("api.groq.com", 443, "/openai/v1/chat/completions", "groq", "openai_chat"),
    ("api.moonshot.ai", 443, "/anthropic/v1/messages", "moonshot", "anthropic"),
    ("api.z.ai", 443, "/api/coding/paas/v4/chat/completions", "zai", "openai_chat"),
    ("dashscope.aliyuncs.com", 443, "/compatible-mode/v1/chat/completions", "qwen", "openai_chat"),
    ("dashscope-intl.aliyuncs.com", 443, "/api/v2/apps/claude-code-proxy/v1/messages", "qwen", "anthropic"),
    ("portal.qwen.ai", 443, "/v1/chat/completions", "qwen", "openai_chat"),
    ("api.minimax.io", 443, "/anthropic/v1/messages", "minimax", "anthropic"),
    ("api.cerebras.ai", 443, "/v1/chat/completions", "cerebras", "openai_chat"),
    ("api.together.xyz", 443, "/v1/chat/completions", "together", "openai_chat"),
    ("api.fireworks.ai", 443, "/inference/v1/chat/completions", "fireworks", "openai_chat"),
    ("api.perplexity.ai", 443, "/chat/completions", "perplexity", "openai_chat"),
    ("router.huggingface.co", 443, "/v1/chat/completions", "huggingface", "openai_chat"),
    ("opencode.ai", 443, "/zen/v1/responses", "opencode-zen", "openai_responses"),
    ("opencode.ai", 443, "/zen/v1/models/gemini-3-flash:streamGenerateContent", "opencode-zen", "gemini"),
    ("127.0.0.1", 11434, "/api/chat", "ollama", "ollama"),
    ("localhost", 11434, "/v1/chat/completions", "ollama", "openai_chat"),
    ("::1", 11434, "/api/generate", "ollama", "ollama"),
    ("[::1]", 11434, "/v1/messages", "ollama", "anthropic"),
    ("localhost", 1234, "/v1/responses", "lm-studio", "openai_responses"),
    ("127.0.0.1", 8080, "/completion", "llama.cpp", "openai_completions"),
    ("127.0.0.1", 8000, "/v1/chat/completions", "vllm", "openai_chat"),
]  # fmt: skip


@pytest.mark.parametrize(("host", "port", "path", "provider", "dialect"), CALLS)
def test_model_calls_are_named(host: str, port: int, path: str, provider: str, dialect: str) -> None:
    found = Providers().match(host, path, port=port)
    assert found is not None
    assert (found.provider, found.dialect, found.is_call) == (provider, dialect, True)
    assert not found.guessed


@pytest.mark.parametrize(
    ("host", "method", "path", "provider"),
    [
        ("api.anthropic.com", "POST", "/api/event_logging/batch", "anthropic"),
        ("statsig.anthropic.com", "POST", "/v1/rgstr", "anthropic"),
        ("api.anthropic.com", "GET", "/v1/messages", "anthropic"),
        ("api.openai.com", "GET", "/v1/models", "openai"),
        ("api.openai.com", "GET", "/v1/responses/resp_1", "openai"),
        ("chatgpt.com", "POST", "/backend-api/wham/usage", "chatgpt"),
        ("api2.cursor.sh", "POST", "/aiserver.v1.AnalyticsService/Batch", "cursor"),
        ("localhost", "GET", "/api/tags", None),
    ],
)
def test_other_traffic_to_a_provider_is_no_call(host: str, method: str, path: str, provider: str | None) -> None:
    found = Providers().match(host, path, method=method)
    assert (found.provider if found else None) == provider
    assert found is None or not found.is_call


@pytest.mark.parametrize(
    ("host", "port", "path"),
    [
        ("example.com", 443, "/v1/chat/completions"),
        ("api.anthropic.com.evil.example", 443, "/v1/messages"),
        ("notopenai.azure.com", 443, "/x"),
        ("127.0.0.1", 8000, "/index.html"),
        ("127.0.0.1", 4000, "/v1/messages"),
        ("", None, ""),
    ],
)
def test_hosts_in_no_table_match_nothing(host: str, port: int | None, path: str) -> None:
    assert Providers().match(host, path, port=port) is None


def test_cursors_calls_are_opaque() -> None:
    found = Providers().match("api2.cursor.sh", "/aiserver.v1.ChatService/StreamUnifiedChatWithTools")
    assert found is not None
    assert (found.provider, found.dialect, found.opaque, found.is_call) == ("cursor", None, True, True)


@pytest.mark.parametrize(
    ("target", "is_call"),
    [
        (b"AmazonCodeWhispererStreamingService.GenerateAssistantResponse", True),
        (b"AmazonQDeveloperStreamingService.SendMessage", True),
        (b"AmazonCodeWhispererService.GetUsageLimits", False),
        (b"", False),
    ],
)
def test_amazon_q_says_its_call_in_a_header(target: bytes, is_call: bool) -> None:
    found = Providers().match("codewhisperer.us-east-1.amazonaws.com", "/", headers=[(b"X-Amz-Target", target)])
    assert found is not None
    assert (found.provider, found.is_call) == ("amazon-q", is_call)


def test_a_websocket_starts_with_a_get() -> None:
    upgrade = [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
    found = Providers().match("api.openai.com", "/v1/responses", method="GET", headers=upgrade)
    assert found is not None
    assert found.dialect == "openai_responses"


def test_the_dialects_are_those_that_wire_can_read() -> None:
    assert set(DIALECTS) == set(registry.DIALECTS)


@pytest.mark.parametrize(("host", "port", "path", "provider", "dialect"), CALLS)
def test_wires_guess_from_the_path_alone_agrees(host: str, port: int, path: str, provider: str, dialect: str) -> None:
    guess = registry.recognise("POST", path)
    # The table knows more: what stands behind a host, and paths that say nothing by themselves.
    assert guess is None or guess.dialect == dialect or path.endswith("/fim/completions")


def test_every_route_speaks_a_known_dialect_and_names_are_unique() -> None:
    assert {dialect for entry in BUILT_IN for _, dialect in entry.routes} == set(DIALECTS)
    assert len({entry.name for entry in BUILT_IN}) == len(BUILT_IN)


GATEWAY = {"hosts": ["llm.corp.example", "*.llm.corp.example:8443"], "dialect": "openai_chat", "paths": ["/api/*/chat"]}


def providers(**entries: dict[str, object]) -> Providers:
    return Providers({name: ProviderSettings.model_validate(entry) for name, entry in entries.items()})


@pytest.mark.parametrize(
    ("host", "port", "path", "dialect"),
    [
        ("llm.corp.example", 443, "/api/v2/chat", "openai_chat"),
        ("eu.llm.corp.example", 8443, "/api/v2/chat?x=1", "openai_chat"),
        ("llm.corp.example", 443, "/api/v2/x/chat", None),
    ],
)
def test_a_declared_provider_reuses_a_dialect(host: str, port: int, path: str, dialect: str | None) -> None:
    found = providers(corp=GATEWAY).match(host, path, port=port)
    assert found is not None
    assert (found.provider, found.dialect) == ("corp", dialect)


def test_a_declared_port_is_only_that_port() -> None:
    assert providers(corp=GATEWAY).match("eu.llm.corp.example", "/api/v2/chat", port=443) is None


def test_a_declared_provider_with_expressions_is_read_by_them() -> None:
    table = providers(corp={"hosts": ["llm.corp.example"], "paths": ["/ask"], "request": {"model": ".m"}})
    found = table.match("llm.corp.example", "/ask")
    assert found is not None
    assert (found.provider, found.dialect, found.declared, found.is_call) == ("corp", None, True, True)
    other = table.match("llm.corp.example", "/health")
    assert other is not None
    assert not other.is_call


def test_more_hosts_for_a_provider_we_know() -> None:
    table = providers(anthropic={"hosts": ["claude-proxy.corp.example"]})
    found = table.match("claude-proxy.corp.example", "/v1/messages")
    assert found is not None
    assert (found.provider, found.dialect, found.prices) == ("anthropic", "anthropic", "anthropic")
    row = next(row for row in table.listing() if row.name == "anthropic")
    assert row.source == "built in + config"
    assert {"claude-proxy.corp.example", "api.anthropic.com"} <= set(row.hosts)


def test_a_declared_provider_beats_a_built_in_one_at_its_paths_only() -> None:
    table = providers(mine={"hosts": ["api.openai.com"], "paths": ["/v1/special"], "dialect": "anthropic"})
    assert [
        found.provider for path in ("/v1/special", "/v1/responses") if (found := table.match("api.openai.com", path))
    ] == [
        "mine",
        "openai",
    ]


@pytest.mark.parametrize("name", ["corp", "unknown"])
def test_a_provider_that_cannot_be_read_is_an_error_that_names_it(name: str) -> None:
    with pytest.raises(ConfigError, match=f"providers.{name}") as caught:
        providers(**{name: {"hosts": ["x.example"]}})
    assert caught.value.hint


def test_the_listing_has_every_provider_once() -> None:
    rows = providers(corp={"hosts": ["x"], "response": {"text": ".t"}}).listing()
    assert rows[0].name == "corp"
    assert rows[0].dialects == ("expressions",)
    assert rows[0].source == "config"
    assert len({row.name for row in rows}) == len(rows) == len(BUILT_IN) + 1
    assert next(row for row in rows if row.name == "cursor").dialects == ("opaque",)


def test_an_unknown_host_that_looks_like_a_model_call_is_marked() -> None:
    body = b'{"model": "m", "messages": [{"role": "user", "content": "hi"}]}'
    found = Providers().identify("gateway.example", "/proxy/llm", body=body)
    assert found is not None
    assert (found.provider, found.dialect, found.guessed) == ("unknown", "openai_chat", True)
    assert Providers().identify("gateway.example", "/proxy/llm", body=b'{"a": 1}') is None
    known = Providers().identify("api.openai.com", "/v1/files", body=body)
    assert known is not None
    assert (known.provider, known.is_call) == ("openai", False)


@given(st.text(), st.text(), st.none() | st.integers(), st.sampled_from(["GET", "POST", "CONNECT", ""]), st.binary())
def test_no_address_raises(host: str, path: str, port: int | None, method: str, value: bytes) -> None:
    headers = [(b"upgrade", value), (b"x-amz-target", value)]
    found = Providers().identify(host, path, port=port, method=method, headers=headers, body=value)
    assert found is None or found.provider in ("unknown", *BUILT_IN)
