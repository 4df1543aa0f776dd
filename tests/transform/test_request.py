"""Requests sent elsewhere: what is said, where it goes, which headers go along, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings

from ccinspect.pipeline.message import Headers, Outgoing
from ccinspect.transform.destinations import Destination, Destinations
from ccinspect.transform.redirect import read_model, redirect_request
from ccinspect.transform.request import Translated, Untranslatable, translate_request
from ccinspect.transform.settings import Upstream
from ccinspect.wire.model import Request
from ccinspect.wire.registry import DIALECTS
from tests.transform import natives
from tests.transform.matrix import destination, history
from tests.wire.test_translation import conversations, encode_request

BUILT_IN = Destinations()


def outgoing(body: Any, path: str = "/v1/messages", host: str = "api.anthropic.com", **headers: str) -> Outgoing:
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    fields = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Outgoing("POST", "https", host, 443, path, Headers(fields), data)


def at(provider: str, dialect: str, model: str | None = "m", **more: Any) -> Destination:
    found = BUILT_IN.find(provider, dialect, model, **more)
    assert found is not None
    return found


def body_of(sent: Translated | Outgoing) -> Any:
    told = sent.outgoing if isinstance(sent, Translated) else sent
    assert told.body is not None
    return json.loads(told.body)


def simple(dialect: str, stream: bool = False) -> Outgoing:
    body = natives.request(dialect, "text", stream)
    return outgoing(body, natives.path_of(dialect, stream))


# Where it goes


@pytest.mark.parametrize(
    ("client", "provider", "stream", "url"),
    [
        ("openai_chat", "anthropic", True, "https://api.anthropic.com/v1/messages"),
        ("anthropic", "openai", True, "https://api.openai.com/v1/chat/completions"),
        ("openai_responses", "openai", True, "https://api.openai.com/v1/responses"),
        ("anthropic", "gemini", False, "https://generativelanguage.googleapis.com/v1beta/models/m:generateContent"),
        (
            "anthropic",
            "gemini",
            True,
            "https://generativelanguage.googleapis.com/v1beta/models/m:streamGenerateContent?alt=sse",
        ),
        ("gemini", "openrouter", True, "https://openrouter.ai/api/v1/chat/completions"),
        ("anthropic", "openrouter", True, "https://openrouter.ai/api/v1/messages"),
        ("gemini", "groq", True, "https://api.groq.com/openai/v1/chat/completions"),
        ("openai_responses", "deepseek", True, "https://api.deepseek.com/v1/chat/completions"),
        ("anthropic", "deepseek", True, "https://api.deepseek.com/anthropic/v1/messages"),
        ("gemini", "zai", True, "https://api.z.ai/api/paas/v4/chat/completions"),
        ("anthropic", "xai", False, "https://api.x.ai/v1/messages"),
        ("ollama", "mistral", False, "https://api.mistral.ai/v1/chat/completions"),
        ("ollama", "moonshot", False, "https://api.moonshot.ai/v1/chat/completions"),
        ("gemini", "ollama", False, "http://127.0.0.1:11434/api/chat"),
    ],
)
def test_a_translated_request_goes_to_the_providers_own_path(
    client: str, provider: str, stream: bool, url: str
) -> None:
    assert translate_request(simple(client, stream), client, at(provider, client)).outgoing.url == url


@pytest.mark.parametrize(
    ("location", "host"), [("us-east5", "us-east5-aiplatform.googleapis.com"), (None, "aiplatform.googleapis.com")]
)
def test_anthropics_bodies_on_vertex_say_model_and_version_elsewhere(location: str | None, host: str) -> None:
    there = at("vertex", "anthropic", "claude-x@1", vertex=("proj", location))
    sent = translate_request(simple("anthropic", True), "anthropic", there)
    place = f"/v1/projects/proj/locations/{location or 'global'}/publishers/anthropic/models/claude-x@1"
    assert sent.outgoing.url == f"https://{host}{place}:streamRawPredict"
    body = body_of(sent)
    assert "model" not in body
    assert body["anthropic_version"] == "vertex-2023-10-16"
    from_chat = Destination("vertex", "https", host, 443, there.path, "anthropic", "claude-x@1", model_in_path=True)
    translated = translate_request(simple("openai_chat"), "openai_chat", from_chat)
    assert translated.outgoing.path == f"{place}:rawPredict"
    assert "model" not in body_of(translated)
    assert "anthropic-version" not in translated.outgoing.headers


@pytest.mark.parametrize("client", ["anthropic", "gemini"])
def test_vertex_counts_tokens_by_a_model_of_that_name(client: str) -> None:
    there = at("vertex", "anthropic", "claude-x", vertex=("proj", None))
    body: Any = {"model": "a", "messages": [{"role": "user", "content": "x"}]}
    path = "/v1/messages/count_tokens"
    if client == "gemini":
        body, path = {"contents": [{"parts": [{"text": "x"}]}]}, "/v1beta/models/a:countTokens"
    sent = translate_request(outgoing(body, path), client, there)
    assert sent.outgoing.path.endswith("/publishers/anthropic/models/count-tokens:rawPredict")
    assert body_of(sent)["model"] == "claude-x"
    assert body_of(sent)["anthropic_version"] == "vertex-2023-10-16"


def test_from_vertex_the_model_goes_back_into_the_body() -> None:
    path = "/v1/projects/p/locations/l/publishers/anthropic/models/claude-x:streamRawPredict"
    body = {"anthropic_version": "vertex-2023-10-16", "max_tokens": 9, "messages": [], "stream": True}
    sent = redirect_request(outgoing(body, path), "anthropic", at("anthropic", "anthropic", None))
    assert sent.path == "/v1/messages"
    assert body_of(sent) == {"max_tokens": 9, "messages": [], "stream": True, "model": "claude-x"}


@pytest.mark.parametrize(
    ("upstream", "client", "path"),
    [
        ({"host": "h.example", "path": "/gateway/"}, "openai_chat", "/gateway/v1/chat/completions"),
        ({"host": "h.example", "path": "/x/{action}", "type": "openai_chat"}, "openai_chat", "/x/chat/completions"),
        (
            {"host": "h.example", "path": "/d/{model}/chat/completions?api-version=1", "type": "openai_chat"},
            "openai_chat",
            "/d/m/chat/completions?api-version=1",
        ),
        ({"host": "h.example", "path": "/p/messages", "type": "anthropic"}, "anthropic", "/p/messages"),
        ({"host": "h.example", "type": "anthropic"}, "anthropic", "/v1/messages"),
        ({"host": "h.example", "type": "gemini"}, "gemini", "/v1beta/models/m:generateContent"),
        ({"host": "h.example", "type": "ollama", "path": "/o/"}, "ollama", "/o/api/chat"),
    ],
)
def test_paths_of_the_configuration_are_templates(upstream: dict[str, Any], client: str, path: str) -> None:
    there = Destinations({"mine": Upstream(**upstream)}).find("mine", client, "m")
    assert there is not None
    assert redirect_request(simple(client), client, there).path == path


def test_a_path_for_generating_says_where_tokens_are_counted() -> None:
    settings = Upstream(host="h.example", path="/p/messages", type="anthropic")
    there = Destinations({"mine": settings}).find("mine", "anthropic", "m")
    assert there is not None
    counted = outgoing({"model": "a", "messages": []}, "/v1/messages/count_tokens?beta=true")
    assert redirect_request(counted, "anthropic", there).path == "/p/messages/count_tokens?beta=true"


# What is said


def test_a_redirected_body_keeps_every_byte_but_the_model() -> None:
    body = b'{ "messages" : [ ], "model" : "a",\n "temperature": 1.0, "n":1e2, "text":"\\u00e9" }'
    framed = outgoing(body, content_length="1", transfer_encoding="chunked")
    sent = redirect_request(framed, "anthropic", at("openrouter", "anthropic", "b"))
    assert sent.body == body.replace(b'"a"', b'"b"')
    assert sent.headers.get("content-length") == str(len(body))
    assert "transfer-encoding" not in sent.headers


def test_a_body_nobody_changes_is_the_same_object() -> None:
    request = simple("openai_chat")
    assert redirect_request(request, "openai_chat", at("groq", "openai_chat", None)).body is request.body


def test_the_model_of_a_gemini_path_is_changed_there() -> None:
    rule = Destination("gemini", "https", "h.example", 443, None, "gemini", "new model", keeps_credentials=True)
    request = outgoing({"contents": []}, "/v1beta/models/old:generateContent?key=k")
    assert redirect_request(request, "gemini", rule).path == "/v1beta/models/new%20model:generateContent?key=k"


@pytest.mark.parametrize(
    ("provider", "limit", "role"),
    [("openai", "max_completion_tokens", "developer"), ("groq", "max_tokens", "system")],
)
def test_only_openai_gets_the_newer_names(provider: str, limit: str, role: str) -> None:
    body = {
        "model": "a",
        "max_output_tokens": 5,
        "input": [{"role": "developer", "content": "d"}, {"role": "user", "content": "u"}],
    }
    there = Destinations({provider: Upstream(type="openai_chat")}).find(provider, "openai_responses", "m")
    assert there is not None
    sent = body_of(translate_request(outgoing(body, "/v1/responses"), "openai_responses", there))
    assert sent[limit] == 5
    assert sent["messages"][0]["role"] == role


@pytest.mark.parametrize(
    ("provider", "allowed", "choice", "told"),
    [
        ("openai", ["a", "b"], "allowed_tools", ["a", "b", "c"]),
        ("groq", ["a", "b"], "required", ["a", "b"]),
        ("groq", ["a", "b", "c"], "required", ["a", "b", "c"]),
        ("groq", ["x", "y"], "required", ["a", "b", "c"]),
    ],
)
def test_only_openai_gets_a_list_of_allowed_tools(
    provider: str, allowed: list[str], choice: str, told: list[str]
) -> None:
    body = {
        "contents": [{"role": "user", "parts": [{"text": "u"}]}],
        "tools": [{"functionDeclarations": [{"name": name, "description": "d"} for name in "abc"]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": allowed}},
    }
    there = Destinations({provider: Upstream(type="openai_chat")}).find(provider, "gemini", "m")
    assert there is not None
    translated = translate_request(outgoing(body, "/v1beta/models/g:generateContent"), "gemini", there)
    sent = body_of(translated)
    given = sent["tool_choice"]
    assert (given["type"] if isinstance(given, dict) else given) == choice
    assert [tool["function"]["name"] for tool in sent["tools"]] == told
    assert any(note.code == "tools_left_out" for note in translated.diagnostics) is (len(told) < 3)


def test_mistral_gets_no_field_it_refuses() -> None:
    body = {
        "model": "a",
        "max_tokens": 5,
        "stream": True,
        "messages": [{"role": "user", "content": "u"}],
        "metadata": {"user_id": "u-1"},
    }
    sent = translate_request(outgoing(body), "anthropic", at("mistral", "anthropic"))
    assert body_of(sent).keys() == {"model", "messages", "max_tokens", "stream"}
    assert ("parameter_dropped", ("user",)) in [(note.code, note.path) for note in sent.diagnostics]


@pytest.mark.parametrize("client", natives.DIALECTS)
def test_usage_is_asked_of_the_upstream_whoever_asks(client: str) -> None:
    request = simple(client, True)
    if client == "openai_chat":
        body = {**body_of(request), "stream_options": None}
        request = outgoing(body, "/v1/chat/completions")
    sent = translate_request(request, client, destination("openai_chat"))
    if client != "openai_chat":
        assert body_of(sent)["stream_options"] == {"include_usage": True}


def test_code_assists_envelope_is_taken_off() -> None:
    inner = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "session_id": "s"}
    body = {"model": "gemini-2.5-pro", "project": "p", "request": inner}
    sent = translate_request(
        outgoing(body, "/v1internal:streamGenerateContent?alt=sse"), "gemini", at("gemini", "gemini", None)
    )
    assert sent.outgoing.path == "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse"
    assert body_of(sent) == {"contents": inner["contents"]}
    assert sent.client.translates


# Headers

SECRETS = {
    "authorization": "Bearer sk-secret",
    "x-api-key": "sk-secret",
    "x-goog-api-key": "sk-secret",
    "api-key": "sk-secret",
    "cookie": "sk-secret",
    "x-custom-token": "sk-secret",
}


def test_no_credential_and_no_vendors_header_goes_to_another_provider() -> None:
    request = simple("anthropic")
    for name, value in (
        *SECRETS.items(),
        ("anthropic-beta", "b"),
        ("openai-organization", "o"),
        ("x-stainless-lang", "python"),
        ("content-encoding", "zstd"),
        ("content-length", "3"),
        ("user-agent", "claude-cli/1"),
        ("traceparent", "00-1"),
        ("host", "api.anthropic.com"),
    ):
        request.headers.add(name, value)
    sent = translate_request(request, "anthropic", at("openai", "anthropic"))
    assert b"sk-secret" not in b"".join(value for _, value in sent.outgoing.headers.fields)
    assert set(sent.outgoing.headers) == {
        "user-agent",
        "traceparent",
        "host",
        "content-type",
        "accept",
        "content-length",
    }
    assert sent.outgoing.headers.get("host") == "api.openai.com"
    assert sent.outgoing.body is not None
    assert sent.outgoing.headers.get("content-length") == str(len(sent.outgoing.body))
    [named] = [note.message for note in sent.diagnostics if note.code == "headers_dropped"]
    assert named.endswith(": x-custom-token")


def test_a_redirect_to_another_provider_leaves_the_credentials_behind() -> None:
    request = outgoing({"model": "a"}, "/v1/messages?key=sk-secret&beta=true", **SECRETS)
    sent = redirect_request(request, "anthropic", at("openrouter", "anthropic", None))
    assert sent.path == "/api/v1/messages?beta=true"
    assert set(sent.headers) == {"x-custom-token"}


def test_destinations_headers_win() -> None:
    settings = Upstream(host="h.example", type="anthropic", headers={"anthropic-version": "x", "X-Team": "t"})
    there = Destinations({"mine": settings}).find("mine", "openai_chat", "m")
    assert there is not None
    sent = translate_request(simple("openai_chat"), "openai_chat", there).outgoing.headers
    assert (sent.get_all("anthropic-version"), sent.get("x-team")) == (["x"], "t")


# What is refused


@pytest.mark.parametrize("client", natives.DIALECTS)
def test_what_cannot_be_read_is_refused_in_the_clients_dialect(client: str) -> None:
    target = "openai_chat" if client != "openai_chat" else "anthropic"
    with pytest.raises(Untranslatable) as caught:
        translate_request(outgoing(b"{broken", natives.path_of(client, False)), client, destination(target))
    answer = caught.value.answer
    assert answer.status == 400
    read = DIALECTS[client].decode_response(answer.body, answer.status).error
    assert read is not None
    assert "cannot be read" in read.message


@pytest.mark.parametrize(
    ("dialect", "path", "body", "target", "status"),
    [
        ("anthropic", "/v1/messages/count_tokens", {"model": "a", "messages": []}, "openai_chat", 404),
        ("anthropic", "/v1/messages/batches", {"requests": []}, "openai_chat", 404),
        ("openai_responses", "/v1/responses/compact", {"model": "a", "input": "x"}, "anthropic", 404),
        ("openai_responses", "/v1/responses", {"model": "a", "previous_response_id": "r"}, "anthropic", 400),
        ("gemini", "/v1beta/models/m:embedContent", {"content": {}}, "anthropic", 404),
        ("openai_embeddings", "/v1/embeddings", {"model": "a", "input": "x"}, "gemini", 404),
        ("bedrock", "/model/m/converse", {"messages": []}, "anthropic", 400),
        ("anthropic", "/v1/messages", {"model": "a", "messages": []}, "bedrock", 400),
    ],
)
def test_what_the_target_has_no_way_of_is_refused(dialect: str, path: str, body: Any, target: str, status: int) -> None:
    there = Destination("p", "https", "h.example", 443, "/v1/{action}", target)
    with pytest.raises(Untranslatable) as caught:
        translate_request(outgoing(body, path), dialect, there)
    assert caught.value.answer.status == status
    assert caught.value.message in caught.value.answer.body.decode()
    assert caught.value.hint


def test_a_websocket_is_told_to_come_by_http() -> None:
    request = Outgoing("GET", "https", "api.openai.com", 443, "/v1/responses", Headers(), None)
    with pytest.raises(Untranslatable) as caught:
        translate_request(request, "openai_responses", at("anthropic", "openai_responses"))
    assert caught.value.answer.status == 426


@pytest.mark.parametrize(
    ("source", "target", "path"),
    [
        ("anthropic", "gemini", "/v1beta/models/m:countTokens"),
        ("gemini", "anthropic", "/v1/messages/count_tokens"),
    ],
)
def test_counting_tokens_is_translated_where_both_can(source: str, target: str, path: str) -> None:
    body: Any = {"model": "a", "messages": [{"role": "user", "content": "x"}]}
    asked = "/v1/messages/count_tokens"
    if source == "gemini":
        body, asked = {"contents": [{"parts": [{"text": "x"}]}]}, "/v1beta/models/a:countTokens"
    there = Destination("p", "https", "h.example", 443, destination(target).path, target, "m")
    sent = translate_request(outgoing(body, asked), source, there)
    assert sent.outgoing.path == path
    assert sent.client.kind == "count_tokens"


@pytest.mark.parametrize(
    ("path", "body", "model"),
    [
        ("/v1/messages", {"model": "claude-x"}, "claude-x"),
        ("/v1beta/models/gemini-x:generateContent", {}, "gemini-x"),
        ("/model/anthropic.claude-x%3A0/invoke", {}, "anthropic.claude-x:0"),
        ("/openai/deployments/gpt/chat/completions?api-version=1", {"model": "other"}, "gpt"),
        ("/v1/messages", b"not json", None),
        ("/v1/messages", None, None),
        ("/v1/models/", {}, None),
    ],
)
def test_the_model_is_read_from_path_or_body(path: str, body: Any, model: str | None) -> None:
    assert read_model(outgoing(body, path), "anthropic") == model


# There and back


@pytest.mark.parametrize("target", natives.DIALECTS)
@settings(max_examples=40)
@given(request=conversations())
def test_there_and_back_what_all_can_say_is_the_same(target: str, request: Request) -> None:
    for source in natives.DIALECTS:
        first = encode_request(source, request)
        there = outgoing(first.data(), first.path)
        told = translate_request(there, source, destination(target))
        back = translate_request(told.outgoing, target, destination(source))
        assert there.body is not None
        assert back.outgoing.body is not None
        before = DIALECTS[source].decode_request(there.body, there.path)
        after = DIALECTS[source].decode_request(back.outgoing.body, back.outgoing.path)
        assert history(after) == history(before)
        assert (after.stream, after.sampling) == (before.stream, before.sampling)
        assert [note for note in (*told.diagnostics, *back.diagnostics) if note.severity != "info"] == []
