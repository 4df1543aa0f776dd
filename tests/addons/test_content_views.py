"""The views of mitmweb, over a real store, called the way that mitmproxy calls them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import contentviews, http
from mitmproxy.contentviews import ContentviewRegistry
from mitmproxy.test import taddons, tflow

from ccinspect.addons import content_views
from ccinspect.addons.content_views import GOING_ON
from ccinspect.analysis import query
from ccinspect.analysis.options import AnalysisOptions
from tests.cli.model_calls import anthropic_call, user
from tests.store.records import ended, flow, record, started


@pytest.fixture(autouse=True)
def mitmproxy_options() -> Iterator[None]:
    """mitmproxy looks at its options for each view."""
    with taddons.context():
        yield


VIEWS = ("Client-Request", "Forwarded-Request", "Provider-Response", "Context")


def shown(store_dir: Path, ident: str, view: str) -> contentviews.ContentviewResult:
    """What mitmweb would show of a flow with this id."""
    registry = ContentviewRegistry()  # type: ignore[no-untyped-call]
    for each in content_views.content_views(store_dir):
        registry.register(each)
    opened = tflow.tflow(resp=True)
    opened.id = ident
    message = opened.request
    assert isinstance(message, http.Request)
    return contentviews.prettify_message(message, opened, view, registry)


def changed(**more: Any) -> dict[str, Any]:
    request = flow()["request"]
    return flow(
        client_request=request | {"path": "/v1/own", "headers": [[b"X-Api-Key", b"sk-very-secret-0123456789"]]}, **more
    )


def test_both_ends_are_shown(tmp_path: Path) -> None:
    made = changed()
    bodies = {"client_request_body": b'{"a": 1}', "client_response_body": b"{}"}
    asyncio.run(record(tmp_path, ended(made, b'{"b":[2]}', b'{"c": "\xc3\xbc"}', **bodies)))
    client, forwarded, answer, context = (shown(tmp_path, made["id"], view) for view in VIEWS)
    assert client.text.startswith("POST https://api.example.com/v1/own HTTP/1.1")
    assert '"a": 1' in client.text
    assert "very-secret" not in client.text
    assert "X-Api-Key: REDACTED~" in client.text
    assert "/v1/messages" in forwarded.text
    assert json.loads(forwarded.text.split("\n\n")[1]) == {"b": [2]}
    assert answer.text.startswith("HTTP/1.1 200 OK")
    assert '"c": "ü"' in answer.text
    assert "no model call" in context.text
    assert {each.view_name for each in (client, forwarded, answer, context)} == set(VIEWS)


def test_a_flow_that_was_not_changed_has_the_same_on_both_ends(tmp_path: Path) -> None:
    made = flow()
    asyncio.run(record(tmp_path, ended(made, b"plain", b"\xff\xfe\x1b[2J")))
    assert shown(tmp_path, made["id"], "Client-Request").text == shown(tmp_path, made["id"], "Forwarded-Request").text
    answer = shown(tmp_path, made["id"], "Provider-Response").text
    assert "\x1b" not in answer
    assert "ÿþ" in answer


@pytest.mark.parametrize("view", VIEWS)
def test_a_flow_that_is_going_on_is_told(tmp_path: Path, view: str) -> None:
    assert shown(tmp_path, "00000000-0000-0000-0000-000000000000", view).text == GOING_ON
    made = flow()
    asyncio.run(record(tmp_path, started(made)))
    said = shown(tmp_path, made["id"], view)
    assert said.syntax_highlight == "none"
    assert "Traceback" not in said.text


def test_large_and_hostile_bodies_are_bounded(tmp_path: Path) -> None:
    deep = flow()
    large = flow()
    asyncio.run(
        record(tmp_path, ended(deep, b"[" * 190 + b"]" * 190, b"{}"), ended(large, b'{"a":"' + b"x" * (4 << 20), b"{}"))
    )
    assert "[" * 190 in shown(tmp_path, deep["id"], "Forwarded-Request").text
    said = shown(tmp_path, large["id"], "Forwarded-Request").text
    assert len(said) < content_views.SHOWN_BYTES + 1_000
    assert "--raw" in said


def test_the_context_is_shown(tmp_path: Path) -> None:
    call = anthropic_call(1, [user("Which branch is this?")], [{"type": "text", "text": "main"}])
    asyncio.run(record(tmp_path, call))
    assert "not analysed yet" in shown(tmp_path, call["flow"]["id"], "Context").text
    with query.open_analysis(tmp_path, AnalysisOptions()):
        pass
    said = shown(tmp_path, call["flow"]["id"], "Context").text
    assert said.startswith("claude-sonnet-4-5: 1,500 tokens in the window")
    assert "50 tokens in the answer" in said
    assert "tool definitions" in said
    assert "ccinspect flows context" in said


def test_a_store_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "flows.db").write_bytes(b"nonsense" * 1_000)
    assert "cannot be used" in shown(tmp_path, "x", "Client-Request").text


def test_they_never_choose_themselves(tmp_path: Path) -> None:
    content_views.register(tmp_path)
    opened = tflow.tflow()
    assert contentviews.prettify_message(opened.request, opened).view_name not in VIEWS
    assert {view.lower() for view in VIEWS} <= set(contentviews.registry)
