"""Each official SDK against each upstream dialect, through a daemon: `python -m tests.transform.sdk_matrix [--js]`.

The SDKs are those for Python, or with `--js` those for JavaScript.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ccinspect.demo.provider import Provider
from tests.support.daemon import Daemon, settings_for, started
from tests.transform.clients import CLIENTS, PIXEL, TOOL, Client
from tests.transform.js_clients import JavaScript

Clients = Mapping[str, Callable[[str, str, bool], Client]]
"""A dialect's client is made of the daemon's address, a key, and whether answers are streamed."""
DIALECTS = tuple(CLIENTS)
TASKS = ("text", "tools", "images", "thinking")
_HOSTS = {
    "anthropic": "api.anthropic.com",
    "openai_chat": "api.openai.com",
    "openai_responses": "api.openai.com",
    "gemini": "generativelanguage.googleapis.com",
    "ollama": "ollama.com",
}
_KEY = "real-key-of-{}"
# Where the fake provider thinks aloud, and where the client's dialect can show it.
_THINKS = ("anthropic", "openai_responses", "gemini", "ollama")


def settings(provider: Provider, directory: Path) -> dict[str, Any]:
    """Settings of a daemon with one provider `to-DIALECT` a dialect."""
    providers = {
        f"to-{dialect.replace('_', '-')}": {"host": host, "type": dialect, "auth": f"echo {_KEY.format(dialect)}"}
        for dialect, host in _HOSTS.items()
    }
    return settings_for(provider, directory, providers=providers)


def check(
    daemon: Daemon,
    provider: Provider,
    client: str,
    upstream: str,
    stream: bool,
    task: str,
    clients: Clients = CLIENTS,
) -> None:
    """Raises where the SDK cannot read the answer, or the content is not what the upstream said."""
    provider.forget()
    url = f"http://127.0.0.1:{daemon.ports['reverse']}"
    talk = clients[client](url, f"sk-ccinspect-to-{upstream.replace('_', '-')}", stream)
    try:
        _talk(talk, provider, upstream, task)
    finally:
        talk.close()
    for request in provider.requests:
        assert b"ccinspect" not in request.head, "something of ours went on"


def _talk(talk: Client, provider: Provider, upstream: str, task: str) -> None:
    if task == "text":
        said = talk.ask("good \u2028 day \U0001f600")
        assert said.text == "Hello from the fake provider. You said: good day \U0001f600", said
    elif task == "images":
        said = talk.ask("look", image=True)
        assert said.text.startswith("Hello from the fake provider. You said:"), said
        sent = provider.requests[-1].body.replace(b"-", b"+").replace(b"_", b"/")
        assert PIXEL.encode().rstrip(b"=") in sent, sent
    elif task == "thinking":
        said = talk.ask("think", thinking=True)
        assert said.text.startswith("Hello"), said
        assert said.thinking == provider.replies[-1].thinking or upstream not in _THINKS, said
        assert talk.ask("again").text.startswith("Hello")
    else:
        said = talk.ask(f'use the tool {TOOL} with {{"city": "K\u00f6ln"}}', tools=True)
        assert [(name, arguments) for _, name, arguments in said.calls] == [(TOOL, {"city": "K\u00f6ln"})], said
        again = talk.bring((call, name, "sunny") for call, name, _ in said.calls)
        assert again.text == "The tool has answered: sunny", again
        assert not again.calls
    reply = provider.replies[-1]
    if task != "tools" or not said.calls:
        assert said.tokens[1] or not reply.output_tokens


def cases() -> Iterator[tuple[str, str, bool, str]]:
    for client in DIALECTS:
        for upstream in DIALECTS:
            for stream in (False, True):
                for task in TASKS:
                    yield client, upstream, stream, task


def main() -> int:
    """Print a row for each client and a column for each upstream; 1 when a cell fails."""
    failures: dict[tuple[str, str], list[str]] = {}
    with ExitStack() as stack:
        name, provider = stack.enter_context(tempfile.TemporaryDirectory()), stack.enter_context(Provider())
        clients = stack.enter_context(JavaScript()).clients if "--js" in sys.argv else CLIENTS
        daemon = stack.enter_context(started(Daemon(Path(name) / "instance", settings(provider, Path(name)))))
        for client, upstream, stream, task in cases():
            cell = failures.setdefault((client, upstream), [])
            try:
                check(daemon, provider, client, upstream, stream, task, clients)
            except Exception as error:
                how = "stream" if stream else "whole"
                cell.append(f"{task} ({how}): {type(error).__name__}: {str(error)[:300]}")
    total = 2 * len(TASKS)
    print("client \\ upstream".ljust(18) + "".join(name.rjust(18) for name in DIALECTS))
    for client in DIALECTS:
        cells = [f"{total - len(failures[client, upstream])}/{total}" for upstream in DIALECTS]
        print(client.ljust(18) + "".join(cell.rjust(18) for cell in cells))
    for (client, upstream), problems in failures.items():
        for problem in problems:
            print(f"{client} -> {upstream}: {problem}", file=sys.stderr)
    return int(any(failures.values()))


if __name__ == "__main__":
    sys.exit(main())
