"""Rules, credentials, translation and fallbacks on real traffic through a real daemon."""

from __future__ import annotations

import http.client
import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from ccinspect.demo.answers import Answer, Gate, chunk, head, json_answer, last_chunk
from ccinspect.demo.provider import Provider
from ccinspect.store.query import StoreReader
from tests.addons.conftest import Configure
from tests.conftest import StartDaemon
from tests.support.daemon import Daemon
from tests.support.shared_daemon import SharedDaemon

REAL = "the-real-key"
MESSAGES = {"model": "claude-x", "max_tokens": 50, "messages": [{"role": "user", "content": "hello"}]}
SENTINEL = {"x-api-key": "sk-ant-oat-ccinspect-anthropic", "anthropic-version": "2023-06-01"}
OWN = {"x-api-key": "my-own-key", "anthropic-version": "2023-06-01"}


@contextmanager
def asking(
    daemon: Daemon,
    body: Any = MESSAGES,
    headers: dict[str, str] = OWN,
    path: str = "/v1/messages",
    method: str = "POST",
) -> Iterator[http.client.HTTPResponse]:
    """One request to the reverse listener; `body` is JSON, or bytes as they are."""
    connection = http.client.HTTPConnection("127.0.0.1", daemon.ports["reverse"], timeout=30)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        connection.request(method, path, data, {"content-type": "application/json", **headers})
        yield connection.getresponse()
    finally:
        connection.close()


def ask(daemon: Daemon, *args: Any, **kwargs: Any) -> tuple[int, Any]:
    """(status, JSON) of an answer."""
    with asking(daemon, *args, **kwargs) as response:
        return response.status, json.loads(response.read())


def only_flow(daemon: Daemon) -> dict[str, Any]:
    """What the store has of the only flow that has ended."""
    (record,) = daemon.wait_for(1)
    with StoreReader(daemon.paths.store_dir) as store:
        return store.get(record["id"])


def anthropic_with(auth: Any = f"echo {REAL}", **more: Any) -> dict[str, Any]:
    return {"anthropic": {"auth": auth, **more}}


