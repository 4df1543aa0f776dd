"""A request that gets no answer from its upstream, through a real daemon: what its client is told."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import anthropic
import google.genai
import httpx
import openai
import pytest
from google.genai import errors, types

from ccinspect.demo.answers import Answer, Close, Reset, chunk, event_stream, plain
from ccinspect.demo.certificates import Authority
from ccinspect.demo.provider import Provider
from tests.support.daemon import Daemon, Record, settings_for, started
from tests.support.ports import free_port
from tests.support.shared_daemon import SharedDaemon

HOST = "api.anthropic.com"
DISTRUSTED = "distrusted.test"
DOWN = "down.test"
BODY = b'{"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]}'
POST = "/v1/messages"
WORDS = "ccinspect got no answer from"


@pytest.fixture(scope="module")
def shared_daemon(shared_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedDaemon]:
    """One that knows a server which is down, and one that nobody should trust."""
    directory = tmp_path_factory.mktemp("unanswered")
    settings = settings_for(shared_provider, directory)
    distrusted = shared_provider.listen(Authority().server_context([DISTRUSTED]))
    places = {f"{DOWN}:443": f"127.0.0.1:{free_port()}", f"{DISTRUSTED}:443": f"127.0.0.1:{distrusted}"}
    settings["inspector"]["connect_to"] |= places
    with started(SharedDaemon(directory / "instance", settings)) as running:
        yield running


def ask(
    daemon: Daemon, path: str = POST, method: str = "POST", upstream: str | None = None
) -> tuple[int, dict[str, str], bytes]:
    """What a client of the reverse listener is told, who sends its requests on one connection."""
    with closing(http.client.HTTPConnection("127.0.0.1", daemon.ports["reverse"], timeout=20)) as connection:
        headers = {"x-ccinspect-upstream": f"https://{upstream}"} if upstream else {}
        connection.request(method, path, BODY if method == "POST" else None, headers)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


def the_flow(daemon: Daemon) -> Record:
    (record,) = daemon.wait_for(1)
    assert record["state"] == "error"
    return record


@pytest.mark.parametrize(
    ("upstream", "told"),
    [
        (DOWN, f"{WORDS} {DOWN}: [Errno 111] Connect call failed"),
        (DISTRUSTED, f"{WORDS} {DISTRUSTED}: Certificate verify failed"),
    ],
)
def test_an_upstream_that_nobody_gets_to(daemon: Daemon, upstream: str, told: str) -> None:
    status, headers, body = ask(daemon, upstream=upstream)
    assert (status, headers["content-type"]) == (502, "application/json")
    error = json.loads(body)
    assert (error["type"], error["error"]["type"]) == ("error", "api_error")
    assert error["error"]["message"].startswith(told)
    record = the_flow(daemon)
    # What a person can do about it stands in the flow, and the client is told the same.
    assert error["error"]["message"].endswith(f"; {record['hint']}")
    assert (record["response"]["status_code"], record["error"]["msg"] in error["error"]["message"]) == (502, True)
    assert daemon.body(record["id"], "--request") == BODY
    assert daemon.body(record["id"], "--response") == body


@pytest.mark.parametrize("steps", [[Close()], [Reset()], [b"SSH-2.0-OpenSSH_9.2\r\n\r\n"], [b"HTTP/1.1 200 OK\r\nA: "]])
def test_an_upstream_that_breaks_off_before_its_answer(daemon: Daemon, provider: Provider, steps: list[Any]) -> None:
    provider.answer_with(Answer([*steps, Close()]))
    status, _, body = ask(daemon)
    assert status == 502
    message = json.loads(body)["error"]["message"]
    assert message == f"{WORDS} {HOST}: {the_flow(daemon)['error']['msg']}"
    assert len(provider.requests) == 1


def test_what_has_begun_is_not_answered_again(daemon: Daemon, provider: Provider) -> None:
    provider.answer_with(Answer([next(iter(event_stream([]).steps)), chunk(b"data: 1\n\n"), Close()]))
    with pytest.raises(http.client.IncompleteRead) as cut:
        ask(daemon)
    assert cut.value.partial == b"data: 1\n\n"
    assert the_flow(daemon)["response"]["status_code"] == 200


def test_the_connection_goes_on(daemon: Daemon, provider: Provider) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", daemon.ports["reverse"], timeout=20)) as connection:
        socket = None
        for answer, status in ((Answer([Close()]), 502), (plain(200, b"{}"), 200), (Answer([Close()]), 502)):
            provider.answer_with(answer)
            connection.request("POST", POST, BODY)
            got = connection.getresponse()
            got.read()
            socket = socket or connection.sock
            assert (got.status, connection.sock) == (status, socket)


def test_a_head_gets_no_body(daemon: Daemon) -> None:
    status, headers, body = ask(daemon, "/v1/models", "HEAD", upstream=DOWN)
    assert (status, int(headers["content-length"]) > 0, body) == (502, True, b"")


def test_a_client_of_http2(daemon: Daemon) -> None:
    with httpx.Client(http1=False, http2=True, headers={"x-ccinspect-upstream": f"https://{DOWN}"}) as client:
        for _ in range(2):
            answer = client.post(f"http://127.0.0.1:{daemon.ports['reverse']}{POST}", content=BODY)
            assert (answer.http_version, answer.status_code) == ("HTTP/2", 502)
            assert answer.json()["error"]["message"].startswith(f"{WORDS} {DOWN}: ")


@pytest.mark.jail
def test_a_program_in_a_jail(daemon: Daemon, provider: Provider) -> None:
    provider.answer_with(Answer([Close()]))
    script = f"""
import json, urllib.request, urllib.error
try:
    urllib.request.urlopen("https://{HOST}/package", timeout=20)
except urllib.error.HTTPError as error:
    print(error.code, json.load(error)["error"]["message"])
"""
    done = daemon.run("run", "--inspect", "--", sys.executable, "-c", script)
    assert done.stdout.startswith(f"502 {WORDS} {HOST}: "), done.stderr


class TestSdks:
    """They read it as an error of their provider, with the words."""

    @pytest.fixture(autouse=True)
    def closing(self, provider: Provider) -> None:
        provider.answer_with(Answer([Close()]))

    @pytest.fixture
    def base(self, daemon: Daemon) -> str:
        return f"http://127.0.0.1:{daemon.ports['reverse']}"

    def test_anthropic(self, base: str) -> None:
        client = anthropic.Anthropic(base_url=base, api_key="k", max_retries=0)
        with pytest.raises(anthropic.InternalServerError, match=WORDS) as raised:
            client.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "hi"}])
        assert isinstance(raised.value.body, dict)
        assert raised.value.body["error"]["type"] == "api_error"

    @pytest.mark.parametrize("stream", [False, True])
    def test_openai(self, base: str, stream: bool) -> None:
        client = openai.OpenAI(base_url=f"{base}/v1", api_key="k", max_retries=0)
        with pytest.raises(openai.InternalServerError, match=WORDS) as raised:
            client.responses.create(model="m", input="hi", stream=stream)
        assert raised.value.type == "server_error"

    def test_gemini(self, base: str) -> None:
        options = types.HttpOptions(base_url=base, retry_options=types.HttpRetryOptions(attempts=1))
        client = google.genai.Client(api_key="k", http_options=options)
        with pytest.raises(errors.ServerError, match=WORDS):
            client.models.generate_content(model="m", contents="hi")
