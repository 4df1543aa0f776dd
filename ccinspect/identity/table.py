"""The providers known from the start: their hosts, and the dialect spoken on each path.

Host patterns: `*` stands for any part of a name, dots included; `:PORT` for that port only. Path patterns: `*` stands
for anything but a slash, `**` for anything. Names of dialects are those of the codecs in `wire/`.
"""

from __future__ import annotations

from dataclasses import dataclass

DIALECTS = (
    "anthropic",
    "openai_chat",
    "openai_completions",
    "openai_embeddings",
    "openai_responses",
    "gemini",
    "ollama",
    "bedrock",
    "amazon_q",
)

Routes = tuple[tuple[str, str], ...]
"""(path pattern, dialect), the first that fits wins."""

ANTHROPIC: Routes = (
    ("**/messages", "anthropic"),
    ("**/messages/count_tokens", "anthropic"),
    ("**/messages/batches", "anthropic"),
)
OPENAI: Routes = (
    ("**/chat/completions", "openai_chat"),
    ("**/completions", "openai_completions"),
    ("**/embeddings", "openai_embeddings"),
    ("**/responses", "openai_responses"),
    ("**/responses/compact", "openai_responses"),
    ("**/responses/input_tokens", "openai_responses"),
)
GEMINI: Routes = tuple(
    (f"{place}:{method}", "gemini")
    for place in ("**/models/*", "**/tunedModels/*", "/v1internal")
    for method in (
        "generateContent",
        "streamGenerateContent",
        "countTokens",
        "embedContent",
        "batchEmbedContents",
        "batchGenerateContent",
    )
)
VERTEX: Routes = (
    ("**/publishers/anthropic/models/*:rawPredict", "anthropic"),
    ("**/publishers/anthropic/models/*:streamRawPredict", "anthropic"),
    ("**/publishers/mistralai/models/*:rawPredict", "openai_chat"),
    ("**/publishers/mistralai/models/*:streamRawPredict", "openai_chat"),
    ("**/endpoints/*:generateContent", "gemini"),
    ("**/endpoints/*:streamGenerateContent", "gemini"),
)
BEDROCK: Routes = (
    ("/model/**/converse", "bedrock"),
    ("/model/**/converse-stream", "bedrock"),
    ("/model/**/invoke", "bedrock"),
    ("/model/**/invoke-with-response-stream", "bedrock"),
    ("/model/**/count-tokens", "bedrock"),
)
AMAZON_Q: Routes = (
    ("/generateAssistantResponse", "amazon_q"),
    ("/SendMessageStreaming", "amazon_q"),
)
AMAZON_Q_TARGETS = ("GenerateAssistantResponse", "SendMessage", "SendMessageStreaming")
"""Last part of the `x-amz-target` header of its model calls, which all go to the path `/`."""
OLLAMA: Routes = (
    ("/api/chat", "ollama"),
    ("/api/generate", "ollama"),
    ("/api/embed", "ollama"),
    ("/api/embeddings", "ollama"),
)

_LOOPBACK = ("localhost", "127.0.0.1", "::1", "host.docker.internal")


@dataclass(frozen=True, slots=True)
class Entry:
    """One provider."""

    name: str
    title: str
    """For people."""
    hosts: tuple[str, ...]
    routes: Routes = ()
    prices: str | None = None
    """Its name in genai-prices, where that knows it."""
    only_calls: bool = False
    """The host says little (a port of this machine): only its model calls are taken for this provider's."""
    opaque_calls: tuple[str, ...] = ()
    """Paths of model calls in a form nobody here reads."""


def _local(port: int) -> tuple[str, ...]:
    return tuple(f"{host}:{port}" for host in _LOOPBACK)


