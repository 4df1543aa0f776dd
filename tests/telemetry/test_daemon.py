"""A daemon with `otel` on, and a real receiver: what arrives there, and what a collector that is down costs."""

from __future__ import annotations

import http.client
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from ccinspect.control.client import ControlClient
from tests.conftest import StartDaemon
from tests.support.daemon import Daemon
from tests.support.ports import free_port
from tests.telemetry.receiver import Receiver, attributes

MODEL = "claude-sonnet-4-5"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

LOOP = """
import json, os, urllib.request

def say(messages):
    body = {"model": "claude-sonnet-4-5", "max_tokens": 50, "temperature": 0.5, "messages": messages,
            "tools": [{"name": "clock", "input_schema": {"type": "object"}}]}
    request = urllib.request.Request(os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages", json.dumps(body).encode(),
        {"content-type": "application/json", "x-api-key": "k" * 40, "anthropic-version": "2023-06-01"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)

messages = [{"role": "user", "content": "Use the tool clock, please. %s"}]
first = say(messages)
call = next(block for block in first["content"] if block["type"] == "tool_use")
messages += [{"role": "assistant", "content": first["content"]},
             {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call["id"], "content": "noon"}]}]
say(messages)
"""


@pytest.fixture(params=["grpc", "http"])
def receiver(request: pytest.FixtureRequest) -> Iterator[Receiver]:
    with Receiver(request.param) as running:
        yield running


def post(daemon: Daemon, body: dict[str, Any], headers: dict[str, str] | None = None) -> int:
    with closing(http.client.HTTPConnection("127.0.0.1", daemon.ports["reverse"], timeout=60)) as client:
        sent = {"content-type": "application/json", "x-api-key": "k" * 40, **(headers or {})}
        client.request("POST", "/v1/messages", json.dumps(body), sent)
        answer = client.getresponse()
        answer.read()
        return answer.status


