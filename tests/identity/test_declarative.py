"""Reading a provider nobody coded: JSON and streams, limits, and what `providers test` shows."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from ccinspect.identity.declarative import MAX_PREVIEW, Declarations, Declared, DeclaredUsage
from ccinspect.identity.settings import ProviderSettings
from ccinspect.wire.ndjson import LineDecoder
from ccinspect.wire.sse import SseDecoder

# An invented provider; its answers come as JSON, as SSE with named events, and as JSON lines.
ACME = """
hosts: [api.acme.example]
paths: [/v2/ask]
request:
  model: [.engine, .settings.engine]
  system: .preamble
  messages: |
    .turns[] | {role: (if .who == "bot" then "assistant" else "user" end), content: .parts}
  tools: .functions
  stream: .live
response:
  model: .engine
  text: .answer.parts[].text
  thinking: .answer.thoughts[]?
  stop_reason: .answer.why
  usage:
    input: .bill.prompt - (.bill.cached // 0)
    cache_read: .bill.cached
    output: .bill.completion
stream:
  events:
    start: {model: .engine, usage: {input: .prompt}}
    piece: {text: .text, thinking: .thought}
    end: {stop_reason: .why}
  final: {usage: {output: .bill.completion}}
"""


def declare(text: str) -> dict[str, ProviderSettings]:
    return {"acme": ProviderSettings.model_validate(yaml.safe_load(text))}


@pytest.fixture(scope="module")
def acme() -> Iterator[Declared]:
    with Declarations(declare(ACME)) as declarations:
        reader = declarations.get("acme")
        assert reader is not None
        yield reader


def reader_of(text: str, cpu_seconds: float = 0.5) -> tuple[Declarations, Declared]:
    declarations = Declarations(declare("hosts: [x]\n" + text), cpu_seconds)
    reader = declarations.get("acme")
    assert reader is not None
    return declarations, reader


REQUEST = {
    "settings": {"engine": "acme-9"},
    "preamble": ["be kind", "be brief"],
    "turns": [
        {"who": "me", "parts": "hello"},
        {"who": "bot", "parts": [{"text": "good "}, {"text": "day"}]},
    ],
    "functions": [{"name": "look"}],
    "live": True,
}


def test_a_request_is_read(acme: Declared) -> None:
    found = acme.read_request(json.dumps(REQUEST))
    assert found.model == "acme-9"
    assert found.system == "be kind\nbe brief"
    assert [(message.role, message.text) for message in found.messages] == [
        ("user", "hello"),
        ("assistant", "good day"),
    ]
    assert found.tools == ({"name": "look"},)
    assert found.stream is True
    assert found.problems == ()


def test_a_buffered_answer_is_read(acme: Declared) -> None:
    answer = {
        "engine": "acme-9",
        "answer": {"parts": [{"text": "a"}, {"text": "b\ud83d\ude00"}], "why": "done"},
        "bill": {"prompt": 100, "cached": 90, "completion": 5},
    }
    found = acme.read_response(json.dumps(answer))
    assert (found.model, found.text, found.stop_reason) == ("acme-9", "ab😀", "done")
    assert found.usage == DeclaredUsage(input=10, cache_read=90, output=5)
    assert found.problems == ()


SSE = (
    b'event: start\ndata: {"engine": "acme-9", "prompt": 40}\n\n'
    b": a comment\n\n"
    b'event: piece\ndata: {"text": "Hel"}\n\n'
    b'event: piece\r\ndata: {"text":\r\ndata: "lo", "thought": "hm"}\r\n\r\n'
    b'event: other\ndata: {"text": "not this"}\n\n'
    b'event: end\ndata: {"why": "stop", "bill": {"completion": 2}}\n\n'
    b"data: [DONE]\n\n"
)
LINES = (
    b'{"type": "start", "engine": "acme-9", "prompt": 40}\n'
    b'{"type": "piece", "text": "Hel"}\r\n\n'
    b'{"type": "piece", "text": "lo", "thought": "hm"}\n'
    b'{"event": "end", "why": "stop", "bill": {"completion": 2}}\n'
)


def sse_events(data: bytes, size: int = 10_000) -> list[tuple[str, str]]:
    decoder = SseDecoder()
    events = [event for start in range(0, len(data), size) for event in decoder.feed(data[start : start + size])]
    tail = decoder.close()
    return [*events, tail] if tail else list(events)


def line_events(data: bytes) -> list[tuple[str, str]]:
    decoder = LineDecoder()
    lines = decoder.feed(data)
    tail = decoder.close()
    return [("", line) for line in [*lines, *([tail] if tail else [])]]


@pytest.mark.parametrize(
    "events", [sse_events(SSE), sse_events(SSE, 1), line_events(LINES)], ids=["sse", "bytes", "lines"]
)
def test_a_stream_is_read_by_event_types_and_the_final_rule(acme: Declared, events: list[tuple[str, str]]) -> None:
    found = acme.read_stream(events)
    assert (found.model, found.text, found.thinking, found.stop_reason) == ("acme-9", "Hello", "hm", "stop")
    assert found.usage == DeclaredUsage(input=40, output=2)
    assert found.ended
    assert found.problems == ()


@pytest.mark.parametrize("end", range(0, len(SSE), 7))
def test_a_stream_cut_anywhere_yields_what_came(acme: Declared, end: int) -> None:
    found = acme.read_stream(sse_events(SSE[:end]))
    assert "Hello".startswith(found.text)
    assert found.model in (None, "acme-9")
    # The last event may be cut in its midst, and is told to be.
    assert all("not JSON" in problem.message for problem in found.problems)
    assert not found.ended or found.stop_reason == "stop"


def test_the_content_type_chooses_how_a_stream_is_cut(acme: Declared) -> None:
    assert acme.stream_format("text/event-stream; charset=utf-8") == "sse"
    assert acme.stream_format("application/x-ndjson") == "json-lines"
    declarations, reader = reader_of("stream: {format: json-lines, final: {text: .t}}")
    with declarations:
        assert reader.stream_format("text/event-stream") == "json-lines"


def test_cumulative_text_replaces_and_a_type_may_be_computed() -> None:
    declarations, reader = reader_of(
        "stream: {type: '.k | ascii_downcase', cumulative: true, end: bye, "
        "events: {t: {text: .x}, '*': {stop_reason: .z}}}"
    )
    with declarations:
        found = reader.read_stream(
            [("", '{"k":"T","x":"a"}'), ("", '{"k":"T","x":"ab"}'), ("", "bye"), ("", '{"k":"T","x":"no"}')]
        )
        assert (found.text, found.ended) == ("ab", True)
        assert reader.read_stream([("", '{"k":"Q","z":"why"}')]).stop_reason == "why"


def test_a_prompt_without_messages_and_plain_messages() -> None:
    declarations, reader = reader_of("request: {text: .prompt, messages: .history}")
    with declarations:
        assert [m.text for m in reader.read_request('{"prompt": "p"}').messages] == ["p"]
        found = reader.read_request('{"prompt": "p", "history": ["a", {"role": "x", "text": "b"}, {"role": 1}]}')
        assert [(m.role, m.text) for m in found.messages] == [("user", "a"), ("x", "b"), ("user", "")]


@pytest.mark.parametrize(
    "body", ["", "{", "not json", "[", '"\\ud800"', "nul", "\x00", '{"a":1}}', "9" * 5_000, "[" * 20_000]
)
def test_bodies_that_are_not_what_was_declared_are_problems_and_no_errors(acme: Declared, body: str) -> None:
    request, response = acme.read_request(body), acme.read_response(body)
    assert request.model is None
    assert response.text == ""
    stream = acme.read_stream([("piece", body), ("piece", '{"text":"after"}')])
    assert stream.text == "after"


def test_lone_surrogates_and_control_characters_pass(acme: Declared) -> None:
    found = acme.read_response('{"answer": {"parts": [{"text": "a\\ud83d\\u0000b"}]}}')
    found.text.encode()
    assert found.text.startswith("a")
    assert acme.read_stream([("piece\ud800", '{"text": "x"}'), ("piece", '{"text": "y\ud800"}')]).text.startswith("y")


@pytest.mark.parametrize("value", [-1, 1.5e300, True, "7", None, [], float(2**60)])
def test_counts_that_are_none_are_left_out(acme: Declared, value: Any) -> None:
    body = {"bill": {"prompt": 3, "completion": value}, "answer": {"parts": []}}
    usage = acme.read_response(json.dumps(body)).usage
    assert usage == DeclaredUsage(input=3)


def test_an_expression_that_fails_is_named_and_the_others_still_find() -> None:
    declarations, reader = reader_of(
        "response: {text: .t.x, model: ['.m | keys | .[0]', .n], stop_reason: 'error(\"why not\")'}"
    )
    with declarations:
        found = reader.read_response('{"t": "text", "m": 1, "n": "name"}')
    assert found.model == "name"
    problems = {problem.key: problem.message for problem in found.problems}
    assert problems.keys() == {"response.text", "response.stop_reason"}
    assert "Cannot index string" in problems["response.text"]
    assert problems["response.stop_reason"] == "why not"


FOREVER = ["[range(infinite)]", "def f: f; f", "last(repeat(1))", "until(false; .)", '"x" * 100000 | test("(x+x+)+y")']


@pytest.mark.parametrize("expression", FOREVER)
def test_an_expression_that_never_ends_is_stopped_and_reading_goes_on(expression: str) -> None:
    declarations, reader = reader_of(f"response: {{text: {json.dumps(expression)}}}\nrequest: {{model: .m}}")
    with declarations:
        started = time.monotonic()
        found = reader.read_response('{"m": 1}')
        assert time.monotonic() - started < 20
        assert found.text == ""
        assert len(found.problems) == 1
        assert reader.read_request('{"m": "alive"}').model == "alive"


def test_an_endless_row_of_results_is_cut() -> None:
    declarations, reader = reader_of("request: {messages: 'repeat(\"x\")'}", cpu_seconds=5)
    with declarations:
        assert len(reader.read_request("{}").messages) == 10_000


def test_memory_is_bounded() -> None:
    declarations, reader = reader_of(
        'response: {text: \'[limit(30; repeat("x"))] | reduce .[] as $x ("y"; . + .)\'}', 20
    )
    with declarations:
        found = reader.read_response("{}")
        assert found.text == ""
        assert len(found.problems) == 1


def test_after_three_time_outs_in_a_row_a_provider_rests() -> None:
    declarations, reader = reader_of("response: {text: 'until(false; .)'}\nrequest: {model: .m}", cpu_seconds=0.1)
    with declarations:
        for _ in range(3):
            [problem] = reader.read_response("{}").problems
            assert problem.message == "takes more than 0.1 s"
        [problem] = reader.read_response("{}").problems
        assert "at rest" in problem.message
        started = time.process_time()
        for _ in range(100):
            reader.read_response("{}")
        assert time.process_time() - started < 1


@pytest.mark.parametrize(
    "name", ["env", "$ENV", "input", "inputs", "halt", '"x" | halt_error', '"/etc/passwd" | modulemeta']
)
def test_expressions_see_nothing_but_the_document(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("CCINSPECT_TEST_SECRET", "do-not-tell")
    declarations, reader = reader_of(f"response: {{text: {json.dumps(f'[{name}] | tojson')}, model: .m}}")
    with declarations:
        found = reader.read_response('{"m": "kept"}')
    assert "do-not-tell" not in repr(found)
    assert "root" not in found.text
    assert found.model == "kept"


def test_explain_shows_what_each_expression_finds(acme: Declared) -> None:
    found = {finding.key: finding for finding in acme.explain(json.dumps(REQUEST), None, sse_events(SSE))}
    assert found["request.model[0]"].found == ()
    assert found["request.model[1]"].found == ('"acme-9"',)
    assert found["request.model[1]"].expression == ".settings.engine"
    assert found["request.messages"].count == 2
    assert found["stream.type"].found == ("start", "piece", "other", "end")
    assert found["stream.events.piece.text"].found == ('"Hel"', '"lo"')
    assert found["stream.events.start.usage.input"].found == ("40",)
    assert found["stream.final.usage.output"].found == ("2",)
    assert not any(finding.problem for finding in found.values())
    assert not any(key.startswith("response.") for key in found)


def test_explain_names_the_one_expression_that_fails_or_hangs() -> None:
    declarations, reader = reader_of(
        "response: {text: 'until(false; .)', model: .m.x, stop_reason: .s, thinking: .long}", 0.2
    )
    with declarations:
        body = json.dumps({"m": "text", "s": "fine", "long": "x" * 10_000})
        found = {finding.key: finding for finding in reader.explain(None, body)}
    assert found["response.text"].problem == "takes more than 0.2 s"
    assert "Cannot index" in str(found["response.model"].problem)
    assert found["response.stop_reason"].found == ('"fine"',)
    assert len(found["response.thinking"].found[0]) == MAX_PREVIEW


def test_providers_with_a_dialect_have_no_reader() -> None:
    settings = ProviderSettings.model_validate({"hosts": ["x"], "dialect": "anthropic"})
    with Declarations({"x": settings}) as declarations:
        assert declarations.get("x") is None
        assert declarations.get("y") is None


def test_no_process_starts_before_it_is_needed_and_none_is_left() -> None:
    def children() -> set[str]:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:
            return set(file.read().split())

    before = children()
    declarations, reader = reader_of("response: {text: .t}")
    assert children() == before
    assert reader.read_response('{"t": "x"}').text == "x"
    assert len(children() - before) == 1
    declarations.close()
    assert children() == before
    assert reader.read_response('{"t": "again"}').text == "again"
    declarations.close()


def test_a_killed_worker_is_replaced() -> None:
    declarations, reader = reader_of("response: {text: .t}")
    with declarations:
        assert reader.read_response('{"t": "x"}').text == "x"
        process = reader._process._process
        assert process is not None
        process.kill()
        process.wait()
        assert reader.read_response('{"t": "y"}').text == "y"


def test_a_long_stream_is_read_at_a_useful_speed(acme: Declared) -> None:
    events = [("piece", json.dumps({"text": f"word {n} "})) for n in range(20_000)]
    started = time.process_time()
    found = acme.read_stream(events)
    assert found.text.count("word") == 20_000
    # CPU time of this process only; the worker's is bounded by its own limit.
    assert time.process_time() - started < 5
