"""What each agent, SDK and model server needs to be seen without `run`: the one table.

Where the answer is a file, `apply` writes it; where it is variables, they have to be set before the program starts.
The entries of Claude Code, Codex, Gemini CLI, opencode and aider are held by tests that start the real ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ccinspect.setup import variables
from ccinspect.setup.places import Places
from ccinspect.setup.variables import Listeners, Mode

type Settings = Mapping[tuple[str, ...], Any]


@dataclass(frozen=True)
class FileNeed:
    """What one file has to say: `settings` by the path of keys that leads to each."""

    path: Path
    form: str
    """`json`, `toml`, `dotenv`, `yaml`, `reverse-targets` or `shell` (`forms.py`)."""
    settings: Settings


@dataclass(frozen=True)
class Need:
    """What a program needs for one mode. Without files it takes variables only; `impossible` says why not at all."""

    files: tuple[FileNeed, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    impossible: str | None = None


@dataclass(frozen=True)
class Entry:
    """One program of the table."""

    name: str
    title: str
    base_url: Callable[[Listeners, Places], Need]
    proxy: Callable[[Listeners, Places], Need]
    by_directory: bool = False
    """Each directory has a file of its own."""

    def member(self, places: Places) -> str:
        """The name under which what this program needs is noted (`notes.py`)."""
        return f"{self.name} in {places.cwd}" if self.by_directory else self.name

    def need(self, mode: Mode, listeners: Listeners, places: Places) -> Need:
        return (self.base_url if mode == "base-url" else self.proxy)(listeners, places)


_EVERY_PROCESS = "set them where the program is started from: `ccinspect env --proxy` prints them for a shell"


def _some(all_of_them: Mapping[str, str], *names: str) -> dict[str, str]:
    return {name: all_of_them[name] for name in names}


def _under(key: str, values: Mapping[str, str]) -> Settings:
    return {(key, name): value for name, value in values.items()}


def _top(values: Mapping[str, Any]) -> Settings:
    return {(name,): value for name, value in values.items()}


def _proxy_and_trust(listeners: Listeners) -> dict[str, str]:
    return variables.proxy_variables(listeners) | variables.trust_variables(listeners)


def _claude_base_url(listeners: Listeners, places: Places) -> Need:
    values = _some(variables.base_url_variables(listeners), "ANTHROPIC_BASE_URL")
    return Need(
        (FileNeed(places.claude / "settings.json", "json", _under("env", values)),),
        values,
        ("Claude Code switches some features off when it has a base URL, and its telemetry is not seen",),
    )


def _claude_proxy(listeners: Listeners, places: Places) -> Need:
    values = variables.proxy_variables(listeners, lower_case=False)
    values |= _some(variables.trust_variables(listeners), "NODE_EXTRA_CA_CERTS")
    return Need(
        (FileNeed(places.claude / "settings.json", "json", _under("env", values)),),
        values,
        ("commands that Claude Code runs get the same proxy, and may not trust our authority",),
    )


def _codex_base_url(listeners: Listeners, places: Places) -> Need:
    settings = _top({"openai_base_url": f"{listeners.base_url}/v1"})
    note = "with a ChatGPT login Codex goes to chatgpt.com, whatever this says: use --proxy, or `ccinspect run -i`"
    return Need((FileNeed(places.codex / "config.toml", "toml", settings),), {}, (note,))


def _codex_proxy(listeners: Listeners, places: Places) -> Need:
    values = variables.proxy_variables(listeners, lower_case=False)
    values |= _some(variables.trust_variables(listeners), "SSL_CERT_FILE")
    return Need((FileNeed(places.codex / ".env", "dotenv", _top(values)),), values)


def _gemini_base_url(listeners: Listeners, places: Places) -> Need:
    values = _some(variables.base_url_variables(listeners), "GOOGLE_GEMINI_BASE_URL")
    login: Settings = {("security", "auth", "selectedType"): "gemini-api-key"}
    return Need(
        (
            FileNeed(places.gemini / ".env", "dotenv", _top(values)),
            FileNeed(places.gemini / "settings.json", "json", login),
        ),
        values,
        (
            "only with an API key (GEMINI_API_KEY): a Google login goes to another place, which has no base URL",
            "a .env file in the project, or above it, is read in the place of this one",
        ),
    )


def _gemini_proxy(listeners: Listeners, places: Places) -> Need:
    note = "Node reads NODE_EXTRA_CA_CERTS before Gemini CLI reads any file of its own, so that no file can do this"
    return Need((), _proxy_and_trust(listeners), (note, _EVERY_PROCESS))


def _opencode_base_url(listeners: Listeners, places: Places) -> Need:
    urls = {
        "anthropic": f"{listeners.base_url}/v1",
        "openai": f"{listeners.base_url}/v1",
        "google": f"{listeners.base_url}/v1beta",
    }
    settings: Settings = {("provider", name, "options", "baseURL"): url for name, url in urls.items()}
    return Need((FileNeed(places.opencode / "opencode.json", "json", settings),))


def _only_variables(listeners: Listeners, places: Places) -> Need:
    return Need((), _proxy_and_trust(listeners), (_EVERY_PROCESS,))


def _copilot_base_url(listeners: Listeners, places: Places) -> Need:
    return Need(
        impossible="Copilot CLI always asks GitHub's service, unless it is given a provider of your own "
        "(COPILOT_PROVIDER_BASE_URL); take --proxy, or `ccinspect run -i -- copilot`"
    )


def _copilot_proxy(listeners: Listeners, places: Places) -> Need:
    values = variables.proxy_variables(listeners) | _some(variables.trust_variables(listeners), "NODE_EXTRA_CA_CERTS")
    return Need(
        (FileNeed(places.copilot / "settings.json", "json", _top({"proxyUrl": listeners.proxy_url})),),
        values,
        (
            "HTTPS_PROXY in the environment beats this file",
            "it must trust our authority, too: set NODE_EXTRA_CA_CERTS where it is started, or `ccinspect ca install`",
        ),
    )


def _cursor_base_url(listeners: Listeners, places: Places) -> Need:
    return Need(
        impossible="Cursor asks its own servers, which ask the model: no address on this machine can be put in "
        "between; take --proxy"
    )


def _cursor_proxy(listeners: Listeners, places: Places) -> Need:
    settings = {"http.proxy": listeners.proxy_url, "cursor.general.disableHttp2": True}
    return Need(
        (FileNeed(places.cursor / "settings.json", "json", _top(settings)),),
        {},
        ("the editor trusts what this machine trusts: `ccinspect ca install`",),
    )


def _aider(values: Mapping[str, str], places: Places) -> FileNeed:
    lines = [f"{name}={value}" for name, value in values.items()]
    return FileNeed(places.home / ".aider.conf.yml", "yaml", _top({"set-env": lines}))


def _aider_base_url(listeners: Listeners, places: Places) -> Need:
    values = _some(variables.base_url_variables(listeners), "OPENAI_API_BASE", "ANTHROPIC_BASE_URL")
    # LiteLLM, which aider uses, appends to this one what follows /v1beta.
    values["GEMINI_API_BASE"] = f"{listeners.base_url}/v1beta"
    note = "a .aider.conf.yml in the project that has `set-env` replaces this one's"
    return Need((_aider(values, places),), values, (note,))


def _aider_proxy(listeners: Listeners, places: Places) -> Need:
    values = variables.proxy_variables(listeners, lower_case=False)
    values |= _some(variables.trust_variables(listeners), "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
    return Need((_aider(values, places),), values)


def _sdk_base_url(listeners: Listeners, places: Places) -> Need:
    values = variables.base_url_variables(listeners)
    note = "the file is read by python-dotenv and `node --env-file`; for a shell: ccinspect env"
    return Need((FileNeed(places.cwd / ".env", "dotenv", _top(values)),), values, (note,))


def _python_proxy(listeners: Listeners, places: Places) -> Need:
    values = _proxy_and_trust(listeners)
    return Need((FileNeed(places.cwd / ".env", "dotenv", _top(values)),), values)


def _node_proxy(listeners: Listeners, places: Places) -> Need:
    values = _proxy_and_trust(listeners) | {"NODE_USE_ENV_PROXY": "1"}
    note = "Node reads NODE_USE_ENV_PROXY (22.21, 24 and later) and NODE_EXTRA_CA_CERTS as it starts, from no file"
    return Need((), values, (note, _EVERY_PROCESS))


def _server(name: str, port: int, own_port: int) -> Callable[[Listeners, Places], Need]:
    """A model server on this machine: a listener of ours stands before it, and its clients are sent there."""

    def need(listeners: Listeners, places: Places) -> Need:
        url = f"http://127.0.0.1:{own_port}"
        target = {"port": own_port, "upstream": f"http://127.0.0.1:{port}"}
        clients = {"OLLAMA_HOST": url} if name == "ollama" else {}
        clients |= {"OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_BASE": f"{url}/v1"}
        notes = [f"the server stays as it is; its clients use {url} in the place of port {port}"]
        if port not in (11434, 1234):
            notes.append(f"agents in a jail need no such thing: add {port} to jail.model_ports")
        file = FileNeed(places.our_settings, "reverse-targets", {("inspector", "reverse_targets"): (target,)})
        return Need((file,), clients, (*notes, "after a change: ccinspect restart"))

    return need


def _server_proxy(listeners: Listeners, places: Places) -> Need:
    note = "this shows what the server itself fetches (models, telemetry), not what its clients ask"
    return Need((), _proxy_and_trust(listeners), (note, _EVERY_PROCESS))


ENTRIES = {
    entry.name: entry
    for entry in (
        Entry("claude", "Claude Code", _claude_base_url, _claude_proxy),
        Entry("codex", "Codex", _codex_base_url, _codex_proxy),
        Entry("gemini", "Gemini CLI", _gemini_base_url, _gemini_proxy),
        Entry("opencode", "opencode", _opencode_base_url, _only_variables),
        Entry("copilot", "GitHub Copilot CLI", _copilot_base_url, _copilot_proxy),
        Entry("cursor", "Cursor", _cursor_base_url, _cursor_proxy),
        Entry("aider", "aider", _aider_base_url, _aider_proxy),
        Entry("python", "the Python SDKs", _sdk_base_url, _python_proxy, by_directory=True),
        Entry("node", "the JavaScript SDKs", _sdk_base_url, _node_proxy, by_directory=True),
        Entry("llama-server", "llama.cpp's server", _server("llama-server", 8080, 4011), _server_proxy),
        Entry("ollama", "Ollama", _server("ollama", 11434, 4012), _server_proxy),
        Entry("vllm", "vLLM", _server("vllm", 8000, 4013), _server_proxy),
    )
}