def hello(text: str = "hello") -> dict[str, Any]:
    return {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": text}]}


def status(daemon: Daemon) -> dict[str, Any]:
    with ControlClient.connect(daemon.paths.control_socket) as client:
        found: dict[str, Any] = client.call("status")["otel"]
    return found


def flush(daemon: Daemon) -> None:
    with ControlClient.connect(daemon.paths.control_socket) as client:
        client.call("flush")


def operations(spans: list[Span]) -> dict[str, list[Span]]:
    found: dict[str, list[Span]] = {}
    for span in spans:
        found.setdefault(attributes(span).get("gen_ai.operation.name", "http"), []).append(span)
    return found


def has(**wanted: int) -> Callable[[list[Span]], bool]:
    return lambda spans: all(len(operations(spans).get(name, ())) >= number for name, number in wanted.items())


def test_a_tool_loop_of_a_run_is_one_tree(start_daemon: StartDaemon, receiver: Receiver) -> None:
    daemon = start_daemon(
        otel={
            "enabled": True,
            "endpoint": receiver.endpoint,
            "protocol": receiver.protocol,
            "headers": {"X-Team": "red"},
            "service_name": "bench",
        }
    )
    done = daemon.run("run", "--name", "loop", "--tag", "a=b", "--", sys.executable, "-c", LOOP % "now")
    assert done.returncode == 0, done.stderr
    found = operations(receiver.wait(has(chat=2, execute_tool=1, invoke_agent=1, invoke_workflow=1)))
    [run], [conversation], [tool] = found["invoke_workflow"], found["invoke_agent"], found["execute_tool"]
    first, second = sorted(found["chat"], key=lambda span: span.start_time_unix_nano)

    assert run.parent_span_id == b""
    assert conversation.parent_span_id == run.span_id
    assert first.parent_span_id == second.parent_span_id == conversation.span_id
    assert tool.parent_span_id == first.span_id
    assert len({span.trace_id for span in (run, conversation, tool, first, second)}) == 1
    assert (tool.start_time_unix_nano, tool.end_time_unix_nano) == (
        first.end_time_unix_nano,
        second.start_time_unix_nano,
    )
    assert run.start_time_unix_nano <= first.start_time_unix_nano <= second.end_time_unix_nano <= run.end_time_unix_nano

    about = attributes(first)
    assert first.name == f"chat {MODEL}"
    assert first.kind == Span.SPAN_KIND_CLIENT
    expected = {
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": MODEL,
        "gen_ai.request.max_tokens": 50,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.response.finish_reasons": ["tool_use"],
        "server.address": "api.anthropic.com",
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "ccinspect.run.name": "loop",
        "ccinspect.tag.a": "b",
        "gen_ai.conversation.id": about["ccinspect.flow.id"],
    }
    assert {name: about.get(name) for name in expected} == expected
    assert about["gen_ai.usage.input_tokens"] > 0
    assert about["ccinspect.cost.usd"] > 0
    assert "gen_ai.input.messages" not in about
    assert attributes(tool)["gen_ai.tool.name"] == "clock"
    assert attributes(run)["ccinspect.calls"] == 2
    assert receiver.resources[0]["service.name"] == "bench"
    assert receiver.headers[0]["x-team"] == "red"
    assert "k" * 40 not in str(receiver.spans)

    daemon.stop()
    durations = receiver.wait_metric("gen_ai.client.inference.duration")
    assert durations[0]["gen_ai.request.model"] == MODEL
    assert receiver.wait_metric("gen_ai.client.inference.usage.input_tokens")[0]["value"] > 0
    assert receiver.wait_metric("ccinspect.store.size")[0]["value"] > 0
    assert receiver.metrics["ccinspect.capture.lost"][0]["value"] == 0


def test_content_parents_and_other_traffic(start_daemon: StartDaemon) -> None:
    with Receiver() as receiver:
        daemon = start_daemon(
            otel={"enabled": True, "endpoint": receiver.endpoint, "protocol": "http", "capture_content": "full"}
        )
        post(daemon, hello("a secret plan"), {"traceparent": PARENT})
        post(daemon, hello("unsampled"), {"traceparent": PARENT[:-1] + "0"})
        with closing(http.client.HTTPConnection("127.0.0.1", daemon.ports["reverse"], timeout=60)) as client:
            client.request("GET", "/v1/models?key=abc", headers={"x-api-key": "k" * 40})
            client.getresponse().read()
        found = operations(receiver.wait(has(chat=2, http=1)))
        ours, theirs = sorted(found["chat"], key=lambda span: span.trace_id.hex() == PARENT[3:35])
        assert (theirs.trace_id.hex(), theirs.parent_span_id.hex()) == tuple(PARENT.split("-")[1:3])
        assert "a secret plan" in attributes(theirs)["gen_ai.input.messages"]
        assert ours.trace_id.hex() != PARENT[3:35]
        [other] = found["http"]
        assert attributes(other)["url.full"] == "https://api.openai.com/v1/models"
        # What the client's span does not hold together is linked.
        daemon.stop()
        agents = operations(receiver.wait(has(invoke_agent=2)))["invoke_agent"]
        assert theirs.links[0].span_id in {agent.span_id for agent in agents}


def test_an_error_of_the_provider_is_the_span_s(start_daemon: StartDaemon) -> None:
    with Receiver() as receiver:
        daemon = start_daemon(otel={"enabled": True, "endpoint": receiver.endpoint, "protocol": "http", "http": False})
        assert post(daemon, {"model": MODEL, "messages": "none"}) >= 400
        [span] = operations(receiver.wait(has(chat=1)))["chat"]
        assert span.status.code == Status.STATUS_CODE_ERROR
        assert attributes(span)["error.type"] == "invalid_request_error"


def test_a_collector_that_is_down_costs_nothing_but_the_oldest_spans(start_daemon: StartDaemon) -> None:
    port = free_port()
    daemon = start_daemon(
        otel={"enabled": True, "endpoint": f"http://127.0.0.1:{port}", "protocol": "http", "queue": 16}
    )
    for number in range(40):
        assert post(daemon, hello(f"number {number}")) == 200
    flush(daemon)
    told = status(daemon)
    assert told["queued"] <= 16
    assert told["exported"] == 0
    assert len(daemon.flows("map(select(.response.status_code == 200))")) == 40
    # Once there is one, what was kept arrives.
    receiver = Receiver()
    receiver.port = port
    with receiver:
        received = receiver.wait(lambda spans: len(spans) >= 16)
        assert {span.name for span in received} == {f"chat {MODEL}"}
        daemon.stop()


def test_off_the_sdk_is_not_imported(daemon: Daemon) -> None:
    assert post(daemon, hello()) == 200
    flush(daemon)
    with ControlClient.connect(daemon.paths.control_socket) as client:
        analyst = client.call("status")["analysis"]["pid"]
    for pid in (analyst, daemon.pid):
        with open(f"/proc/{pid}/maps") as maps:
            assert "grpc" not in maps.read()
    with open(f"/proc/{analyst}/cmdline") as command:
        assert "ccinspect.analysis.worker" in command.read()
    assert status(daemon)["enabled"] is False


def test_the_token_of_the_collector_is_in_no_argument(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(
        otel={"enabled": True, "endpoint": "http://127.0.0.1:9", "headers": {"authorization": "Bearer hush-hush"}}
    )
    assert post(daemon, hello()) == 200
    flush(daemon)
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline") as command:
                assert "hush-hush" not in command.read()
        except (FileNotFoundError, ProcessLookupError):
            continue