class TestCredentials:
    def test_a_sentinel_is_replaced_and_the_key_is_stored_nowhere(
        self, configure: Configure, provider: Provider
    ) -> None:
        daemon = configure(providers=anthropic_with())
        status, _ = ask(daemon, headers=SENTINEL)
        assert status == 200
        assert provider.requests[0].header("x-api-key") == REAL
        assert b"ccinspect" not in provider.requests[0].head
        record = only_flow(daemon)
        assert record["changes"]["credentials"] == "anthropic"
        stored = b"".join(path.read_bytes() for path in daemon.paths.data_dir.rglob("*") if path.is_file())
        assert REAL.encode() not in stored
        assert REAL not in json.dumps(record)

    def test_a_key_in_a_header_of_its_own_is_stored_nowhere_either(
        self, configure: Configure, provider: Provider
    ) -> None:
        daemon = configure(providers=anthropic_with({"command": f"echo {REAL}", "header": "X-Custom"}))
        ask(daemon, headers=SENTINEL)
        assert provider.requests[0].header("x-custom") == REAL
        assert REAL not in json.dumps(only_flow(daemon))
        stored = b"".join(path.read_bytes() for path in daemon.paths.data_dir.rglob("*") if path.is_file())
        assert REAL.encode() not in stored

    def test_a_method_stays_as_it_is_spelled(self, configure: Configure, provider: Provider) -> None:
        daemon = configure(providers=anthropic_with())
        ask(daemon, headers=SENTINEL, method="post")
        assert provider.requests[0].request_line[0] == "post"

    def test_a_key_that_is_no_sentinel_passes_untouched(self, configure: Configure, provider: Provider) -> None:
        daemon = configure(providers=anthropic_with())
        assert ask(daemon)[0] == 200
        assert provider.requests[0].header("x-api-key") == "my-own-key"
        assert only_flow(daemon)["changes"] is None

    @pytest.mark.parametrize(
        ("headers", "words"),
        [
            ({"x-api-key": "sk-ccinspect-nobody"}, "nobody"),
            ({"authorization": "Bearer SK-CCINSPECT-"}, "no provider"),
            ({**SENTINEL, "origin": "https://evil.example"}, "web page"),
            ({**SENTINEL, "sec-fetch-site": "cross-site"}, "web page"),
            ({**SENTINEL, "host": "evil.example:4000"}, "Host"),
        ],
        ids=["unknown", "empty", "origin", "fetch", "rebound"],
    )
    def test_a_sentinel_that_is_not_honoured_goes_nowhere(
        self, configure: Configure, provider: Provider, headers: dict[str, str], words: str
    ) -> None:
        daemon = configure(providers=anthropic_with())
        status, answer = ask(daemon, headers=headers)
        assert status == 401
        assert answer["type"] == "error"
        assert words in answer["error"]["message"]
        assert not provider.requests
        assert only_flow(daemon)["changes"]["refused"]["by"] == "credentials"

    def test_with_a_token_a_stranger_needs_it(self, configure: Configure, provider: Provider) -> None:
        daemon = configure(providers=anthropic_with(), proxy={"token": "hush"})
        assert ask(daemon, headers=SENTINEL)[0] == 401
        assert ask(daemon, headers={**SENTINEL, "x-ccinspect-token": "wrong"})[0] == 401
        assert ask(daemon, headers={**SENTINEL, "x-ccinspect-token": "hush"})[0] == 200
        assert len(provider.requests) == 1
        assert b"hush" not in provider.requests[0].head

    def test_a_refused_key_is_asked_for_anew_and_the_request_sent_again(
        self, configure: Configure, provider: Provider, tmp_path: Path
    ) -> None:
        count = tmp_path / "count"
        count.write_text("0")
        daemon = configure(providers=anthropic_with(f"n=$(cat {count}); echo $((n+1)) > {count}; echo {REAL}-$n"))
        provider.answer_with(json_answer(401, {"type": "error", "error": {"type": "authentication_error"}}))
        with asking(daemon, {**MESSAGES, "stream": True}, SENTINEL) as response:
            assert response.status == 200
            assert b"message_stop" in response.read()
        assert [request.header("x-api-key") for request in provider.requests] == [f"{REAL}-0", f"{REAL}-1"]
        assert provider.requests[0].content == provider.requests[1].content
        (attempt,) = only_flow(daemon)["changes"]["attempts"]
        assert attempt["status"] == 401

    def test_a_key_that_stays_the_same_is_refused_once(self, configure: Configure, provider: Provider) -> None:
        daemon = configure(providers=anthropic_with())
        refusal = {"type": "error", "error": {"type": "authentication_error", "message": "no"}}
        provider.answer_with(json_answer(401, refusal))
        assert ask(daemon, headers=SENTINEL) == (401, refusal)
        assert len(provider.requests) == 1

    def test_nobody_waits_for_the_key_of_another(
        self, configure: Configure, provider: Provider, tmp_path: Path
    ) -> None:
        fifo = tmp_path / "key"
        os.mkfifo(fifo)
        daemon = configure(providers=anthropic_with(f"cat {fifo}"))
        waiting = http.client.HTTPConnection("127.0.0.1", daemon.ports["reverse"], timeout=30)
        waiting.request("POST", "/v1/messages", json.dumps(MESSAGES), SENTINEL)
        for _ in range(20):
            assert ask(daemon)[0] == 200
        fifo.write_text(REAL)
        assert waiting.getresponse().status == 200
        waiting.close()
        assert [request.header("x-api-key") for request in provider.requests] == ["my-own-key"] * 20 + [REAL]

    def test_a_failing_command_is_said_clearly(self, configure: Configure, provider: Provider) -> None:
        daemon = configure(providers=anthropic_with("echo secret-words; exit 3"))
        status, answer = ask(daemon, headers=SENTINEL)
        assert status == 401
        assert "anthropic" in answer["error"]["message"]
        assert "secret-words" not in json.dumps(answer) + daemon.log()
        assert not provider.requests


