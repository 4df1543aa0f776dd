"""`providers` and `reload`."""

from __future__ import annotations

import json

from tests.cli.conftest import Place, flow_id, http_flow
from tests.cli.flows.test_flows import EVIL, assert_harmless
from tests.cli.model_calls import JSON, two_turns
from tests.cli.screens import on_terminal

ACME = """
providers:
  acme:
    hosts: ["api.acme.example"]
    request:
      model: [.engine, .settings.engine]
      messages: '.turns[] | {role: .who, content: .text}'
    response:
      text: .answer.text
      usage: {input: .bill.prompt, output: .bill.nothing}
    stream:
      events:
        piece: {text: .text}
      final:
        usage: {output: .bill.completion}
"""
HOST = {"host": "api.acme.example", "pretty_host": "api.acme.example", "path": "/chat", "headers": JSON}
ASKED = json.dumps({"settings": {"engine": "acme-1"}, "turns": [{"who": "user", "text": EVIL}]}).encode()
ANSWERED = json.dumps({"answer": {"text": EVIL}, "bill": {"prompt": 12}}).encode()
STREAMED = (
    b'event: piece\ndata: {"text": "Hel"}\n\nevent: piece\ndata: {"text": "lo"}\n\n'
    b'event: end\ndata: {"bill": {"completion": 2}}\n\n'
)


def test_the_table(place: Place) -> None:
    place.paths.config_file.write_text(ACME)
    rows = {row["name"]: row for row in place.json("providers", "list")}
    assert rows["acme"]["source"] == "config"
    assert rows["acme"]["dialects"] == ["expressions"]
    assert "anthropic" in rows["anthropic"]["dialects"]
    assert place.lines("providers", "list")[0].split("\t")[0] == "acme"
    for columns in (80, 140):
        said = on_terminal(place, "providers", "list", columns=columns, NO_COLOR="1")
        assert all(len(line) <= columns for line in said.splitlines())


def test_what_each_expression_finds(place: Place) -> None:
    place.paths.config_file.write_text(ACME)
    place.record(http_flow(1, request=HOST, response={"headers": JSON}, request_body=ASKED, response_body=ANSWERED))
    tried = place.json("providers", "test", flow_id(1))
    assert (tried["provider"], tried["reader"], tried["ok"]) == ("acme", "expressions", True)
    found = {finding["key"]: finding["found"] for finding in tried["findings"]}
    assert found["request.model[0]"] == []
    assert found["request.model[1]"] == ['"acme-1"']
    assert found["response.usage.input"] == ["12"]
    assert found["response.usage.output"] == []
    said = on_terminal(place, "providers", "test", flow_id(1))
    assert "finds nothing" in said
    assert_harmless(said)


def test_a_stream_is_cut_into_events(place: Place) -> None:
    place.paths.config_file.write_text(ACME)
    stream = {"headers": [[b"Content-Type", b"text/event-stream"]]}
    place.record(http_flow(1, request=HOST, response=stream, request_body=ASKED, response_body=STREAMED))
    tried = place.json("providers", "test", flow_id(1))
    found = {finding["key"]: finding["found"] for finding in tried["findings"]}
    assert found["stream.events.piece.text"] == ['"Hel"', '"lo"']
    assert found["stream.final.usage.output"] == ["2"]


def test_an_expression_that_fails_is_told_and_fails(place: Place) -> None:
    place.paths.config_file.write_text(ACME.replace(".answer.text", ".answer.text[0]"))
    place.record(http_flow(1, request=HOST, response={"headers": JSON}, request_body=ASKED, response_body=ANSWERED))
    done = place.run("providers", "test", flow_id(1))
    assert done.returncode == 1
    assert b"Cannot index string" in done.stdout


def test_a_dialect_says_what_it_finds(place: Place) -> None:
    place.record(*two_turns())
    tried = place.json("providers", "test", flow_id(2))
    assert (tried["provider"], tried["reader"], tried["ok"]) == ("anthropic", "anthropic", True)
    found = {finding["key"]: finding for finding in tried["findings"]}
    assert found["request.messages"]["count"] == 3
    assert found["response.usage.cache_read"]["found"] == ["1400"]


def test_what_nobody_reads_is_said(place: Place) -> None:
    place.record(http_flow(1, request={"path": "/telemetry"}), http_flow(2, request=HOST))
    for number, words in ((1, "no model call"), (2, "no provider has this host")):
        done = place.run("providers", "test", flow_id(number))
        assert done.returncode == 1
        assert words in done.stdout.decode()
    done = place.run("providers", "test", flow_id(2), "--provider", "acme")
    assert done.returncode == 2
    assert b"no provider 'acme'" in done.stderr


def test_reload_needs_the_daemon_and_settings_that_are_right(place: Place) -> None:
    assert b"the daemon is not running" in place.run("reload").stderr
    place.paths.config_file.write_text(ACME.replace(".answer.text", ".answer.text[[["))
    done = place.run("reload")
    assert done.returncode == 2
    assert b"acme" in done.stderr
