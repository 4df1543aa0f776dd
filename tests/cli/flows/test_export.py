"""`ccinspect flows export`: what it writes is run, and the fake provider tells what arrived."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ccinspect.cli.flows.export_code import WRITERS
from ccinspect.cli.text import clean_lines
from ccinspect.demo.answers import json_answer
from ccinspect.demo.http1 import Received
from ccinspect.demo.provider import Provider
from ccinspect.errors import CcinspectError
from ccinspect.replay.sendable import Sendable, sendable
from tests.cli.conftest import Stored, flow_id, http_flow
from tests.support.daemon import clean_environment

LANGUAGES = sorted(WRITERS)
KEY = "sk-the-real-one-1234567890"
BODY = json.dumps({"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": 'it\'s $HOME `x` \\n "ü"'}]})


def request(provider: Provider, **changes: Any) -> dict[str, Any]:
    return {
        "method": "POST",
        "scheme": "http",
        "host": "127.0.0.1",
        "pretty_host": "127.0.0.1",
        "port": provider.http_port,
        "path": "/v1/anything?beta=true&x='$(id)'",
        "http_version": "HTTP/1.1",
        "headers": [
            [b"Host", b"127.0.0.1"],
            [b"Content-Type", b"application/json"],
            [b"X-Api-Key", KEY.encode()],
            [b"Anthropic-Version", b"2023-06-01"],
            [b"X-Odd", b'it\'s "$HOME" `id` !x % ; =1 @2'],
            [b"X-Empty", b""],
            [b"X-At", b"@file"],
            [b"X-Is", b"=1"],
            [b"Accept-Encoding", b"gzip"],
            [b"Content-Length", b"7"],
            [b"Connection", b"close"],
            [b"X-Ccinspect-Project", b"p"],
        ],
        "trailers": None,
        **changes,
    }


def made_sendable(message: dict[str, Any], body: bytes) -> Sendable:
    """As from the store, in which headers are text."""
    headers = [[name.decode(), value.decode()] for name, value in message["headers"]]
    return sendable(message | {"headers": headers}, body)


def run(language: str, code: str, directory: Path, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Run what was exported, as somebody else would: in another directory, without any of our variables."""
    file = directory / f"exported.{language}"
    file.write_bytes(code.encode())
    argv = [sys.executable, "-I", str(file)] if language == "python" else ["sh", "-e", str(file)]
    tools = str(Path(sys.executable).parent)
    environ = clean_environment() | {"PATH": f"{tools}:/usr/bin:/bin", "HOME": str(directory)} | variables
    return subprocess.run(argv, env=environ, cwd=directory, capture_output=True, timeout=60)


def sent(provider: Provider, done: subprocess.CompletedProcess[bytes]) -> Received:
    assert done.returncode == 0, done.stderr.decode()
    return provider.wait_for(1)[-1]


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_exported_sends_the_same_request(
    stored: Stored, provider: Provider, tmp_path: Path, language: str
) -> None:
    provider.answer_with(json_answer(200, {"said": "hello"}))
    place = stored(http_flow(1, request=request(provider), request_body=BODY.encode()))
    exported = place.run("flows", "export", flow_id(1)[:8], "--as", language)
    assert exported.returncode == 0, exported.stderr
    code = exported.stdout.decode()
    assert KEY not in code
    assert "API_KEY" in exported.stderr.decode()
    done = run(language, code, tmp_path, API_KEY="a'b\"c$d \\e")
    arrived = sent(provider, done)
    assert arrived.request_line[0] == "POST"
    assert arrived.body == BODY.encode()
    assert arrived.header("x-api-key") == "a'b\"c$d \\e"
    assert arrived.header("x-odd") == 'it\'s "$HOME" `id` !x % ; =1 @2'
    assert arrived.header("x-empty") == ""
    assert (arrived.header("x-at"), arrived.header("x-is")) == ("@file", "=1")
    assert arrived.header("content-type") == "application/json"
    assert arrived.header("user-agent") is None
    assert arrived.header("x-ccinspect-project") is None
    assert json.loads(done.stdout) == {"said": "hello"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_variable_that_is_not_set_is_named_and_nothing_is_sent(
    stored: Stored, provider: Provider, tmp_path: Path, language: str
) -> None:
    place = stored(http_flow(1, request=request(provider), request_body=b"{}"))
    code = place.run("flows", "export", flow_id(1), "--as", language).stdout.decode()
    done = run(language, code, tmp_path)
    assert done.returncode != 0
    assert b"API_KEY" in done.stderr
    assert provider.requests == []


BODIES = [
    b"",
    b"ends with a line\n",
    b"two\n\n",
    b"BODY\nBODY2\n",
    b"no end\nBODY",
    b"\x00\x01\xff binary",
    b"\xff\xfe",
    b"with \r\n and \x1b[2J",
    "\u202eü\u2028".encode(),
    b"'\\'' $(id) `id` %s \\ \\0",
    b"x" * 300_000,
    b"{}\n" * 50_000,
]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_any_body_arrives_byte_for_byte(provider: Provider, tmp_path: Path, language: str, body: bytes) -> None:
    code = WRITERS[language](made_sendable(request(provider), body), None)
    assert clean_lines(code) == code
    assert sent(provider, run(language, code, tmp_path, API_KEY="k")).body == body


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_body_in_a_file(stored: Stored, provider: Provider, tmp_path: Path, language: str) -> None:
    body = b"\x00\xff" * 1_000
    place = stored(http_flow(1, request=request(provider), request_body=body))
    file = tmp_path / "the body's file"
    code = place.run("flows", "export", flow_id(1), "--as", language, "--body-file", str(file)).stdout.decode()
    assert file.read_bytes() == body
    assert len(code) < 3_000
    assert sent(provider, run(language, code, tmp_path, API_KEY="k")).body == body


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace")))
@pytest.mark.parametrize("language", ["curl", "python"])
def test_any_bytes_at_all(provider: Provider, tmp_path: Path, language: str, body: bytes) -> None:
    provider.forget()
    code = WRITERS[language](made_sendable(request(provider), body), None)
    assert sent(provider, run(language, code, tmp_path, API_KEY="k")).body == body


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("DELETE", "/a/../b//c?x[1]={y}&z=%20"), ("PUT", "*")])
def test_requests_without_a_body(provider: Provider, tmp_path: Path, language: str, method: str, path: str) -> None:
    message = request(provider, method=method, path=path, headers=[[b"X-A", b"1"], [b"X-A", b"2"]])
    code = WRITERS[language](made_sendable(message, b""), None)
    arrived = sent(provider, run(language, code, tmp_path))
    assert arrived.request_line[0] == method
    if language == "httpie":
        # HTTPie spells some characters of a query in its own way.
        assert arrived.request_line[1].startswith(path.partition("?")[0].replace("*", "/*"))
    else:
        assert arrived.request_line[1] == path.replace("*", "/*")
    assert arrived.body == b""


