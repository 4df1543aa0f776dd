"""Which program sent a request: a coding agent, an SDK or a tool, with its version.

What the request says of itself comes first. A command line decides only for agents that send nothing but the
User-Agent of the SDK they use (aider, pi, Cline's command line), so that `curl` called by an agent stays `curl`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

Kind = Literal["agent", "sdk", "tool"]

MAX_VALUE = 1_000
"""Characters of a header that are looked at."""
MAX_WORDS = 12
"""Words of a command line that are looked at."""

_VERSION = r"(?P<version>[\w.+-]+)"


@dataclass(frozen=True, slots=True)
class Agent:
    """The sender of a request."""

    name: str
    version: str | None
    kind: Kind
    via: str
    """What told: `user-agent`, the name of another header, or `command`."""
    surface: str | None = None
    """The sender's own word for how it runs: `cli`, `claude-vscode`, `codex_exec`, `vscode-chat`, ..."""
    sdk: str | None = None
    """The SDK an agent was recognised beside: `openai-python 1.99.1`."""

    def as_record(self) -> dict[str, str | None]:
        return asdict(self)


# In this order; the first that fits wins. The strings they were written from stand in tests/identity/test_agents.py.
_PATTERNS: tuple[tuple[Kind, str, str], ...] = (
    ("agent", "claude-code", rf"^claude-(?:cli|code)/{_VERSION}(?: \([^,()]*, (?P<surface>[\w-]+))?"),
    ("agent", "codex", rf"^(?P<surface>codex(?:[_-]\w+)*|Codex(?: \w+)?)/{_VERSION}"),
    ("agent", "gemini-cli", rf"^GeminiCLI(?:-(?P<surface>[\w-]+))?/{_VERSION}"),
    ("agent", "gemini-cli", rf"^(?P<surface>CloudCodeVSCode)/{_VERSION} .*proxy_client=geminicli"),
    ("agent", "qwen-code", rf"^QwenCode/{_VERSION}"),
    ("agent", "kimi-cli", rf"^KimiCLI/{_VERSION}"),
    ("agent", "mistral-vibe", rf"^mistral-client-\w+/Mistral-Vibe/{_VERSION}"),
    ("agent", "opencode", rf"^opencode\d?/(?:[a-z]+/)?{_VERSION}"),
    ("agent", "copilot", rf"^GitHubCopilotChat/{_VERSION}"),
    ("agent", "copilot", rf"^GithubCopilot/{_VERSION}"),
    ("agent", "copilot", rf"^copilot/{_VERSION}"),
    ("agent", "cursor", rf"^Cursor/{_VERSION}"),
    ("agent", "aider", rf"^[Aa]ider/{_VERSION}"),
    ("agent", "cline", rf"^Cline/{_VERSION}"),
    ("agent", "roo-code", rf"^RooCode/{_VERSION}"),
    ("agent", "kilo-code", rf"^Kilo-Code/{_VERSION}"),
    ("agent", "zed", rf"^Zed/{_VERSION}"),
    ("agent", "antigravity", rf"^antigravity/{_VERSION}"),
    ("agent", "kiro", r"(?:^| )KiroIDE-(?P<version>\d+(?:\.\d+)*)"),
    ("agent", "kiro", rf"^KiroCLI/{_VERSION}"),
    ("agent", "amazon-q", r"^(?=.* app/AmazonQ-For-CLI\b)(?:.* md/appVersion-(?P<version>\d+(?:\.\d+)*))?"),
    ("sdk", "anthropic-python", rf"^(?:Async)?Anthropic(?:Bedrock|Vertex|Foundry)?/Python {_VERSION}"),
    ("sdk", "anthropic-js", rf"^Anthropic(?:Bedrock|Vertex|Foundry)?/JS {_VERSION}"),
    ("sdk", "openai-python", rf"^(?:Async)?(?:Azure)?OpenAI/Python {_VERSION}"),
    ("sdk", "openai-js", rf"^(?:Azure)?OpenAI/JS {_VERSION}"),
    ("sdk", "groq-python", rf"^(?:Async)?Groq/Python {_VERSION}"),
    ("sdk", "groq-js", rf"^Groq/JS {_VERSION}"),
    ("sdk", "google-genai", rf"^google-genai-sdk/{_VERSION}(?: gl-(?P<surface>\w+))?"),
    ("sdk", "ollama-python", rf"^ollama-python/{_VERSION}"),
    ("sdk", "ollama-js", rf"^ollama-js/{_VERSION}"),
    ("sdk", "mistral-client", rf"^mistral-client-\w+/{_VERSION}"),
    ("sdk", "cohere", rf"^cohere(?:-ai)?/{_VERSION}"),
    ("sdk", "litellm", rf"^litellm/{_VERSION}"),
    ("sdk", "ai-sdk", rf"^ai(?:-sdk/[\w-]+)?/{_VERSION}"),
    ("sdk", "boto3", rf"^Boto3/{_VERSION}"),
    ("sdk", "aws-sdk", rf"^aws-sdk-\w+/{_VERSION}"),
    ("tool", "curl", rf"^curl/{_VERSION}"),
    ("tool", "wget", rf"^Wget/{_VERSION}"),
    ("tool", "git", rf"^git/{_VERSION}"),
    ("tool", "pip", rf"^pip/{_VERSION}"),
    ("tool", "uv", rf"^uv/{_VERSION}"),
    ("tool", "npm", rf"^npm/{_VERSION}"),
    ("tool", "python-requests", rf"^python-requests/{_VERSION}"),
    ("tool", "python-httpx", rf"^python-httpx2?/{_VERSION}"),
    ("tool", "aiohttp", rf"^Python/[\d.]+ aiohttp/{_VERSION}"),
    ("tool", "python-urllib", rf"^Python-urllib/{_VERSION}"),
    ("tool", "go", rf"^Go-http-client/{_VERSION}"),
    ("tool", "node", r"^(?:node|undici)(?:/(?P<version>[\w.+-]+))?$"),
    ("tool", "bun", rf"^Bun/{_VERSION}"),
    ("tool", "deno", rf"^Deno/{_VERSION}"),
    ("tool", "browser", r"^Mozilla/5\.0 .*(?:Chrome|Firefox|Version)/(?P<version>[\d.]+)"),
)
_USER_AGENTS = [(kind, name, re.compile(pattern)) for kind, name, pattern in _PATTERNS]
_ANY_PRODUCT = re.compile(rf"^(?P<name>[A-Za-z][\w.-]{{1,40}})/{_VERSION}")