class TestRules:
    def test_a_denied_request_is_answered_and_recorded(self, configure: Configure, provider: Provider) -> None:
        rule = {"match_model": "^claude-x$", "action": "deny", "reason": "not this one"}
        daemon = configure(inspector={"transforms": [rule]})
        status, answer = ask(daemon)
        assert (status, answer["type"], answer["error"]["message"]) == (403, "error", "not this one")
        assert ask(daemon, {**MESSAGES, "model": "claude-y"})[0] == 200
        assert len(provider.requests) == 1
        denied = daemon.wait_for(2)[0]
        assert denied["changes"]["refused"]["reason"] == "not this one"
        assert daemon.body(denied["id"], "--request") == json.dumps(MESSAGES).encode()

    def test_a_redirected_body_keeps_every_byte_but_the_model(self, configure: Configure, provider: Provider) -> None:
        rule = {"match_provider": "^anthropic$", "action": "redirect", "dest_model": "claude-new"}
        daemon = configure(inspector={"transforms": [rule]})
        odd = (
            b'{ "temperature" : 1.0e+0,"max_tokens":50,"model":"claude-x", '
            b'"messages":[{"role":"user","content":"\\u00e9\\/"}] }\n'
        )
        assert ask(daemon, odd)[0] == 200
        sent = odd.replace(b'"claude-x"', b'"claude-new"')
        assert bytes(provider.requests[0].content) == sent
        record = only_flow(daemon)
        assert daemon.body(record["id"], "--request") == sent
        assert record["client_request"]["contentLength"] == len(odd)
        assert record["changes"]["route"]["rule"] == 0

    def test_a_translated_stream_comes_event_by_event(self, configure: Configure, provider: Provider) -> None:
        daemon = configure(
            inspector={
                "transforms": [{"match_provider": "anthropic", "action": "transform", "dest_provider": "openai"}]
            },
            providers={"openai": {"type": "openai_chat", "auth": f"echo {REAL}"}},
        )
        gate = Gate()
        frame = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "gpt"}
        first = frame | {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "one"}}]}
        second = frame | {"choices": [{"index": 0, "delta": {"content": " two"}, "finish_reason": "stop"}]}
        events = [b"data: %s\n\n" % json.dumps(event).encode() for event in (first, second)]
        opening = head(200, [("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")])
        end = chunk(b"data: [DONE]\n\n")
        provider.answer_with(Answer([opening, chunk(events[0]), gate, chunk(events[1]), end, last_chunk()]))
        with asking(daemon, {**MESSAGES, "stream": True}) as response:
            assert response.getheader("content-type", "").startswith("text/event-stream")
            got = b""
            while b'"one"' not in got:
                got += response.read1()
            assert b" two" not in got
            gate.open()
            got += response.read()
        assert got.endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
        record = only_flow(daemon)
        assert daemon.body(record["id"], "--response") == b"".join(events) + b"data: [DONE]\n\n"
        assert provider.requests[0].header("authorization") == f"Bearer {REAL}"
        assert provider.requests[0].header("x-api-key") is None
        assert record["client_response"]["contentLength"] == len(got)

    def test_a_key_is_not_sent_to_another_provider(self, configure: Configure, provider: Provider) -> None:
        daemon = configure(
            inspector={
                "transforms": [{"match_provider": "anthropic", "action": "transform", "dest_provider": "openai"}]
            }
        )
        assert ask(daemon)[0] == 401
        assert b"my-own-key" not in provider.requests[0].head

    def test_errors_come_in_the_dialect_of_the_client(self, configure: Configure) -> None:
        rule = {"match_provider": "anthropic", "action": "transform", "dest_provider": "openai"}
        daemon = configure(inspector={"transforms": [rule]}, providers={"openai": {"auth": f"echo {REAL}"}})
        status, answer = ask(daemon, {**MESSAGES, "model": "error-429"})
        assert (status, answer["type"], answer["error"]["type"]) == (429, "error", "rate_limit_error")

    def test_what_cannot_be_translated_is_said(self, configure: Configure, provider: Provider) -> None:
        rule = {"match_provider": "anthropic", "action": "transform", "dest_provider": "openai"}
        daemon = configure(
            inspector={"transforms": [rule]}, providers={"openai": {"type": "openai_chat", "auth": f"echo {REAL}"}}
        )
        with asking(daemon, {**MESSAGES, "top_k": 5}) as response:
            (note, *_) = [
                note
                for note in json.loads(response.getheader("x-ccinspect-diagnostics", "[]"))
                if "top_k" in note["message"]
            ]
        assert note["severity"] == "warning"
        assert "top_k" in json.dumps(only_flow(daemon)["changes"]["diagnostics"])
        assert ask(daemon, b"not json")[0] == 400
        assert len(provider.requests) == 1

    def test_rules_are_read_anew(self, configure: Configure) -> None:
        daemon = configure()
        assert ask(daemon)[0] == 200
        settings = {**daemon.settings}
        settings["inspector"] = settings["inspector"] | {"transforms": [{"match_path": "messages", "action": "deny"}]}
        daemon.paths.config_file.write_text(yaml.safe_dump(settings))
        daemon.run("reload", check=True)
        assert ask(daemon)[0] == 403

    def test_a_rule_to_nowhere_stops_the_start(self, start_daemon: StartDaemon) -> None:
        with pytest.raises(AssertionError, match="no provider 'opnai'"):
            start_daemon(inspector={"transforms": [{"action": "transform", "dest_provider": "opnai"}]})


