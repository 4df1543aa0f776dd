"""The server over stdio, spoken to by the official client."""

from __future__ import annotations

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

from tests.cli.conftest import Place, flow_id
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


def test_the_last_request_is_explained_in_three_calls_and_few_tokens(two_calls: Place) -> None:
    async def work(session: ClientSession) -> None:
        spent = 0
        calls: list[tuple[str, dict[str, Any]]] = [
            ("search_flows", {"model_calls": True, "limit": 5}),
            ("context_breakdown", {}),
            ("explain_cache", {"flow": flow_id(2)}),
        ]
        answers = []
        for name, arguments in calls:
            result = await session.call_tool(name, arguments)
            assert not result.isError, text_of(result)
            answers.append(json.loads(text_of(result)))
            spent += len(text_of(result))
        assert answers[1]["call"]["dollars"] > 0
        # Four characters a token is what English and JSON take, roughly.
        assert spent / 4 < 4_000

    work_with(two_calls, work)


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
        assert sum(len(tool.model_dump_json(exclude_none=True)) for tool in tools) / 4 < 4_000

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
        ):
            result = await session.call_tool(name, arguments)
            assert result.isError
            assert said in text_of(result)

    work_with(two_calls, work)