def test_secrets_in_urls_and_cookies_get_variables_of_their_own(stored: Stored) -> None:
    asked = {
        "host": "generativelanguage.googleapis.com",
        "pretty_host": "generativelanguage.googleapis.com",
        "path": "/v1beta/models/gemini-3:generateContent?key=AIzaSyA1234567890123456789012345678901&alt=sse",
        "headers": [
            [b"X-Goog-Api-Key", b"AIzaSyA1234567890123456789012345678901"],
            [b"Cookie", b"a=one-secret-value; b=another-secret-value"],
            [b"Authorization", b"Bearer something-else-entirely-123"],
        ],
    }
    place = stored(http_flow(1, request=asked, request_body=b"{}"))
    done = place.run("flows", "export", flow_id(1))
    code = done.stdout.decode()
    assert "?key='\"${GEMINI_API_KEY:?}\"'&alt=sse'" in code
    assert "'X-Goog-Api-Key: '\"${GEMINI_API_KEY:?}\"" in code
    assert "'Authorization: Bearer '\"${GEMINI_API_KEY_2:?}\"" in code
    assert "'Cookie: a='\"${COOKIE:?}\"'; b='\"${COOKIE_2:?}\"" in code
    assert "REDACTED" not in code
    said = done.stderr.decode()
    assert all(name in said for name in ("GEMINI_API_KEY", "GEMINI_API_KEY_2", "COOKIE", "COOKIE_2"))


@pytest.mark.parametrize(("version", "count"), [("HTTP/2.0", 1), ("HTTP/3", 1), ("HTTP/1.1", 2)])
def test_the_crumbs_of_a_cookie_are_one_header_again(provider: Provider, version: str, count: int) -> None:
    cookies = [[b"cookie", b"a=one-secret-value"], [b"x", b"y"], [b"cookie", b"b=another-secret-value"]]
    made = made_sendable(request(provider, http_version=version, headers=cookies), b"")
    values = [value for name, value in made.headers if name == "cookie"]
    assert len(values) == count
    texts = [part for value in values for part in value if isinstance(part, str)]
    assert texts == (["a=", "; b="] if count == 1 else ["a=", "b="])


def test_secrets_that_were_kept_are_not_exported(provider: Provider) -> None:
    made = made_sendable(request(provider), b"")
    assert KEY not in "".join(writer(made, None) for writer in WRITERS.values())


def test_the_clients_own_request_can_be_exported(stored: Stored) -> None:
    client = http_flow(1, request={"path": "/v1/own", "headers": []})["flow"]["request"]
    place = stored(http_flow(1, client_request=client, request_body=b"{}", client_request_body=b'{"own": 1}'))
    code = place.run("flows", "export", flow_id(1), "--client").stdout.decode()
    assert "/v1/own" in code
    assert '{"own": 1}' in code
    assert "/v1/messages/1" in place.run("flows", "export", flow_id(1)).stdout.decode()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"type": "dns", "request": None}, "no HTTP request"),
        ({"response": {"status_code": 101}}, "WebSocket"),
        ({"request": {"method": "CONNECT"}}, "tunnel"),
        ({"request_body": {"lost": True, "size": 5}}, "not kept"),
    ],
)
def test_what_cannot_be_exported_is_said(stored: Stored, changes: dict[str, Any], said: str) -> None:
    place = stored(http_flow(1, **changes))
    done = place.run("flows", "export", flow_id(1))
    assert (done.returncode, done.stdout) == (1, b"")
    assert said in done.stderr.decode()


def test_a_header_that_httpie_cannot_send_is_said(provider: Provider) -> None:
    made = made_sendable(request(provider, headers=[[b"x-a", b"b\\:c"]]), b"")
    with pytest.raises(CcinspectError, match="x-a"):
        WRITERS["httpie"](made, None)
