"""Requests and pipelines for the tests of hooks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from ccinspect.pipeline.declaration import Hook, Stage
from ccinspect.pipeline.message import Facts, Headers, Outgoing
from ccinspect.pipeline.order import Step
from ccinspect.pipeline.overrides import NO_OVERRIDES, Overrides
from ccinspect.pipeline.pipeline import Pipeline
from ccinspect.pipeline.records import StageResult

FACTS = Facts("flow-1", "reverse", session="session-1", agent="claude-code", dialect="anthropic", kind="generate")


def request(body: Any = None, path: str = "/v1/messages", **headers: str) -> Outgoing:
    fields = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    return Outgoing("POST", "https", "api.anthropic.com", 443, path, Headers(fields), data)


def steps(hooks: Iterable[Hook | tuple[Hook, BaseModel]], timeout: float = 5.0) -> list[Step]:
    pairs = [each if isinstance(each, tuple) else (each, each.params and each.params()) for each in hooks]
    return [Step(hook.name, hook, params, timeout) for hook, params in pairs]


def run(
    *hooks: Hook | tuple[Hook, BaseModel],
    outgoing: Outgoing | None = None,
    facts: Facts = FACTS,
    overrides: Overrides = NO_OVERRIDES,
    timeout: float = 5.0,
    stage: Stage = "inbound",
) -> StageResult:
    """One request through hooks of one stage, in a pipeline of its own."""
    pipeline = Pipeline({stage: steps(hooks, timeout)})
    try:
        return asyncio.run(pipeline.run(stage, outgoing or request(), facts, overrides))
    finally:
        pipeline.close()


def states(result: StageResult) -> dict[str, str]:
    return {record.name: record.state for record in result.records}