@pytest.mark.jail
class TestLeadingAJailToThisMachine:
    """A rule may lead a jailed program's requests to a model server here; the program itself may not go there."""

    PROGRAM = """
import http.client, json, ssl, sys
url, host, body = sys.argv[1:]
scheme, _, place = url.partition("://")
kind = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
connection = kind(place, timeout=20)
connection.request("POST", "/v1/messages", body, {"host": host, "x-api-key": "my-own-key"})
answer = connection.getresponse()
print(answer.status, answer.read().decode())
"""

    def ask(self, daemon: Daemon, url: str, host: str) -> tuple[int, dict[str, Any]]:
        done = daemon.run("run", "-i", "--", sys.executable, "-c", self.PROGRAM, url, host, json.dumps(MESSAGES))
        status, _, body = done.stdout.partition(" ")
        assert body, done.stderr
        return int(status), json.loads(body)

    @pytest.mark.parametrize("address", ["127.0.0.1", "localhost"])
    def test_by_its_address_or_name(self, configure: Configure, provider: Provider, address: str) -> None:
        local = {"host": address, "port": provider.http_port, "scheme": "http", "type": "openai_chat"}
        rule = {"match_host": "anthropic", "action": "transform", "dest_provider": "local", "dest_model": "gpt-5-mini"}
        local["auth"] = f"echo {REAL}"
        daemon = configure(providers={"local": local}, inspector={"transforms": [rule]})
        status, answer = self.ask(daemon, "https://api.anthropic.com", "api.anthropic.com")
        assert (status, answer["type"]) == (200, "message"), answer
        assert provider.requests[0].path == "/v1/chat/completions"

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
    def test_not_where_the_client_names_the_place(self, configure: Configure, provider: Provider, host: str) -> None:
        rule = {"match_path": "^/v1/messages", "action": "redirect", "dest_port": provider.http_port}
        daemon = configure(inspector={"transforms": [rule]})
        status, answer = self.ask(daemon, "http://api.anthropic.com", host)
        assert (status, provider.requests) == (502, [])
        assert "own addresses" in answer["error"]["message"]


class TestFallbacks:
    def test_it_is_tried_again_and_then_elsewhere(self, configure: Configure, provider: Provider) -> None:
        then = {"attempts": 2, "max_delay": 0, "to": [{"provider": "openai", "model": "gpt-x"}]}
        daemon = configure(
            providers={**anthropic_with(fallbacks=then), "openai": {"auth": f"echo {REAL}-2"}},
        )
        overloaded = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
        for _ in range(2):
            provider.answer_with(json_answer(529, overloaded))
        status, answer = ask(daemon)
        assert (status, answer["type"], answer["content"][0]["type"]) == (200, "message", "text")
        assert [request.path for request in provider.requests] == [
            "/v1/messages",
            "/v1/messages",
            "/v1/chat/completions",
        ]
        assert provider.requests[0].header("x-api-key") == "my-own-key"
        assert provider.requests[2].header("authorization") == f"Bearer {REAL}-2"
        assert b"my-own-key" not in provider.requests[2].head
        changes = only_flow(daemon)["changes"]
        assert [attempt["status"] for attempt in changes["attempts"]] == [529, 529]
        assert changes["route"]["provider"] == "openai"

    def test_another_model_of_a_rules_provider_is_asked_where_the_rule_says(
        self, configure: Configure, provider: Provider
    ) -> None:
        then = {"attempts": 1, "to": [{"model": "claude-b"}, {"provider": "anthropic", "model": "claude-c"}]}
        gateway = {"action": "redirect", "dest_provider": "anthropic", "dest_host": "api.openai.com"}
        daemon = configure(providers=anthropic_with(fallbacks=then), inspector={"transforms": [gateway]})
        for _ in range(2):
            provider.answer_with(json_answer(529, {"type": "error"}))
        ask(daemon)
        assert [request.header("host") for request in provider.requests] == ["api.openai.com"] * 3
        assert [json.loads(request.body)["model"] for request in provider.requests[1:]] == ["claude-b", "claude-c"]
        assert only_flow(daemon)["changes"]["route"]["rule"] == 0

    def test_when_all_fail_the_client_gets_the_last_answer(self, configure: Configure, provider: Provider) -> None:
        daemon = configure(providers=anthropic_with(fallbacks={"attempts": 2, "max_delay": 0}))
        overloaded = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
        for _ in range(2):
            provider.answer_with(json_answer(529, overloaded))
        assert ask(daemon) == (529, overloaded)
        record = only_flow(daemon)
        assert record["response"]["status_code"] == 529
        assert len(record["changes"]["attempts"]) == 2

    def test_an_upstream_that_is_not_there_is_gone_around(self, configure: Configure, provider: Provider) -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            port = closed.getsockname()[1]
        dead = {"host": "127.0.0.1", "port": port, "scheme": "http", "type": "anthropic", "auth": "echo x"}
        daemon = configure(
            providers={
                "dead": {**dead, "fallbacks": {"attempts": 1, "to": [{"provider": "anthropic"}]}},
                **anthropic_with(),
            }
        )
        status, answer = ask(daemon, headers={"x-api-key": "sk-ccinspect-dead"})
        assert (status, answer["type"]) == (200, "message"), answer
        assert provider.requests[0].header("x-api-key") == REAL
        assert only_flow(daemon)["changes"]["attempts"][0]["error"]

    def test_nothing_is_sent_twice_once_the_client_has_got_something(
        self, configure: Configure, provider: Provider
    ) -> None:
        daemon = configure(providers=anthropic_with(fallbacks={"attempts": 3, "max_delay": 0}))
        status, answer = ask(daemon, {**MESSAGES, "model": "error-400"})
        assert (status, answer["type"]) == (400, "error")
        assert len(provider.requests) == 1