# What agents call themselves to OpenRouter and its kin, which ask for a title and an address.
_TITLES = {"aider": "aider", "cline": "cline", "roo code": "roo-code", "kilo code": "kilo-code", "opencode": "opencode"}
_REFERERS = {
    "aider.chat": "aider",
    "cline.bot": "cline",
    "roocode.com": "roo-code",
    "kilocode.ai": "kilo-code",
    "opencode.ai": "opencode",
}

_STAINLESS = {"python": "python", "js": "js", "node": "js", "java": "java", "go": "go", "ruby": "ruby"}

# Names of the programs, and of the packages they come in.
_COMMANDS = {
    "claude": "claude-code",
    "claude-code": "claude-code",
    "codex": "codex",
    "gemini": "gemini-cli",
    "gemini-cli": "gemini-cli",
    "qwen": "qwen-code",
    "opencode": "opencode",
    "opencode-ai": "opencode",
    "copilot": "copilot",
    "cursor": "cursor",
    "cursor-agent": "cursor",
    "aider": "aider",
    "aider-chat": "aider",
    "cline": "cline",
    "q": "amazon-q",
    "qchat": "amazon-q",
    "kiro-cli": "kiro",
    "pi": "pi",
    "pi-coding-agent": "pi",
    "gptme": "gptme",
    "cn": "continue",
    "grok": "grok-cli",
    "grok-cli": "grok-cli",
    "kimi": "kimi-cli",
    "kimi-cli": "kimi-cli",
    "vibe": "mistral-vibe",
    "mistral-vibe": "mistral-vibe",
    "vibe-app-server": "mistral-vibe",
}
_UNNAMED = {"aider", "cline", "continue", "gptme", "grok-cli", "mistral-vibe", "pi"}
"""Agents whose calls may carry nothing but their SDK's name."""
KNOWN_NAMES = tuple(dict.fromkeys([*(name for _, name, _ in _PATTERNS), *_COMMANDS.values()]))
"""Names that `Agent.name` may have, beside those of programs nobody here knows."""
_LAUNCHERS = re.compile(
    r"(?:ba|da|z)?sh|env|exec|nice|nohup|setsid|sudo|time|timeout|stdbuf|xvfb-run|"
    r"np[mx]|pnpm|pnpx|yarn|dlx|bunx?|node|nodejs|deno|uvx?|pipx|run|tool|python[\d.]*"
)
_VALUE = re.compile(r"\w+=|[\d.]+[smhd]?$")
"""Words that belong to a launcher: assignments of `env`, the time of `timeout`, a Python version of `uvx`."""


