"""`ccinspect flows compare` and `flows diff` on a store without a daemon."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
from typing import Any

import pytest

from tests.cli.conftest import Place, Stored, flow_id, http_flow
from tests.cli.flows.test_flows import EVIL, assert_harmless
from tests.cli.pseudo_terminal import Terminal
from tests.support.daemon import clean_environment

ASKED = {"model": "claude-sonnet-4-5", "max_tokens": 10, "messages": [{"role": "user", "content": "one\ntwo\nthree"}]}
FORWARDED = {"messages": [{"role": "user", "content": "one\n2\nthree"}], "model": "gpt-5", "max_tokens": 10}
CHANGES = {
    "hooks": [
        {"name": "verbose_mode", "stage": "outbound", "state": "ran", "ms": 0.21, "changed": ["anthropic-beta"]},
        {"name": "mine", "stage": "inbound", "state": "failed", "ms": 1500, "changed": [], "error": "boom"},
    ],
    "route": {
        "rule": 2,
        "action": "transform",
        "destination": {"provider": "openai", "host": "api.openai.com", "model": "gpt-5", "dialect": "openai_chat"},
        "reason": None,
    },
    "credentials": "openai",
    "attempts": [
        {"provider": "openai", "model": "gpt-5", "status": 529, "ms": 100, "error": "overloaded"},
        {"provider": "openai", "model": "gpt-5", "status": 200, "ms": 800, "error": None},
    ],
    "diagnostics": [{"severity": "warning", "code": "dropped", "message": "top_k is not carried", "path": ".top_k"}],
}


def changed_flow(number: int, **changes: Any) -> dict[str, Any]:
    """A flow sent to Anthropic and translated for OpenAI."""
    client = http_flow(number, request={"path": "/v1/messages"})["flow"]["request"]
    answered = http_flow(number)["flow"]["response"]
    return http_flow(
        number,
        **{
            "request": {
                "host": "api.openai.com",
                "pretty_host": "api.openai.com",
                "path": "/v1/chat/completions",
                "headers": [[b"content-type", b"application/json"], [b"Authorization", b"Bearer sk-secret-123456789"]],
            },
            "client_request": client,
            "request_body": json.dumps(FORWARDED).encode(),
            "client_request_body": json.dumps(ASKED).encode(),
            "response_body": b'{"id": 1, "choices": []}',
            "client_response": answered | {"headers": [[b"Content-Type", b"application/json"], [b"x-new", b"1"]]},
            "client_response_body": b'{"choices": [], "id": 1}',
            "changes": CHANGES,
        }
        | changes,
    )


def compared(place: Place, *words: str) -> str:
    return "\n".join(place.lines("flows", "compare", *words))


def test_the_newest_changed_flow_is_compared(stored: Stored) -> None:
    place = stored(http_flow(0), changed_flow(1), changed_flow(2), http_flow(3))
    said = compared(place)
    assert said.startswith(flow_id(2)[:8])
    assert '~ .model  "claude-sonnet-4-5" → "gpt-5"' in said
    assert "https://api.anthropic.com/v1/messages" in said
    assert "https://api.openai.com/v1/chat/completions" in said
    assert "- user-agent: claude-cli/2.1" in said
    assert re.search(r"\+ authorization: Bearer REDACTED~", said)
    assert "content-type" not in said.split("body")[0]
    assert re.search(r"~ \.messages\[0\]\.content\n +@@ -1,3 \+1,3 @@\n +one\n +- two\n +\+ 2\n +three", said)
    # The answer: one header more, and the same JSON in another order.
    answer = said.split("response: provider → client")[1]
    assert "+ x-new: 1" in answer
    assert "the same, written differently" in answer


def test_what_ran_is_told(stored: Stored) -> None:
    place = stored(changed_flow(1))
    ran = compared(place).split("what ran\n")[1].splitlines()
    assert ran == [
        "  hook     verbose_mode (outbound) ran 0.21ms changed anthropic-beta",
        "  hook     mine (inbound) failed 1.5s error: boom",
        "  route    rule 2: transform to openai/gpt-5 as openai_chat",
        "  key      credential of openai",
        "  attempt  1. openai/gpt-5 529 100ms overloaded",
        "  attempt  2. openai/gpt-5 200 800ms",
        "  note     warning dropped .top_k top_k is not carried",
    ]
    assert "route    rule 2" in "\n".join(place.lines("flows", "show", flow_id(1), "--http"))


def test_changed_flows_can_be_listed(stored: Stored) -> None:
    place = stored(http_flow(0), changed_flow(1), http_flow(2, parent=flow_id(0)))
    assert [record["id"] for record in place.json("flows", "list", "--changed")] == [flow_id(1)]
    assert f"  parent   {flow_id(0)}" in place.lines("flows", "show", flow_id(2), "--http")
    assert f"  replay of {flow_id(0)}" in place.lines("flows", "compare", flow_id(2))


def test_several_flows_as_json(stored: Stored) -> None:
    place = stored(http_flow(0, request_body=b"{}"), changed_flow(1))
    plain, changed = place.json("flows", "compare", flow_id(0)[:8], flow_id(1))
    assert plain["request"] == {"start": {}, "headers": [], "body": {"state": "same"}}
    assert plain["response"]["body"] == {"state": "same"}
    assert changed["changes"] == CHANGES
    assert changed["request"]["start"]["url"][1] == "https://api.openai.com/v1/chat/completions"
    assert changed["request"]["body"]["differences"] == [
        {"kind": "changed", "path": ".model", "old": "claude-sonnet-4-5", "new": "gpt-5"},
        {"kind": "changed", "path": ".messages[0].content", "old": "one\ntwo\nthree", "new": "one\n2\nthree"},
    ]
    assert changed["response"]["body"] == {"state": "spelling"}


@pytest.mark.parametrize(
    ("asked", "forwarded", "state"),
    [
        (b"{}", b"{ }", "spelling"),
        (b'{"a": 1, "b": 2}', b'{"b": 2, "a": 1}', "spelling"),
        (b'{"a": 1}', b'{"a": 1.0}', "json"),
        (b"data: 1\n\ndata: 2\n", b"data: 1\n\ndata: 3\n", "text"),
        (b"\x00\x01", b"\x00\x02", "binary"),
        (b'{"a": 1}', b"not JSON", "text"),
        (b"[" * 100_000, b"[" * 99_999, "text"),
    ],
)
def test_bodies_of_all_kinds(stored: Stored, asked: bytes, forwarded: bytes, state: str) -> None:
    place = stored(changed_flow(1, client_request_body=asked, request_body=forwarded))
    (found,) = place.json("flows", "compare", flow_id(1))
    assert found["request"]["body"]["state"] == state
    assert place.run("flows", "compare", flow_id(1)).returncode == 0


def test_encodings_are_undone_before_bodies_are_compared(stored: Stored) -> None:
    client = http_flow(1)["flow"]["request"]
    client["headers"] = [*client["headers"], [b"Content-Encoding", b"gzip"]]
    zipped = gzip.compress(json.dumps(FORWARDED).encode())
    place = stored(changed_flow(1, client_request=client, client_request_body=zipped))
    (found,) = place.json("flows", "compare")
    assert found["request"]["body"] == {"state": "same"}
    assert {"name": "content-encoding", "old": "gzip", "new": None} in found["request"]["headers"]


def test_nothing_changed_is_said(stored: Stored) -> None:
    place = stored(http_flow(1))
    done = place.run("flows", "compare")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"no flow in the store was changed" in done.stderr
    assert compared(place, flow_id(1)).count("nothing was changed") == 2
    assert place.run("flows", "compare", "nope").returncode == 1


def test_flows_without_an_answer_and_without_http_can_be_compared(stored: Stored) -> None:
    place = stored(
        changed_flow(1, response=None, client_response=None, response_body=None, client_response_body=None),
        http_flow(2, type="dns", response=None),
        http_flow(3, request=None, response=None, state="error"),
    )
    assert "there is none" in compared(place, flow_id(1))
    assert "never changed" in compared(place, flow_id(2))
    assert "there is none" in compared(place, flow_id(3))


@pytest.mark.parametrize("changes", [{"hooks": [1, {"name": EVIL, "changed": [EVIL]}], "x": EVIL}, {"route": [EVIL]}])
def test_hostile_flows_do_nothing_to_a_terminal(place: Place, changes: dict[str, Any]) -> None:
    evil = EVIL.encode("utf-8", "surrogateescape")
    client = http_flow(1, request={"path": EVIL})["flow"]["request"]
    client["headers"] = [*client["headers"], [b"x-evil", evil]]
    body = json.dumps({EVIL: EVIL, "a": EVIL + "x"}).encode()
    place.record(changed_flow(1, client_request=client, client_request_body=body, changes=changes))
    place.record(changed_flow(2, request_body=evil, client_request_body=body))
    for words in (["compare", flow_id(1), flow_id(2)], ["diff", flow_id(1), flow_id(2), "--client"]):
        with Terminal(place.argv("flows", *words), clean_environment()) as terminal:
            status, said = terminal.finish()
        assert status == 0, said
        assert_harmless(said)


def test_a_terminal_gets_lines_that_fit(stored: Stored) -> None:
    long = {"model": "x" * 500, "added": ["y" * 500], "text": "z\n" * 300}
    place = stored(changed_flow(1, request_body=json.dumps(long).encode()))
    with Terminal(place.argv("flows", "compare"), clean_environment(), columns=60) as terminal:
        status, said = terminal.finish()
    assert status == 0, said
    plain = re.sub(r"\x1b\[[0-9;]*m", "", said).partition("what ran")[0]
    assert max(map(len, plain.splitlines())) <= 60
    assert "\x1b[32m" in said


def turn(number: int, *texts: str, **changes: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": text} for text in texts]
    return http_flow(number, request_body=json.dumps({"messages": messages, "model": "m"}).encode(), **changes)


def test_diff_slides_over_the_requests(stored: Stored) -> None:
    lookup = http_flow(9, type="dns")
    place = stored(turn(1, "a"), lookup, turn(2, "a", "b"), turn(3, "a", "b", "c"))
    said = "\n".join(place.lines("flows", "diff"))
    titles = re.findall(r"^(---|\+\+\+) (\w{8})", said, re.MULTILINE)
    short = [flow_id(number)[:8] for number in (1, 2, 3)]
    assert titles == [("---", short[0]), ("+++", short[1]), ("---", short[1]), ("+++", short[2])]
    assert '+      "content": "b",' in said
    assert '+      "content": "c",' in said
    assert '-      "content"' not in said
    found = place.json("flows", "diff", flow_id(3), flow_id(1))
    assert [(pair["from"], pair["to"]) for pair in found] == [(flow_id(3), flow_id(1))]
    assert [each["kind"] for each in found[0]["body"]["differences"]] == ["removed", "removed"]


def test_diff_is_understood_by_patch(place: Place) -> None:
    place.record(turn(1, *map(str, range(30))), turn(2, *map(str, range(15)), "new", *map(str, range(20, 40))))
    said = place.run("flows", "diff").stdout
    before = json.dumps(json.loads(place.run("flows", "show", flow_id(1), "--raw", "--request").stdout), indent=2)
    file = place.paths.config_dir / "body.json"
    file.write_text(json.dumps(json.loads(before), indent=2, sort_keys=True) + "\n")
    done = subprocess.run(["patch", str(file)], input=said, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    after = place.run("flows", "show", flow_id(2), "--raw", "--request").stdout
    assert json.loads(file.read_text()) == json.loads(after)


@pytest.mark.parametrize("words", [[], ["--limit", "1"], ["--host", "nowhere.example"]])
def test_diff_of_fewer_than_two_is_an_error(stored: Stored, words: list[str]) -> None:
    place = stored(turn(1, "a"), *([turn(2, "b")] if words else []))
    done = place.run("flows", "diff", *words)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"two requests are needed" in done.stderr


def test_diff_takes_filters_and_the_clients_side(stored: Stored) -> None:
    place = stored(changed_flow(1), changed_flow(2, client_request_body=json.dumps({**ASKED, "top_k": 1}).encode()))
    assert "(the same)" in place.lines("flows", "diff")
    assert '+  "top_k": 1' in "\n".join(place.lines("flows", "diff", "--client"))
    assert place.run("flows", "diff", "--jq", ".[-1:]").returncode == 1
    assert place.run("flows", "diff", "--jq", "map(.id)").returncode == 1
    assert place.run("flows", "diff", flow_id(1), "--limit", "3").returncode == 2