BUILT_IN: tuple[Entry, ...] = (
    Entry("anthropic", "Anthropic", ("api.anthropic.com", "*.anthropic.com"), ANTHROPIC, "anthropic"),
    Entry("openai", "OpenAI", ("api.openai.com", "*.api.openai.com"), OPENAI, "openai"),
    Entry("chatgpt", "ChatGPT backend (Codex)", ("chatgpt.com", "*.chatgpt.com"), OPENAI, "openai"),
    Entry(
        "azure-openai",
        "Azure OpenAI",
        ("*.openai.azure.com", "*.cognitiveservices.azure.com", "*.services.ai.azure.com"),
        (*OPENAI, *ANTHROPIC),
        "azure",
    ),
    Entry(
        "github-copilot",
        "GitHub Copilot",
        (
            "api.githubcopilot.com",
            "*.githubcopilot.com",
            "copilot-proxy.githubusercontent.com",
            "copilot-api.*.ghe.com",
        ),
        (*OPENAI, *ANTHROPIC),
        "github-copilot",
    ),
    Entry("code-assist", "Gemini Code Assist", ("cloudcode-pa.googleapis.com", "*-cloudcode-pa.*"), GEMINI, "google"),
    Entry(
        "vertex",
        "Google Vertex AI",
        ("aiplatform.googleapis.com", "*-aiplatform.googleapis.com", "aiplatform.*.rep.googleapis.com"),
        (*VERTEX, *GEMINI, *OPENAI),
        "google",
    ),
    Entry("gemini", "Google Gemini API", ("generativelanguage.googleapis.com",), (*GEMINI, *OPENAI), "google"),
    Entry(
        "bedrock",
        "Amazon Bedrock",
        ("bedrock-runtime.*.amazonaws.com", "bedrock-runtime-fips.*.amazonaws.com", "bedrock-mantle.*.api.aws"),
        (*BEDROCK, *OPENAI, *ANTHROPIC),
        "aws",
    ),
    Entry(
        "amazon-q",
        "Amazon Q and Kiro",
        ("q.*.amazonaws.com", "codewhisperer.*.amazonaws.com", "*.kiro.dev"),
        AMAZON_Q,
    ),
    Entry("openrouter", "OpenRouter", ("openrouter.ai", "*.openrouter.ai"), (*OPENAI, *ANTHROPIC), "openrouter"),
    Entry("deepseek", "DeepSeek", ("api.deepseek.com",), (*OPENAI, *ANTHROPIC), "deepseek"),
    Entry("xai", "xAI", ("api.x.ai", "*.api.x.ai"), (*OPENAI, *ANTHROPIC), "x-ai"),
    Entry(
        "mistral",
        "Mistral",
        ("api.mistral.ai", "codestral.mistral.ai"),
        (("**/fim/completions", "openai_chat"), *OPENAI),
        "mistral",
    ),
    Entry("groq", "Groq", ("api.groq.com",), OPENAI, "groq"),
    Entry(
        "moonshot",
        "Moonshot",
        ("api.moonshot.ai", "api.moonshot.cn", "api.kimi.com"),
        (*OPENAI, *ANTHROPIC),
        "moonshotai",
    ),
    Entry("zai", "Z.AI", ("api.z.ai", "open.bigmodel.cn"), (*OPENAI, *ANTHROPIC), "zai"),
    Entry(
        "qwen",
        "Qwen (Alibaba Cloud)",
        ("dashscope.aliyuncs.com", "dashscope-*.aliyuncs.com", "portal.qwen.ai"),
        (*OPENAI, *ANTHROPIC),
    ),
    Entry("minimax", "MiniMax", ("api.minimax.io", "api.minimaxi.com"), (*OPENAI, *ANTHROPIC), "minimax"),
    Entry("cerebras", "Cerebras", ("api.cerebras.ai",), OPENAI, "cerebras"),
    Entry("together", "Together AI", ("api.together.xyz", "api.together.ai"), OPENAI, "together"),
    Entry("fireworks", "Fireworks", ("api.fireworks.ai",), (*OPENAI, *ANTHROPIC), "fireworks"),
    Entry("perplexity", "Perplexity", ("api.perplexity.ai",), OPENAI, "perplexity"),
    Entry("huggingface", "Hugging Face", ("router.huggingface.co",), OPENAI),
    Entry(
        "cursor",
        "Cursor",
        ("api2.cursor.sh", "*.cursor.sh", "api.cursor.com"),
        prices="cursor",
        opaque_calls=(
            "/aiserver.v1.ChatService/*",
            "/agent.v1.AgentService/Run*",
            "/aiserver.v1.AiService/Stream*",
        ),
    ),
    Entry("opencode-zen", "opencode Zen", ("opencode.ai",), (*OPENAI, *ANTHROPIC, *GEMINI)),
    Entry("ollama", "Ollama", (*_local(11434), "ollama.com"), (*OLLAMA, *OPENAI, *ANTHROPIC)),
    Entry("lm-studio", "LM Studio", _local(1234), (*OPENAI, *ANTHROPIC)),
    Entry(
        "llama.cpp",
        "llama.cpp",
        _local(8080),
        (*OPENAI, *ANTHROPIC, ("/completion", "openai_completions")),
        only_calls=True,
    ),
    Entry("vllm", "vLLM", _local(8000), (*OPENAI, *ANTHROPIC), only_calls=True),
)
