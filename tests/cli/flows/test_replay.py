"""`ccinspect flows replay` through a real daemon, to the fake provider."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from ccinspect.demo.answers import json_answer
from ccinspect.demo.provider import Provider
from tests.cli.conftest import Place, http_flow
from tests.support.daemon import Daemon

KEY = "sk-ant-the-real-one-1234567890"
ASKED = {"model": "claude-sonnet-4-5", "max_tokens": 50, "messages": [{"role": "user", "content": "Say hello"}]}
ENVIRON = {"ANTHROPIC_API_KEY": KEY}


def ask(daemon: Daemon, path: str = "/v1/messages", **more: Any) -> str:
    """One call by hand, as an SDK would send it; the result is its flow's id."""
    url = f"http://127.0.0.1:{daemon.ports['reverse']}{path}"
    headers = {"Content-Type": "application/json", "X-Api-Key": KEY, "Anthropic-Version": "2023-06-01"}
    request = urllib.request.Request(url, json.dumps(ASKED | more).encode(), headers)
    before = len(daemon.wait_for(0))
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            answer.read()
    except urllib.error.HTTPError as error:
        error.close()
    return str(daemon.wait_for(before + 1)[-1]["id"])


def test_a_request_is_sent_again_as_it_was(daemon: Daemon, provider: Provider) -> None:
    flow = ask(daemon)
    first = provider.wait_for(1)[0]
    done = daemon.run("flows", "replay", flow[:8], env=ENVIRON)
    assert done.returncode == 0, done.stderr
    second = provider.wait_for(2)[1]
    assert second.request_line == first.request_line
    assert second.body == first.body
    assert second.header("x-api-key") == KEY
    assert second.header("host") == first.header("host")
    assert b"x-ccinspect" not in second.head.lower()
    child = daemon.flows()[-1]
    assert child["id"] != flow
    assert child["id"][:8] in done.stderr
    assert KEY not in done.stdout + done.stderr
    assert "claude-sonnet-4-5" in done.stdout


def test_a_stream_is_replayed_with_another_model(daemon: Daemon, provider: Provider) -> None:
    flow = ask(daemon, stream=True)
    done = daemon.run(
        "flows", "replay", flow, "--model", "claude-opus-4-5", "--set", "messages[0].content=Why?", env=ENVIRON
    )
    assert done.returncode == 0, done.stderr
    sent = json.loads(provider.wait_for(2)[1].body)
    assert sent == ASKED | {
        "stream": True,
        "model": "claude-opus-4-5",
        "messages": [{"role": "user", "content": "Why?"}],
    }


def test_several_replays_stand_beside_each_other(daemon: Daemon, provider: Provider) -> None:
    flow = ask(daemon)
    done = daemon.run("flows", "replay", flow, "--times", "2", env=ENVIRON)
    assert done.returncode == 0, done.stderr
    rows = {line.split("  ")[0].strip(): line for line in done.stdout.splitlines() if line[:1].strip()}
    assert {"flow", "code", "time", "model", "in", "out", "cost", "answer"} <= set(rows)
    assert done.stdout.splitlines()[0].split() == ["original", "replay", "1", "replay", "2"]
    assert rows["code"].split()[1:] == ["200"] * 3
    assert len(provider.wait_for(3)) == 3


def test_json_tells_all_of_it(daemon: Daemon, provider: Provider) -> None:
    flow = ask(daemon)
    done = daemon.run("flows", "replay", flow, "--times", "2", "--json", env=ENVIRON)
    assert done.returncode == 0, done.stderr
    original, *replays = json.loads(done.stdout)
    assert original["id"] == flow
    assert len({each["id"] for each in (original, *replays)}) == 3
    for each in (original, *replays):
        assert each["status"] == 200
        assert each["provider"] == "anthropic"
        assert each["tokens"]["basis"] == "provider"
        assert float(each["dollars"]) > 0
        assert each["answer"]
    assert len(provider.wait_for(3)) == 3


def test_an_answer_that_is_an_error_is_shown_and_fails(daemon: Daemon, provider: Provider) -> None:
    flow = ask(daemon)
    for _ in range(2):
        provider.answer_with(
            json_answer(529, {"type": "error", "error": {"type": "overloaded_error", "message": "no"}})
        )
    done = daemon.run("flows", "replay", flow, "--times", "2", env=ENVIRON)
    assert done.returncode == 1
    assert "529" in done.stdout
    assert "overloaded" in done.stdout


def test_a_request_that_is_no_model_call_can_be_replayed(daemon: Daemon, provider: Provider) -> None:
    provider.answer_with(json_answer(200, {"one": 1}))
    flow = ask(daemon, "/v1/files")
    provider.answer_with(json_answer(200, {"two": 2}))
    done = daemon.run("flows", "replay", flow, env=ENVIRON | {"OPENAI_API_KEY": KEY})
    assert done.returncode == 0, done.stderr
    assert '"two": 2' in done.stdout


def test_what_cannot_be_sent_is_said_and_not_sent(daemon: Daemon, provider: Provider) -> None:
    cases: list[tuple[list[str], dict[str, str], int, str]] = [
        ([], {}, 1, "ANTHROPIC_API_KEY"),
        (["--set", "nonsense"], ENVIRON, 2, "no assignment"),
        (["--set", "messages[9].content=1"], ENVIRON, 2, "the request has no .messages[9]"),
        (["--provider", "nobody"], ENVIRON, 1, "no `auth` for a provider 'nobody'"),
        (["--times", "0"], ENVIRON, 2, "--times"),
    ]
    flow = ask(daemon)
    for words, environ, status, said in cases:
        done = daemon.run("flows", "replay", flow, *words, env=environ)
        assert (done.returncode, done.stdout) == (status, ""), words
        assert said in done.stderr, words
        assert len(provider.requests) == 1, words


def test_without_a_daemon_nothing_can_be_replayed(place: Place) -> None:
    made = http_flow(1, request_body=b"{}")
    place.record(made)
    done = place.run("flows", "replay", made["flow"]["id"])
    assert done.returncode == 1
    assert b"the daemon is not running" in done.stderr