HOOKS = """
import threading
from ccinspect.pipeline.declaration import hook

@hook(reads=("body.model",), writes=("body.max_tokens",))
def shorter(ctx):
    ctx.json["max_tokens"] = 7

@hook(writes=("headers.x-team",))
async def team(ctx):
    ctx.headers.set("x-team", "search")

@hook(writes=("body",))
def broken(ctx):
    ctx.json["model"] = "lost"
    raise ValueError("broken on purpose")

@hook(writes=("body",))
def hanging(ctx):
    threading.Event().wait()

@hook(reads=("body",))
def refusing(ctx):
    ctx.refuse("permission", "not today")
"""


class TestHooks:
    @pytest.fixture
    def hooked(self, configure: Configure, shared_daemon: SharedDaemon) -> Any:
        directory = shared_daemon.paths.config_dir / "hooks"
        directory.mkdir(exist_ok=True)
        (directory / "mine.py").write_text(HOOKS)

        def start(*names: str, **more: Any) -> Daemon:
            return configure(hooks={"inbound": [f"mine.{name}" for name in names], **more})

        return start

    def test_they_change_the_request_and_the_flow_says_so(self, hooked: Any, provider: Provider) -> None:
        daemon = hooked("shorter", "team")
        assert ask(daemon)[0] == 200
        sent = json.dumps(MESSAGES).replace('"max_tokens": 50', '"max_tokens": 7')
        assert bytes(provider.requests[0].content) == sent.encode()
        assert provider.requests[0].header("x-team") == "search"
        hooks = {hook["name"]: hook for hook in only_flow(daemon)["changes"]["hooks"]}
        assert hooks["shorter"]["changed"] == [".max_tokens"]
        assert hooks["team"]["changed"] == ["headers.x-team"]

    def test_traffic_goes_on_whatever_they_do(self, hooked: Any, provider: Provider) -> None:
        daemon = hooked("broken", "hanging", "team", timeout=0.5)
        assert ask(daemon)[0] == 200
        assert bytes(provider.requests[0].content) == json.dumps(MESSAGES).encode()
        states = {hook["name"]: hook["state"] for hook in only_flow(daemon)["changes"]["hooks"]}
        assert states.items() >= {"broken": "failed", "hanging": "timeout", "team": "ran"}.items()

    def test_one_can_refuse(self, hooked: Any, provider: Provider) -> None:
        status, answer = ask(hooked("refusing"))
        assert (status, answer["error"]["message"]) == (403, "not today")
        assert not provider.requests

    def test_a_request_can_skip_one(self, hooked: Any, provider: Provider) -> None:
        daemon = hooked("shorter", "team")
        assert ask(daemon, headers={**OWN, "x-ccinspect-hooks": "-shorter"})[0] == 200
        assert bytes(provider.requests[0].content) == json.dumps(MESSAGES).encode()
        assert provider.requests[0].header("x-team") == "search"
        assert b"ccinspect" not in provider.requests[0].head
