"""Building conversations for the tests, as an agent would send them: JSON, read by the real decoders."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from ccinspect.analyser.analyse import Analyser, Exchange, Result
from ccinspect.analyser.expansion import Expander
from ccinspect.analyser.tokens import MemoryCache, TokenCounter
from ccinspect.analyser.turns import MemoryIndex
from ccinspect.wire.anthropic.decode import read_request
from ccinspect.wire.model import Block, Outcome, Request, Response, Text, ToolCall, Usage

MODEL = "claude-sonnet-4-5-20250929"
# Counts do not change: all tests share them.
COUNTS = MemoryCache()


def user(*content: str | dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": c} if isinstance(c, str) else c for c in content]}


def assistant(*content: str | dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": user(*content)["content"]}


def call(id: str, name: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": id, "name": name, "input": arguments}


def result(id: str, content: str | list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id, "content": content}


def tool(name: str, description: str = "Does what it says.") -> dict[str, Any]:
    return {"name": name, "description": description, "input_schema": {"type": "object", "properties": {}}}


def request(*messages: dict[str, Any], **fields: Any) -> Request:
    """A Messages request."""
    path = fields.pop("path", "/v1/messages")
    return read_request({"model": MODEL, "max_tokens": 8192, "messages": list(messages), **fields}, path)


def answer(*content: str | Block, **fields: Any) -> Response:
    """A Messages answer."""
    blocks = tuple(Text(each) if isinstance(each, str) else each for each in content)
    fields.setdefault("usage", Usage(input=100, output=20))
    return Response("anthropic", model=MODEL, blocks=blocks, **fields)


def failure() -> Response:
    return Response("anthropic", outcome=Outcome.ERROR)


def calls(id: str, name: str, **arguments: Any) -> ToolCall:
    return ToolCall(id=id, name=name, arguments=arguments)


@dataclass
class Agent:
    """Sends requests one after the other; each is analysed in the light of those before it."""

    run: str | None = "run-1"
    session: str | None = None
    index: MemoryIndex = field(default_factory=MemoryIndex)
    now: float = 1_000.0
    step: float = 5.0
    analyser: Analyser = field(init=False)
    exchanges: dict[str, tuple[Request, Response]] = field(default_factory=dict)
    sent: int = 0

    def __post_init__(self) -> None:
        expander = Expander(lambda response_id: self.exchanges.get(response_id))
        self.analyser = Analyser(self.index, TokenCounter(COUNTS), expander=expander)

    def send(
        self, what: Request, response: Response | None = None, *, headers: dict[str, str] | None = None, name: str = ""
    ) -> Result:
        self.sent += 1
        self.now += self.step
        headers = dict(headers or {})
        if self.session:
            headers.setdefault("x-session-id", self.session)
        exchange = Exchange(name or f"flow-{self.sent}", what, response, self.now, "anthropic", headers, self.run)
        outcome = self.analyser.analyse(exchange)
        self.index.add(outcome.turn)
        if response is not None and response.id:
            self.exchanges[response.id] = (what, response)
        return outcome

    def another(self, **changes: Any) -> Agent:
        """A second agent that is seen by the same analyser."""
        other = replace(self, **changes)
        other.analyser = self.analyser
        other.exchanges = self.exchanges
        return other
