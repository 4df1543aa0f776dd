"""The envelope of a shape around a request."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccinspect.pipeline.message import Facts
from ccinspect.shapes.fill import fill
from ccinspect.shapes.shape import Shape
from tests.shapes.samples import body_of, facts, filled, outgoing, shape

CALL: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize(
    ("fields", "request_path", "body", "agent", "agents", "said"),
    [
        ({"agent": "claude-code"}, None, CALL, "claude-code", (), "claude-code is the shape's own client"),
        ({}, None, CALL, "codex", ("aider",), "it is not for requests of codex"),
        ({}, None, CALL, None, ("aider",), "it is not for requests of an unknown client"),
        ({}, "/v1/chat/completions", CALL, None, (), "the request speaks openai_chat, the shape anthropic"),
        ({}, "/v1/messages/count_tokens", CALL, None, (), "the request is no model call but count_tokens"),
        ({}, "/v1/files", CALL, None, (), "the request speaks no dialect we know, the shape anthropic"),
        ({}, None, None, None, (), "the request's body was not read"),
        ({}, None, b"{", None, (), "the request's body is no JSON object"),
        ({}, None, b"[1]", None, (), "the request's body is no JSON object"),
        ({}, None, b"", None, (), "the request's body is no JSON object"),
    ],
)
def test_other_requests_are_left_alone(
    fields: dict[str, Any], request_path: str | None, body: Any, agent: str | None, agents: tuple[str, ...], said: str
) -> None:
    request = outgoing(body, path=request_path, headers={"a": "b"})
    before = copy.deepcopy(request)
    result = fill(shape(body={"top_k": 1}, headers={"x": "y"}, **fields), request, facts(agent), lambda: "id", agents)
    assert result.skipped is not None
    assert result.skipped.startswith(said)
    assert result.outgoing is request
    assert (request.body, request.headers.fields, request.path) == (before.body, before.headers.fields, before.path)
    assert result.as_record()["changed"] == []


def test_a_path_that_says_nothing_leaves_it_to_what_is_known() -> None:
    request = outgoing(CALL, path="/own/gateway")
    known = Facts("flow", "reverse", dialect="anthropic", kind="generate")
    result = fill(shape(body={"top_k": 1}), request, known, lambda: "id")
    assert (result.skipped, body_of(result)) == (None, CALL | {"top_k": 1})


def test_only_what_changed_is_written_anew() -> None:
    data = b'{ "model":"m",\n "temperature": 1.0e-0, "messages":[{"role":"user","content":"\\u00e9\\/"}] }'
    result = filled(shape(body={"top_k": 40}), data)
    assert result.outgoing.body is not None
    assert result.outgoing.body.startswith(data[:-2])
    assert body_of(result)["top_k"] == 40
    assert result.changed == ("body.top_k",)
    # Nothing to add: the very bytes.
    assert filled(shape(body={"temperature": 0}), data).outgoing.body == data


def test_the_request_that_came_stays_as_it_is() -> None:
    request = outgoing(CALL, headers={"A": "1", "B": "2"})
    before = copy.deepcopy(request)
    template = shape(
        headers={"a": "3"}, strip_headers=["b"], inner_hooks=["insert_cache_markers"], path="/v1/messages?beta=true"
    )
    result = fill(template, request, facts(), lambda: "id")
    assert result.skipped is None
    assert (request.body, request.headers.fields, request.path) == (before.body, before.headers.fields, before.path)
    assert set(result.changed) == {"headers.a", "headers.b", "query.beta", "body.messages[0].content"}


def test_headers_are_stripped_stamped_and_preserved() -> None:
    template = shape(
        headers={"Anthropic-Version": "2023-06-01", "x-team": "ours", "x-kept": "ours"},
        preserve_headers=["X-Kept", "x-and-this"],
        strip_headers=["x-gone", "x-and-this", "content-length"],
    )
    theirs = {"x-gone": "1", "X-Team": "theirs", "X-Kept": "theirs", "X-And-This": "2", "content-length": "5"}
    result = filled(template, CALL, theirs)
    headers = result.outgoing.headers
    assert {name.lower(): headers.get(name) for name in headers} == {
        "x-team": "ours",
        "x-kept": "theirs",
        "x-and-this": "2",
        "content-length": "5",
        "anthropic-version": "2023-06-01",
    }
    assert "header content-length was not stripped: it belongs to the connection" in result.notes
    assert set(result.changed) == {"headers.x-gone", "headers.x-team", "headers.anthropic-version"}


def test_features_are_added_to_the_clients_own() -> None:
    template = shape(headers={"anthropic-beta": "b-1,claude-code-20250219, a-1,oauth-2025-04-20"})
    assert (
        filled(template, CALL, {"anthropic-beta": "a-1, c-1"}).outgoing.headers.get("anthropic-beta") == "a-1,c-1,b-1"
    )
    assert filled(template, CALL).outgoing.headers.get("anthropic-beta") == "b-1,a-1"
    template = shape(headers={"anthropic-beta": "a-1"})
    assert filled(template, CALL, {"anthropic-beta": "c-1, a-1"}).changed == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Authorization", "Bearer x"),
        ("x-api-key", "x"),
        ("Cookie", "a=b"),
        ("Host", "elsewhere"),
        ("Content-Length", "5"),
        ("User-Agent", "claude-cli/2.1"),
        ("X-Stainless-Lang", "js"),
        ("x-app", "cli"),
        ("originator", "codex_cli_rs"),
        ("x-claude-code-session-id", "s"),
        ("x-ccinspect-hooks", "-policy"),
        ("session_id", "s"),
    ],
)
def test_no_shape_says_who_somebody_is(name: str, value: str) -> None:
    result = filled(shape(headers={name: value}), CALL, {"user-agent": "mine", "authorization": "Bearer mine"})
    assert dict(result.outgoing.headers.fields) == {b"user-agent": b"mine", b"authorization": b"Bearer mine"}
    assert [note.startswith(f"header {name} was not stamped") for note in result.notes] == [True]
    assert value not in json.dumps(result.as_record()) or len(value) < 3


@pytest.mark.parametrize(
    ("stamped", "came", "became"),
    [
        ("?beta=true", "", "?beta=true"),
        ("?beta=true", "?alt=sse", "?alt=sse&beta=true"),
        ("?beta=true", "?beta=false&alt=sse", "?beta=true&alt=sse"),
        ("?beta=true", "?beta=true", "?beta=true"),
        ("?a=1&b=2", "?b=3&b=4", "?b=2&a=1"),
        ("", "?x=%20&y", "?x=%20&y"),
        ("?key=abc", "?x=1", "?x=1"),
    ],
)
def test_the_query_is_stamped(stamped: str, came: str, became: str) -> None:
    result = filled(shape(path=f"/v1/messages{stamped}"), CALL, path=f"/prefix/v1/messages{came}")
    assert result.outgoing.path == f"/prefix/v1/messages{became}"


def test_new_ids_are_the_same_in_all_places_of_one_request() -> None:
    hooks = [
        {
            "hook": "fresh_ids",
            "params": {"paths": [".metadata.user_id", ".messages.x"], "headers": ["x-request-id", "x-api-key"]},
        }
    ]
    result = filled(shape(inner_hooks=hooks), CALL)
    assert body_of(result)["metadata"] == {"user_id": "new-id"}
    assert result.outgoing.headers.get("x-request-id") == "new-id"
    assert result.outgoing.headers.get("x-api-key") is None
    assert len(result.notes) == 2


def test_inner_hooks_run_in_their_order() -> None:
    marked = CALL | {"system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]}
    strip_first = shape(
        inner_hooks=[
            "strip_cache_markers",
            {"hook": "insert_cache_markers", "params": {"breakpoints": ["last_user"], "ttl": "1h"}},
        ]
    )
    body = body_of(filled(strip_first, marked))
    assert "cache_control" not in body["system"][0]
    assert body["messages"][0]["content"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    strip_last = shape(inner_hooks=["insert_cache_markers", "strip_cache_markers"])
    assert "cache_control" not in json.dumps(body_of(filled(strip_last, marked)))


def test_other_dialects_have_no_cache_markers() -> None:
    result = filled(shape("openai_chat", inner_hooks=["insert_cache_markers"]), CALL)
    assert result.notes == ("insert_cache_markers did nothing: openai_chat has no cache markers",)
    assert body_of(result) == CALL


def test_what_changed_is_told_within_bounds() -> None:
    result = filled(shape(body={f"k{number}": number for number in range(200)}), CALL)
    assert len(result.changed) == 51
    assert result.changed[-1] == "body (more)"
    json.dumps(result.as_record())


KEYS = ["system", "messages", "tools", "content", "cache_control", "role", "text", "metadata"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.sampled_from(KEYS), JSON, max_size=5)


@settings(max_examples=150)
@given(
    own=OBJECTS,
    live=OBJECTS,
    fields=st.lists(st.sampled_from([".", ".system", ".messages", ".metadata.text", ".tools.content"]), max_size=3),
    strategies=st.dictionaries(
        st.sampled_from([".system", ".messages", ".metadata", ".metadata.text"]),
        st.sampled_from(["replace", "prepend", "append", "drop"]),
    ),
    hooks=st.lists(st.sampled_from(["strip_cache_markers", "insert_cache_markers"]), max_size=2),
)
def test_no_request_breaks_it(
    own: dict[str, Any], live: dict[str, Any], fields: list[str], strategies: dict[str, str], hooks: list[str]
) -> None:
    template = shape(body=own, content_fields=fields, merge_strategies=strategies, inner_hooks=hooks)
    before = template.model_copy(deep=True)
    result = filled(template, live)
    assert isinstance(body_of(result), dict)
    assert template == before
    # What is content is the request's own, unless something was asked to happen to it.
    for key, value in live.items():
        if f".{key}" in fields and not hooks and not any(path.startswith(f".{key}") for path in strategies):
            nested = [path for path in fields if path.startswith(f".{key}.")]
            assert nested or body_of(result)[key] == value


def test_each_fill_begins_with_the_same_shape() -> None:
    template: Shape = shape(body={"system": [{"type": "text", "text": "ours"}]}, inner_hooks=["insert_cache_markers"])
    first, second = filled(template, CALL), filled(template, CALL)
    assert first.outgoing.body == second.outgoing.body
    assert template.body == {"system": [{"type": "text", "text": "ours"}]}
