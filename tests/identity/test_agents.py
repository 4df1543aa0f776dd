"""Agents are told by strings that real clients send; each row names where it was seen."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccinspect.identity.agents import KNOWN_NAMES, agent_of_command, detect_agent

# (User-Agent, name, version, kind, surface)
#
# Sources, as public repositories and paths:
#   codex        openai/codex codex-rs/core/src/default_client.rs ("{originator}/{version} (...)");
#                originators codex_vscode, codex_exec, codex-tui and "Codex Desktop" seen in logs and gateways' tests
#   gemini       google-gemini/gemini-cli packages/core/src/core/contentGenerator.ts (both forms)
#   claude       gateways' recordings of claude-cli 2.0.24 to 2.1.286, among them wanggang8/Augment-BYOK
#                docs/claude-code-cli-implementation.md (claude-vscode)
#   opencode     sst/opencode packages/opencode/src/session/llm.ts and plugin/copilot.ts
#   copilot      Copilot Chat's and Copilot CLI's headers as recorded by gateways (copilot/0.0.363 (linux v22.15.0))
#   cline        cline/cline src/services/EnvUtils.ts and its OpenRouter headers
#   amazon q     recordings of codewhispererstreaming calls: app/AmazonQ-For-CLI, KiroIDE-0.7.45-<machine>
#   kimi, vibe   kimi-cli 1.x constant.py; mistral-vibe 3.0.2 as it called
#   sdks         the User-Agent that each package sets; litellm's http handler; @ai-sdk/provider-utils
USER_AGENTS = [
    ("claude-cli/2.1.220 (external, cli)", "claude-code", "2.1.220", "agent", "cli"),
    ("claude-cli/2.1.286 (external, sdk-cli)", "claude-code", "2.1.286", "agent", "sdk-cli"),
    ("claude-cli/2.1.12 (external, claude-vscode)", "claude-code", "2.1.12", "agent", "claude-vscode"),
    ("claude-cli/2.1.112 (external, sdk-ts, agent-sdk/0.2.1)", "claude-code", "2.1.112", "agent", "sdk-ts"),
    ("claude-code/2.1.280", "claude-code", "2.1.280", "agent", None),
    ("codex_cli_rs/0.38.0 (Ubuntu 24.04.2 LTS; x86_64) WindowsTerminal", "codex", "0.38.0", "agent", "codex_cli_rs"),
    ("codex_vscode/0.118.0-alpha.2 (Mac OS 26.2.0; arm64) unknown (VS Code; 26.325.31654)",
     "codex", "0.118.0-alpha.2", "agent", "codex_vscode"),
    ("codex-tui/0.200.1 (Mac OS X 15.6; arm64) Terminal.app (codex-tui; 0.200.1)",
     "codex", "0.200.1", "agent", "codex-tui"),
    ("codex_exec/0.169.0 (Debian 12.0.0; x86_64) xterm-256color", "codex", "0.169.0", "agent", "codex_exec"),
    ("Codex Desktop/0.137.0-alpha.4 (Mac OS 15.1; arm64)", "codex", "0.137.0-alpha.4", "agent", "Codex Desktop"),
    ("GeminiCLI/0.1.5 (linux; x64)", "gemini-cli", "0.1.5", "agent", None),
    ("GeminiCLI/0.34.0/gemini-2.5-pro (linux; x64; terminal)", "gemini-cli", "0.34.0", "agent", None),
    ("GeminiCLI-tui/0.58.0/deepseek-chat (linux; x64; terminal)", "gemini-cli", "0.58.0", "agent", "tui"),
    ("CloudCodeVSCode/0.61.0 (aidev_client; os_type=Linux; os_version=6.1; arch=x64; host_path=VSCode/1.99; "
     "proxy_client=geminicli)", "gemini-cli", "0.61.0", "agent", "CloudCodeVSCode"),
    ("QwenCode/0.12.0 (linux; x64)", "qwen-code", "0.12.0", "agent", None),
    ("opencode/1.3.13 ai-sdk/provider-utils/4.0.21 runtime/bun/1.3.13", "opencode", "1.3.13", "agent", None),
    ("opencode/1.0.55", "opencode", "1.0.55", "agent", None),
    ("GitHubCopilotChat/0.26.7", "copilot", "0.26.7", "agent", None),
    ("GithubCopilot/1.155.0", "copilot", "1.155.0", "agent", None),
    ("copilot/0.0.363 (linux v22.15.0)", "copilot", "0.0.363", "agent", None),
    ("Cursor/2.6.22", "cursor", "2.6.22", "agent", None),
    ("Cline/3.12.1", "cline", "3.12.1", "agent", None),
    ("RooCode/3.30.0", "roo-code", "3.30.0", "agent", None),
    ("antigravity/1.18.4 Darwin/arm64", "antigravity", "1.18.4", "agent", None),
    ("aws-sdk-js/1.0.27 ua/2.1 os/win32#10.0.19044 lang/js md/nodejs#22.21.1 api/codewhispererstreaming#1.0.27 m/E "
     "KiroIDE-0.7.45-0a1b2c", "kiro", "0.7.45", "agent", None),
    ("KiroCLI/1.22.0 os/linux arch/x86_64 app/AmazonQ-For-CLI", "kiro", "1.22.0", "agent", None),
    ("aws-sdk-rust/1.3.15 ua/2.1 api/codewhispererruntime/0.1.17975 os/linux lang/rust/1.92.0 md/appVersion-2.14.2 "
     "app/AmazonQ-For-CLI", "amazon-q", "2.14.2", "agent", None),
    ("aws-sdk-rust/1.3.15 ua/2.1 api/codewhispererstreaming/0.1 os/linux lang/rust/1.92.0 m/F app/AmazonQ-For-CLI",
     "amazon-q", None, "agent", None),
    ("Anthropic/Python 0.60.0", "anthropic-python", "0.60.0", "sdk", None),
    ("AsyncAnthropic/Python 0.60.0", "anthropic-python", "0.60.0", "sdk", None),
    ("AnthropicBedrock/Python 0.60.0", "anthropic-python", "0.60.0", "sdk", None),
    ("Anthropic/JS 0.70.0", "anthropic-js", "0.70.0", "sdk", None),
    ("OpenAI/Python 1.99.1", "openai-python", "1.99.1", "sdk", None),
    ("AsyncAzureOpenAI/Python 2.1.0", "openai-python", "2.1.0", "sdk", None),
    ("OpenAI/JS 5.23.2", "openai-js", "5.23.2", "sdk", None),
    ("google-genai-sdk/1.43.0 gl-python/3.12.3", "google-genai", "1.43.0", "sdk", "python"),
    ("google-genai-sdk/1.41.0 gl-node/v22.19.0", "google-genai", "1.41.0", "sdk", "node"),
    ("litellm/1.75.0", "litellm", "1.75.0", "sdk", None),
    ("Groq/JS 1.6.0", "groq-js", "1.6.0", "sdk", None),
    ("AsyncGroq/Python 1.7.0", "groq-python", "1.7.0", "sdk", None),
    ("cohere/7.3.1", "cohere", "7.3.1", "sdk", None),
    ("cohere-ai/8.1.0", "cohere", "8.1.0", "sdk", None),
    ("mistral-client-python/3.7.0", "mistral-client", "3.7.0", "sdk", None),
    ("mistral-client-python/Mistral-Vibe/3.0.2", "mistral-vibe", "3.0.2", "agent", None),
    ("KimiCLI/1.12.0", "kimi-cli", "1.12.0", "agent", None),
    ("ai-sdk/anthropic/3.0.105 ai-sdk/provider-utils/4.0.41 runtime/node.js/22", "ai-sdk", "3.0.105", "sdk", None),
    ("ollama-python/0.4.7 (x86_64 linux) Python/3.12.3", "ollama-python", "0.4.7", "sdk", None),
    ("aws-sdk-rust/1.3.10 ua/2.1 os/linux lang/rust/1.92.0", "aws-sdk", "1.3.10", "sdk", None),
    ("curl/8.5.0", "curl", "8.5.0", "tool", None),
    ("git/2.39.5", "git", "2.39.5", "tool", None),
    ("python-requests/2.32.3", "python-requests", "2.32.3", "tool", None),
    ("python-httpx/0.28.1", "python-httpx", "0.28.1", "tool", None),
    ("Python/3.12 aiohttp/3.11.11", "aiohttp", "3.11.11", "tool", None),
    ("node", "node", None, "tool", None),
    ("Go-http-client/2.0", "go", "2.0", "tool", None),
    ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
     "browser", "131.0.0.0", "tool", None),
    ("my-own-thing/3.2-rc1 (whatever)", "my-own-thing", "3.2-rc1", "tool", None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "name", "version", "kind", "surface"), USER_AGENTS)
def test_a_user_agent_tells_name_and_version(
    text: str, name: str, version: str | None, kind: str, surface: str | None
) -> None:
    agent = detect_agent([(b"Host", b"x"), (b"User-Agent", text.encode())])
    assert agent is not None
    assert (agent.name, agent.version, agent.kind, agent.surface) == (name, version, kind, surface)
    assert agent.via == "user-agent"


# (headers, name, version, via, surface, sdk)
HEADERS = [
    # Cursor's Connect calls, as gateways replay them: the User-Agent is only the library's.
    ({"user-agent": "connect-es/1.6.1", "x-cursor-client-version": "2.1.17", "x-cursor-client-type": "ide"},
     "cursor", "2.1.17", "x-cursor-client-version", "ide", None),
    # CODEX_INTERNAL_ORIGINATOR_OVERRIDE changes the User-Agent's first word, a wrapper may change all of it.
    ({"user-agent": "reqwest/0.12", "originator": "codex_cli_rs", "version": "0.38.0"},
     "codex", "0.38.0", "originator", "codex_cli_rs", None),
    ({"user-agent": "ai-sdk/openai/3.0.0", "originator": "opencode"},
     "opencode", None, "originator", None, "ai-sdk 3.0.0"),
    # OpenRouter's attribution headers: aider, Cline.
    ({"user-agent": "OpenAI/Python 1.99.1", "HTTP-Referer": "https://aider.chat", "X-Title": "Aider"},
     "aider", None, "x-title", None, "openai-python 1.99.1"),
    ({"user-agent": "OpenAI/JS 5.23.2", "HTTP-Referer": "https://cline.bot"},
     "cline", None, "http-referer", None, "openai-js 5.23.2"),
    ({"user-agent": "axios/1.0", "Copilot-Integration-Id": "vscode-chat",
      "Editor-Plugin-Version": "copilot-chat/0.35.0"},
     "copilot", "0.35.0", "copilot-integration-id", "vscode-chat", None),
    ({"user-agent": "Anthropic/JS 0.70.0", "x-app": "cli", "anthropic-beta": "claude-code-20250219"},
     "claude-code", None, "x-app", "cli", "anthropic-js 0.70.0"),
]  # fmt: skip


@pytest.mark.parametrize(("headers", "name", "version", "via", "surface", "sdk"), HEADERS)
def test_other_headers_tell_where_the_user_agent_does_not(
    headers: dict[str, str], name: str, version: str | None, via: str, surface: str | None, sdk: str | None
) -> None:
    agent = detect_agent([(key.encode(), value.encode()) for key, value in headers.items()])
    assert agent is not None
    assert (agent.name, agent.version, agent.via, agent.surface, agent.sdk) == (name, version, via, surface, sdk)


def test_opencode_with_copilots_headers_is_opencode() -> None:
    # sst/opencode plugin/copilot.ts sends the integration's headers under its own User-Agent.
    agent = detect_agent([(b"user-agent", b"opencode/1.0.55"), (b"copilot-integration-id", b"vscode-chat")])
    assert agent is not None
    assert agent.name == "opencode"


def test_stainless_headers_tell_the_sdk_behind_a_replaced_user_agent() -> None:
    headers = [(b"x-stainless-lang", b"js"), (b"x-stainless-package-version", b"0.70.0"), (b"anthropic-version", b"1")]
    agent = detect_agent([(b"user-agent", b"mine"), *headers])
    assert agent is not None
    assert (agent.name, agent.version, agent.kind) == ("anthropic-js", "0.70.0", "sdk")


AIDER = ["uvx", "--python", "3.12", "aider-chat", "--model", "sonnet"]


def test_the_command_names_aider_which_sends_only_its_sdks_name() -> None:
    agent = detect_agent([(b"user-agent", b"litellm/1.75.0")], AIDER)
    assert agent is not None
    assert (agent.name, agent.via, agent.sdk) == ("aider", "command", "litellm 1.75.0")


# As they called from a jail: the command line of the process, and what it said.
@pytest.mark.parametrize(
    ("command", "headers", "name", "sdk"),
    [
        (["pi"], {"user-agent": "OpenAI/JS 6.26.0", "x-stainless-lang": "js"}, "pi", "openai-js 6.26.0"),
        (["pi"], {"user-agent": "google-genai-sdk/1.52.0 gl-node/v20.20.2"}, "pi", "google-genai 1.52.0"),
        (
            ["cline", "-P", "anthropic"],
            {"user-agent": "ai-sdk/anthropic/4.0.42 runtime/bun/1.3.13"},
            "cline",
            "ai-sdk 4.0.42",
        ),
        (["python", "/venv/bin/gptme", "-n"], {"user-agent": "OpenAI/Python 2.54.0"}, "gptme", "openai-python 2.54.0"),
        (
            ["node", "/x/node_modules/.bin/cn", "-p", "hello"],
            {"user-agent": "ls/JS 5.23.2", "x-stainless-lang": "js", "x-stainless-package-version": "5.23.2"},
            "continue",
            "openai-js 5.23.2",
        ),
        (["node", "/x/node_modules/.bin/grok"], {"user-agent": "OpenAI/JS 5.23.2"}, "grok-cli", "openai-js 5.23.2"),
        (["vibe-app-server"], {"user-agent": "mistral-client-python/2.6.0"}, "mistral-vibe", "mistral-client 2.6.0"),
    ],
)
def test_the_command_names_those_that_send_only_their_sdks_name(
    command: list[str], headers: dict[str, str], name: str, sdk: str
) -> None:
    agent = detect_agent([(key.encode(), value.encode()) for key, value in headers.items()], command)
    assert agent is not None
    assert (agent.name, agent.kind, agent.via, agent.sdk) == (name, "agent", "command", sdk)
    assert name in KNOWN_NAMES


@pytest.mark.parametrize("user_agent", [b"curl/8.5.0", b"git/2.39.5", b"python-requests/2.32.3"])
def test_a_tool_that_the_agent_calls_stays_the_tool(user_agent: bytes) -> None:
    agent = detect_agent([(b"user-agent", user_agent)], AIDER)
    assert agent is not None
    assert agent.kind == "tool"


def test_a_script_with_an_sdk_under_claude_is_not_claude() -> None:
    agent = detect_agent([(b"user-agent", b"Anthropic/Python 0.60.0")], ["claude", "-p", "run my script"])
    assert agent is not None
    assert agent.name == "anthropic-python"


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["claude"], "claude-code"),
        (["/usr/local/bin/claude", "-p", "hello"], "claude-code"),
        (["npx", "-y", "@anthropic-ai/claude-code@2.1.0"], "claude-code"),
        (["node", "/usr/lib/node_modules/@google/gemini-cli/dist/index.js"], "gemini-cli"),
        (["node", "--max-old-space-size=4096", "/x/node_modules/@openai/codex/bin/codex.js", "exec"], "codex"),
        (["env", "A=b", "codex", "exec"], "codex"),
        (["timeout", "60", "opencode", "run", "hi"], "opencode"),
        (["python3.12", "-m", "aider", "--yes"], "aider"),
        (["/venv/bin/python", "/venv/bin/aider"], "aider"),
        (["uv", "tool", "run", "aider-chat"], "aider"),
        (["uvx", "--from", "aider-chat==0.86.1", "aider"], "aider"),
        (["copilot", "-p", "x"], "copilot"),
        (["npx", "@mariozechner/pi-coding-agent"], "pi"),
        (["cursor-agent"], "cursor"),
        (["git", "commit", "-m", "claude"], None),
        (["bash"], None),
        (["python", "codex_report.py"], None),
        (["cat", "claude"], None),
        ([], None),
        ([""], None),
    ],
)
def test_a_command_line_tells_the_agent_it_starts(command: list[str], name: str | None) -> None:
    assert agent_of_command(command) == name


@given(
    st.lists(st.tuples(st.sampled_from([b"user-agent", b"originator", b"x-title", b"http-referer"]), st.binary())),
    st.lists(st.text()),
)
def test_no_input_raises(headers: list[tuple[bytes, bytes]], command: list[str]) -> None:
    agent = detect_agent(headers, command)
    assert agent is None or agent.name


@pytest.mark.parametrize("text", [b"A" * 1_000_000, b"Mozilla/5.0 " + b"Chrome" * 100_000, b" md/app" * 100_000])
def test_long_headers_are_cut_before_they_are_looked_at(text: bytes) -> None:
    started = time.process_time()
    agent = detect_agent([(b"user-agent", text)], ["x" * 1_000_000] * 100)
    assert time.process_time() - started < 0.5
    assert agent is None or len(agent.name) <= 200


def test_nothing_said_is_nobody() -> None:
    assert detect_agent([]) is None
    assert detect_agent([(b"user-agent", b"")]) is None