def detect_agent(headers: Iterable[tuple[bytes, bytes]], command: Sequence[str] = ()) -> Agent | None:
    """Tell who sent a request; None when it does not say.

    `command` is the command line of the process that opened the connection or, where that is not known, of the run.
    """
    said = _first_values(headers)
    by_agent = _from_user_agent(said.get("user-agent", ""))
    if by_agent is None or by_agent.kind != "agent":
        by_header = _from_headers(said)
        if by_header is not None:
            # An SDK's own name beside the agent's is worth keeping; a mere HTTP library's is not.
            return _beside(by_header, by_agent)
        named = agent_of_command(command)
        if named in _UNNAMED and (by_agent is None or by_agent.kind == "sdk"):
            return _beside(Agent(named, None, "agent", "command"), by_agent or _from_stainless(said))
    if by_agent is not None:
        return by_agent
    return _from_stainless(said) or _from_any_product(said.get("user-agent", ""))


def agent_of_command(command: Sequence[str]) -> str | None:
    """The agent that a command line starts, also behind `npx`, `env`, `uv run`, `python -m` and their like."""
    for word in list(command)[:MAX_WORDS]:
        word = word[:MAX_VALUE]
        if word.startswith("-") or _VALUE.match(word):
            continue
        if package := re.search(
            r"(?:^|/)@(?:anthropic-ai|openai|google|github|qwen-code|cline|mariozechner|vibe-kit)/([\w-]+)", word
        ):
            return _COMMANDS.get(package[1])
        name = word.rsplit("/", 1)[-1]
        name = re.split(r"@|==|\[", name, maxsplit=1)[0] if not name.startswith("@") else name
        name = re.sub(r"\.(?:exe|js|mjs|cjs|py)$", "", name)
        if name in _COMMANDS:
            return _COMMANDS[name]
        if not _LAUNCHERS.fullmatch(name):
            return None
    return None


def _first_values(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    said: dict[str, str] = {}
    for name, value in headers:
        said.setdefault(name.decode("ascii", "replace").lower(), value[:MAX_VALUE].decode("utf-8", "replace"))
    return said


def _from_user_agent(text: str) -> Agent | None:
    for kind, name, pattern in _USER_AGENTS:
        if found := pattern.search(text):
            groups = found.groupdict()
            return Agent(name, groups.get("version"), kind, "user-agent", groups.get("surface"))
    return None


def _from_headers(said: Mapping[str, str]) -> Agent | None:
    if version := said.get("x-cursor-client-version"):
        return Agent("cursor", version, "agent", "x-cursor-client-version", said.get("x-cursor-client-type"))
    originator = said.get("originator", "")
    if originator.lower().startswith("codex"):
        return Agent("codex", said.get("version"), "agent", "originator", originator)
    if originator == "opencode" or "x-opencode-session" in said or "x-opencode-client" in said:
        via = "originator" if originator == "opencode" else "x-opencode-client"
        return Agent("opencode", None, "agent", via, said.get("x-opencode-client"))
    if "x-claude-code-session-id" in said:
        return Agent("claude-code", None, "agent", "x-claude-code-session-id", said.get("x-app"))
    for header, names in (("x-title", _TITLES), ("x-openrouter-title", _TITLES)):
        if name := names.get(said.get(header, "").strip().lower()):
            return Agent(name, said.get("x-client-version"), "agent", header)
    referer = re.match(r"https?://(?:www\.)?([\w.-]+)", said.get("http-referer", said.get("referer", "")))
    if referer and (name := _REFERERS.get(referer[1])):
        return Agent(name, None, "agent", "http-referer")
    if integration := said.get("copilot-integration-id"):
        plugin = re.match(r"copilot(?:-\w+)?/([\w.+-]+)", said.get("editor-plugin-version", ""))
        return Agent("copilot", plugin[1] if plugin else None, "agent", "copilot-integration-id", integration)
    if said.get("x-app") == "cli" and "anthropic-beta" in said and "claude-code" in said["anthropic-beta"]:
        return Agent("claude-code", None, "agent", "x-app", "cli")
    return None


def _from_stainless(said: Mapping[str, str]) -> Agent | None:
    """The SDKs that Stainless generates say their language and version even when the User-Agent was replaced."""
    language = _STAINLESS.get(said.get("x-stainless-lang", "").lower())
    if language is None:
        return None
    vendor = "anthropic" if "anthropic-version" in said else "openai"
    return Agent(
        f"{vendor}-{language}",
        said.get("x-stainless-package-version"),
        "sdk",
        "x-stainless-lang",
        said.get("user-agent"),
    )


def _from_any_product(text: str) -> Agent | None:
    found = _ANY_PRODUCT.match(text)
    return Agent(found["name"], found["version"], "tool", "user-agent") if found else None


def _beside(agent: Agent, sdk: Agent | None) -> Agent:
    if sdk is None or sdk.kind != "sdk":
        return agent
    return replace(agent, sdk=f"{sdk.name} {sdk.version}" if sdk.version else sdk.name)
