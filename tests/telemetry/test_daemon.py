"""A daemon with `otel` on, and a real receiver: what arrives there."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.conftest import StartDaemon
from tests.telemetry.conftest import MODEL, Exporting, hello
from tests.telemetry.receiver import Receiver, attributes
from tests.telemetry.test_names import NEWER, published

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

# Two turns of a real SDK that knows nothing of us: the model calls a tool, and is told the result.
LOOP = """
import anthropic

client = anthropic.Anthropic(api_key="k" * 40, max_retries=0)

def say(messages):
    tools = [{"name": "clock", "input_schema": {"type": "object"}}]
    with client.messages.stream(
        model="claude-sonnet-4-5", max_tokens=50, extra_body={"temperature": 0.5}, tools=tools, messages=messages
    ) as stream:
        return stream.get_final_message()

messages = [{"role": "user", "content": "Use the tool clock, please."}]
first = say(messages)
call = next(block for block in first.content if block.type == "tool_use")
messages += [{"role": "assistant", "content": first.content},
             {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "noon"}]}]
say(messages)
"""

# What the conventions require of each span (when it is known, as it is here), and what we promise beside it.
OF_RUN = {"ccinspect.run.id", "ccinspect.run.name"}
REQUIRED = {
    "chat": {
        "gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.conversation.id", "gen_ai.request.model",
        "gen_ai.request.stream", "gen_ai.request.max_tokens", "gen_ai.request.temperature", "gen_ai.response.id",
        "gen_ai.response.model", "gen_ai.response.finish_reasons", "gen_ai.response.time_to_first_chunk",
        "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "server.address", "server.port",
        "http.request.method", "http.response.status_code", "http.request.body.size", "http.response.body.size",
        "url.full", "user_agent.original", "network.protocol.version", "ccinspect.flow.id", "ccinspect.tag.a",
        "ccinspect.cost.usd", "ccinspect.cost.basis", *OF_RUN,
    },
    "execute_tool": {
        "gen_ai.operation.name", "gen_ai.tool.name", "gen_ai.tool.type", "gen_ai.tool.call.id",
        "gen_ai.conversation.id", *OF_RUN,
    },
    "invoke_agent": {"gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.conversation.id", *OF_RUN},
    "invoke_workflow": {"gen_ai.operation.name", "gen_ai.workflow.name", "process.exit.code", *OF_RUN},
}  # fmt: skip


@pytest.fixture(params=["grpc", "http"])
def receiver(request: pytest.FixtureRequest) -> Iterator[Receiver]:
    with Receiver(request.param) as running:
        yield running


def operations(spans: list[Span]) -> dict[str, list[Span]]:
    found: dict[str, list[Span]] = {}
    for span in spans:
        found.setdefault(attributes(span).get("gen_ai.operation.name", "http"), []).append(span)
    return found


def has(**wanted: int) -> Callable[[list[Span]], bool]:
    return lambda spans: all(len(operations(spans).get(name, ())) >= number for name, number in wanted.items())


def to(receiver: Receiver, **more: Any) -> dict[str, Any]:
    return {"endpoint": receiver.endpoint, "protocol": receiver.protocol, **more}


@pytest.mark.jail
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_jailed_tool_loop_is_one_tree(exporting: Exporting, receiver: Receiver) -> None:
    exporting.use(**to(receiver, headers={"X-Team": "red"}, service_name="bench"))
    words = ["--name", "loop", "--tag", "a=b", "--", sys.executable, "-c", LOOP]
    done = exporting.daemon.run("run", "-i", *words)
    assert done.returncode == 0, done.stderr
    spans = receiver.wait(has(chat=2, execute_tool=1, invoke_agent=1, invoke_workflow=1))
    found = operations(spans)
    [run], [conversation], [tool] = found["invoke_workflow"], found["invoke_agent"], found["execute_tool"]
    first, second = sorted(found["chat"], key=lambda span: span.start_time_unix_nano)

    assert run.parent_span_id == b""
    assert conversation.parent_span_id == run.span_id
    assert first.parent_span_id == second.parent_span_id == conversation.span_id
    assert tool.parent_span_id == first.span_id
    assert len({span.trace_id for span in spans}) == 1
    asked, answered = tool.start_time_unix_nano, tool.end_time_unix_nano
    assert (asked, answered) == (first.end_time_unix_nano, second.start_time_unix_nano)
    assert run.start_time_unix_nano <= first.start_time_unix_nano <= second.end_time_unix_nano <= run.end_time_unix_nano

    known = published() | NEWER
    for operation, members in found.items():
        for span in members:
            names = attributes(span).keys()
            assert REQUIRED.get(operation, set()) - names == set()
            assert {name for name in names if not name.startswith("ccinspect.")} - known == set()
    assert (run.name, first.name, tool.name) == ("invoke_workflow loop", f"chat {MODEL}", "execute_tool clock")
    assert (run.kind, first.kind, tool.kind) == (
        Span.SPAN_KIND_INTERNAL, Span.SPAN_KIND_CLIENT, Span.SPAN_KIND_INTERNAL,
    )  # fmt: skip
    about = attributes(first)
    expected = {
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": MODEL,
        "gen_ai.request.max_tokens": 50,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.stream": True,
        "gen_ai.response.finish_reasons": ["tool_use"],
        "server.address": "api.anthropic.com",
        "server.port": 443,
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "ccinspect.source": "wireguard",
        "ccinspect.tag.a": "b",
        "gen_ai.conversation.id": attributes(conversation)["gen_ai.conversation.id"],
    }
    assert {name: about.get(name) for name in expected} == expected
    assert about["gen_ai.usage.input_tokens"] > 0
    assert about["ccinspect.cost.usd"] > 0
    assert attributes(run)["ccinspect.calls"] == 2
    assert "gen_ai.input.messages" not in about
    assert receiver.resources[0]["service.name"] == "bench"
    assert receiver.headers[0]["x-team"] == "red"
    assert "k" * 40 not in str(spans)

    exporting.change(enabled=False)
    durations = receiver.wait_metric("gen_ai.client.inference.duration")
    assert durations[0]["gen_ai.request.model"] == MODEL
    assert receiver.wait_metric("gen_ai.client.inference.usage.input_tokens")[0]["value"] > 0
    assert receiver.wait_metric("ccinspect.store.size")[0]["value"] > 0
    assert receiver.metrics["ccinspect.capture.lost"][0]["value"] == 0


def test_content_parents_and_other_traffic(exporting: Exporting) -> None:
    with Receiver() as receiver:
        exporting.use(**to(receiver, capture_content="full"))
        exporting.post(hello("a secret plan"), {"traceparent": PARENT})
        exporting.post(hello("unsampled"), {"traceparent": PARENT[:-1] + "0"})
        exporting.ask("GET", "/v1/models?key=abc", None, {"x-api-key": "k" * 40})
        found = operations(receiver.wait(has(chat=2, http=1)))
        ours, theirs = sorted(found["chat"], key=lambda span: span.trace_id.hex() == PARENT[3:35])
        assert (theirs.trace_id.hex(), theirs.parent_span_id.hex()) == tuple(PARENT.split("-")[1:3])
        assert "a secret plan" in attributes(theirs)["gen_ai.input.messages"]
        assert ours.trace_id.hex() != PARENT[3:35]
        [other] = found["http"]
        assert attributes(other)["url.full"] == "https://api.openai.com/v1/models"
        # What the client's span does not hold together is linked.
        exporting.change(enabled=False)
        agents = operations(receiver.wait(has(invoke_agent=2)))["invoke_agent"]
        assert theirs.links[0].span_id in {agent.span_id for agent in agents}


def test_an_error_of_the_provider_is_the_span_s(exporting: Exporting) -> None:
    with Receiver() as receiver:
        exporting.use(**to(receiver, http=False))
        exporting.ask("GET", "/v1/models", None, {"x-api-key": "k" * 40})
        assert exporting.post({"model": MODEL, "messages": "none"}) >= 400
        [span] = receiver.wait(has(chat=1))
        assert span.status.code == Status.STATUS_CODE_ERROR
        assert attributes(span)["error.type"] == "invalid_request_error"
        assert attributes(span)["gen_ai.response.finish_reasons"] == ["error"]


def test_a_run_goes_on_when_the_settings_change(exporting: Exporting, tmp_path: Path) -> None:
    """Its spans are those of one tree, the first at one collector and the rest at another; none is sent twice."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    asking = f"open({str(gate)!r}).read(); {SMALL}"
    with Receiver() as before, Receiver("grpc") as after:
        exporting.use(**to(before))
        argv = exporting.daemon.argv("run", "--name", "long", "--", sys.executable, "-c", f"{SMALL}; {asking}")
        with exporting.daemon.popen(argv) as process:
            [first] = before.wait(has(chat=1))
            exporting.change(enabled=True, **to(after, service_name="changed", capture_content="full"))
            gate.write_text("go on")
            assert process.wait(60) == 0
        found = operations(after.wait(has(chat=1, invoke_workflow=1)))
        [run], [second] = found["invoke_workflow"], found["chat"]
        assert first.trace_id == second.trace_id == run.trace_id
        assert attributes(run)["ccinspect.calls"] == 2
        assert "gen_ai.input.messages" in attributes(second)
        assert after.resources[0]["service.name"] == "changed"
        assert exporting.status()["endpoint"] == after.endpoint
        assert "invoke_workflow" not in operations(before.spans)


