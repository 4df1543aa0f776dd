"""One line per flow, for flows of all kinds and in all states."""

from __future__ import annotations

import time
from typing import Any

import pytest

from ccinspect.cli.flows.flow_show import dns_lines, start_line, summary_lines
from ccinspect.cli.flows.flow_table import COLUMNS, agent, flow_row, media
from ccinspect.cli.table import Cell, tab_separated

NOW = time.time()


def record(**changes: Any) -> dict[str, Any]:
    """An HTTP flow's record, with parts replaced."""
    plain = {
        "id": "0123456789abcdef",
        "type": "http",
        "source": "wireguard",
        "run": None,
        "state": "complete",
        "opaque": False,
        "hint": None,
        "client_conn": {"peername": ["10.0.0.1", 40000], "sni": "api.anthropic.com", "tls_version": "TLSv1.3"},
        "server_conn": {
            "address": ["api.anthropic.com", 443],
            "peername": ["1.2.3.4", 443],
            "sni": "api.anthropic.com",
        },
        "request": {
            "method": "POST",
            "scheme": "https",
            "host": "1.2.3.4",
            "pretty_host": "api.anthropic.com",
            "port": 443,
            "path": "/v1/messages?beta=true",
            "http_version": "HTTP/1.1",
            "headers": [["User-Agent", "claude-cli/2.1.3 (external, cli)"], ["content-type", "application/json"]],
        },
        "client_request": None,
        "response": {
            "http_version": "HTTP/1.1",
            "status_code": 200,
            "reason": "OK",
            "headers": [["Content-Type", "text/event-stream; charset=utf-8"]],
        },
        "client_response": None,
        "error": None,
        "timing": {
            "started_at": NOW,
            "ended_at": NOW + 1.5,
            "first_byte_at": NOW + 0.2,
            "duration": 1.5,
            "first_byte": 0.2,
        },
        "sizes": {"request": 48_000, "response": 2_000},
    }
    return plain | changes


def texts(flow: dict[str, Any]) -> list[str]:
    """The cells of a row but the time."""
    return next(iter(tab_separated([flow_row(flow)]))).split("\t")[:-1]


def test_http() -> None:
    expected = ["01234567", "POST", "200", "api.anthropic.com", "/v1/messages?beta=true", "claude-cli", "sse", "50k"]
    assert texts(record()) == expected
    assert len(flow_row(record())) == len(COLUMNS)


def test_an_unusual_port_is_shown() -> None:
    request = record()["request"] | {"port": 11434, "scheme": "http", "pretty_host": "127.0.0.1"}
    assert texts(record(request=request))[3] == "127.0.0.1:11434"


@pytest.mark.parametrize(
    ("changes", "code", "colour"),
    [
        ({}, "200", "32"),
        ({"response": {"status_code": 304, "headers": []}}, "304", "33"),
        ({"response": {"status_code": 529, "headers": []}}, "529", "31"),
        ({"response": None, "state": "started"}, "...", "2"),
        ({"response": None, "state": "interrupted"}, "cut", "33"),
        ({"response": None, "state": "error", "error": {"msg": "connection refused"}}, "error", "31"),
        ({"state": "error", "error": {"msg": "cut short"}}, "200", "31"),
    ],
)
def test_codes(changes: dict[str, Any], code: str, colour: str) -> None:
    cell = flow_row(record(**changes))[2]
    assert isinstance(cell, Cell)
    assert (cell.text, cell.colour) == (code, colour)


def test_dns() -> None:
    flow = record(
        type="dns",
        request={"question": {"name": "api.anthropic.com", "type": "A", "class": "IN"}, "id": 1},
        response={
            "response_code": "NOERROR",
            "answers": [{"name": "api.anthropic.com", "type": "A", "ttl": 60, "data": "1.2.3.4"}],
        },
        sizes={},
    )
    assert texts(flow) == ["01234567", "DNS", "NOERROR", "api.anthropic.com", "A 1.2.3.4", "", "", "-"]
    assert any("1.2.3.4 (ttl 60)" in line for line in dns_lines(flow))


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_streams(kind: str) -> None:
    flow = record(
        type=kind,
        request=None,
        response=None,
        client_conn={},
        server_conn={"address": ["192.0.2.1", 22]},
        sizes={"request": 5},
    )
    assert texts(flow) == ["01234567", kind.upper(), "-", "192.0.2.1:22", "", "", "", "5"]


def test_an_undecrypted_connection_says_why() -> None:
    flow = record(
        type="tls", request=None, response=None, opaque=True, hint="the client does not trust our CA", state="error",
        error={"msg": "handshake failed"}, sizes=None,
    )  # fmt: skip
    expected = ["01234567", "TLS", "error", "api.anthropic.com:443", "the client does not trust our CA", "", "", "-"]
    assert texts(flow) == expected


@pytest.mark.parametrize(
    ("user_agent", "shown"),
    [
        ("claude-cli/2.1.3 (external, cli)", "claude-cli"),
        ("Anthropic/Python 0.60.0", "Anthropic/Python"),
        ("OpenAI/JS 4.1", "OpenAI/JS"),
        ("codex_cli_rs/0.169.0 (Debian 12; x86_64)", "codex_cli_rs"),
        ("curl/8.5.0", "curl"),
        ("node", "node"),
        ("", ""),
        ("(strange)", ""),
        ("x" * 100_000, "x" * 200),
    ],
)
def test_agents(user_agent: str, shown: str) -> None:
    assert agent(record(request={"headers": [["user-agent", user_agent]]})) == shown


def test_the_clients_own_header_tells_the_agent() -> None:
    flow = record(client_request={"headers": [["USER-AGENT", "mine/1"]]})
    assert agent(flow) == "mine"


@pytest.mark.parametrize(
    ("content_type", "shown"),
    [
        ("application/json", "json"),
        ("application/vnd.api+json; x=y", "json"),
        ("text/html", "html"),
        ("application/grpc", "grpc"),
        ("", ""),
        ("nonsense", "nonsense"),
    ],
)
def test_media(content_type: str, shown: str) -> None:
    assert media(record(response={"status_code": 200, "headers": [["content-type", content_type]]})) == shown


def test_websockets() -> None:
    assert media(record(response={"status_code": 101, "headers": []})) == "ws"


@pytest.mark.parametrize("kind", ["http", "dns", "tcp", "udp", "tls"])
def test_a_record_with_hardly_anything_in_it_is_still_a_line(kind: str) -> None:
    bare = {"id": "x", "type": kind, "state": "started"}
    assert len(flow_row(bare)) == len(COLUMNS)
    assert list(summary_lines(bare))


def test_hostile_values_are_shown_not_obeyed() -> None:
    evil = "\x1b[2J\r\n\x9b31m"
    request = record()["request"] | {
        "path": evil,
        "method": evil,
        "pretty_host": evil,
        "headers": [["user-agent", evil]],
    }
    flow = record(
        request=request, run=evil, hint=evil, error={"msg": evil}, client_conn={"peername": [evil, 1], "cipher": evil}
    )
    shown = "".join([*tab_separated([flow_row(flow)]), *summary_lines(flow), start_line(request)])
    assert not any((ord(character) < 32 and character != "\t") or 0x7F <= ord(character) < 0xA0 for character in shown)


def test_start_lines() -> None:
    assert start_line(record()["request"]) == "POST https://api.anthropic.com/v1/messages?beta=true HTTP/1.1"
    assert start_line(record()["response"]) == "HTTP/1.1 200 OK"
    assert start_line({"status_code": 204, "reason": "", "http_version": "HTTP/2.0"}) == "HTTP/2.0 204"
