"""The server over stdio, spoken to by the official client."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from mcp import ClientSession, McpError, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.types import CallToolResult, TextContent, TextResourceContents
from pydantic import AnyUrl

from bench.conversation import conversation
from ccinspect.analyser.encodings import count
from tests.cli.conftest import Place, flow_id
from tests.cli.model_calls import anthropic_call
from tests.support.daemon import clean_environment

Work = Callable[[ClientSession], Awaitable[None]]


@asynccontextmanager
async def client_of(place: Place) -> AsyncIterator[ClientSession]:
    command = place.argv("mcp")
    server = StdioServerParameters(command=command[0], args=command[1:], env=clean_environment())
    async with stdio_client(server, errlog=sys.stderr) as streams, ClientSession(*streams) as session:
        await session.initialize()
        yield session


def work_with(place: Place, work: Work) -> None:
    async def run() -> None:
        async with client_of(place) as session:
            await work(session)

    with anyio.from_thread.start_blocking_portal() as portal:
        portal.call(run)


def text_of(result: CallToolResult) -> str:
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


@pytest.fixture
def long_session(place: Place) -> Place:
    """Three calls of an agent's session, the last of 200 KB; before it, a tool's description changed."""
    bodies = [json.loads(body) for body in itertools.islice(conversation(20, 200_000), 17, None)]
    bodies[-1]["tools"][3]["description"] += " And more."
    assert 180_000 < len(json.dumps(bodies[-1])) < 240_000
    usage = [
        {"input_tokens": 900, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 46_000},
        {"input_tokens": 700, "cache_read_input_tokens": 46_000, "cache_creation_input_tokens": 2_500},
        {"input_tokens": 800, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 51_000},
    ]
    place.record(
        *(
            anthropic_call(number, [], [{"type": "text", "text": "Done."}], usage[number - 1], body=body)
            for number, body in enumerate(bodies, 1)
        )
    )
    return place


def test_what_the_last_request_cost_and_why_takes_few_calls_and_tokens(long_session: Place) -> None:
    async def work(session: ClientSession) -> None:
        # As the prompt `last_request_cost` says.
        asked: list[tuple[str, dict[str, Any]]] = [
            ("context_breakdown", {}),
            ("explain_cache", {"flow": flow_id(3)}),
            ("conversations", {"flow": flow_id(3)}),
        ]
        said = []
        for name, arguments in asked:
            result = await session.call_tool(name, arguments)
            assert not result.isError, text_of(result)
            said.append(text_of(result))
        cost, cause, _ = map(json.loads, said)
        assert cost["call"]["id"] == flow_id(3)
        assert cost["call"]["dollars"] > 0.1
        assert cost["context"]["tokens"] == 51_800
        assert len(cost["context"]["categories"]) > 3
        assert cost["cache"]["verdict"] == cause["cache"]["verdict"] == "tools_changed"
        assert cost["cache"]["extra_dollars"] > 0
        assert "And more." in cause["difference"]
        assert sum(map(count, said)) <= 4_000

    work_with(long_session, work)


def test_tools_resources_and_prompts_are_described(two_calls: Place) -> None:
    async def work(session: ClientSession) -> None:
        tools = (await session.list_tools()).tools
        assert {tool.name for tool in tools} == {
            *("search_flows", "flow_outline", "flow_body", "flow_messages", "diff_flows", "compare_flow"),
            *("context_breakdown", "conversations", "explain_cache", "usage_report", "runs", "limits", "list_models"),
            "query",
        }
        for tool in tools:
            assert tool.annotations is not None
            assert tool.annotations.readOnlyHint
            assert tool.description
            assert all("description" in one or "$ref" in one for one in tool.inputSchema.get("properties", {}).values())
        # They are in the context of every request of the client.
        assert sum(count(tool.model_dump_json(exclude_none=True)) for tool in tools) < 3_500

        read = await session.read_resource(AnyUrl(f"ccinspect://flow/{flow_id(1)}/request.json"))
        assert isinstance(read.contents[0], TextResourceContents)
        assert json.loads(read.contents[0].text)["model"] == "claude-sonnet-4-5"
        assert read.contents[0].mimeType == "application/json"
        with pytest.raises(McpError, match="no flow has the id"):
            await session.read_resource(AnyUrl("ccinspect://flow/00000000/request.json"))
        with pytest.raises(McpError, match="no such resource"):
            await session.read_resource(AnyUrl("file:///etc/passwd"))

        for prompt in (await session.list_prompts()).prompts:
            assert (await session.get_prompt(prompt.name)).messages

    work_with(two_calls, work)


def test_mistakes_are_results_that_say_how_to_mend_them(two_calls: Place) -> None:
    async def work(session: ClientSession) -> None:
        for name, arguments, said in (
            ("search_flows", {"hots": "x"}, "did you mean `host`?"),
            ("flow_body", {"flow": flow_id(1), "path": ".message"}, "the members there are: model"),
            ("flow_outline", {"flow": "ffff"}, "no flow has the id"),
            ("query", {"sql": "DROP TABLE flows"}, "may not be read here"),
            ("delete_everything", {}, "there are search_flows"),
            ("flow_outline", {"flow": "f" * 100_000}, "(100,021 characters in all)"),
        ):
            result = await session.call_tool(name, arguments)
            assert result.isError
            assert said in text_of(result)
            assert len(text_of(result)) < 2_000

    work_with(two_calls, work)


def test_it_ends_in_order_when_its_client_goes(place: Place) -> None:
    ended = place.run("mcp", stdin=b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n')
    assert json.loads(ended.stdout.splitlines()[0])["id"] == 1
    assert (ended.returncode, ended.stderr) == (0, b"")