SMALL = (
    "import os, urllib.request as u; u.urlopen(u.Request(os.environ['ANTHROPIC_BASE_URL'] + '/v1/messages',"
    f' b\'{{"model": "{MODEL}", "max_tokens": 9, "messages": [{{"role": "user", "content": "hello"}}]}}\','
    " {'content-type': 'application/json', 'x-api-key': 'k' * 40})).read()"
)

SPY = """
import sys
from importlib.abc import MetaPathFinder

class Spy(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("opentelemetry", "grpc"):
            with open({seen!r}, "a") as seen:
                print(name, *sys.orig_argv, file=seen)

sys.meta_path.insert(0, Spy())
"""


def test_off_nothing_of_it_is_imported(
    start_daemon: StartDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A spy in every Python process of the daemon writes down who asks for the SDK."""
    seen = tmp_path / "seen"
    seen.touch()
    (tmp_path / "sitecustomize.py").write_text(SPY.format(seen=str(seen)))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    exporting = Exporting(start_daemon(), provider=None)  # type: ignore[arg-type]
    assert exporting.post(hello()) == 200
    exporting.flush()
    assert exporting.status() == {"enabled": False}
    assert seen.read_text() == ""
    # The spy does see it where it is on.
    with Receiver() as receiver:
        exporting.change(enabled=True, **to(receiver))
        assert exporting.post(hello()) == 200
        receiver.wait(has(chat=1))
    assert {line.split("-m ")[1].split()[0] for line in seen.read_text().splitlines()} == {"ccinspect.telemetry.worker"}


def test_the_token_of_the_collector_is_told_to_nobody(exporting: Exporting) -> None:
    with Receiver() as receiver:
        exporting.use(**to(receiver, headers={"authorization": "Bearer hush-hush"}))
        assert exporting.post(hello()) == 200
        receiver.wait(has(chat=1))
        assert receiver.headers[0]["authorization"] == "Bearer hush-hush"
        daemon = exporting.daemon
        for pid in filter(str.isdigit, os.listdir("/proc")):
            for name in ("cmdline", "environ"):
                try:
                    with open(f"/proc/{pid}/{name}", "rb") as told:
                        assert b"hush-hush" not in told.read()
                except OSError:
                    continue
        assert "hush-hush" not in daemon.log(10_000)
        for words in (("status",), ("status", "--json")):
            done = daemon.run(*words)
            assert "hush-hush" not in done.stdout + done.stderr
