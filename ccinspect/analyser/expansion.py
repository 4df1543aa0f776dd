"""`previous_response_id`: putting back the history that the provider keeps, from what was captured.

A Responses request may send only what is new and name the response it follows. The model sees the whole: so do we,
if we saw what came before.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ccinspect.wire.model import Message, Request, Response, Tool

Lookup = Callable[[str], "tuple[Request, Response] | None"]
"""The request as it was sent that got the response of this id, and that response; None when it was not seen."""

MAX_STEPS = 2_000


@dataclass(frozen=True, slots=True)
class Expanded:
    request: Request
    """With the messages before its own."""
    complete: bool
    """All of the history was found."""


@dataclass(frozen=True, slots=True)
class _History:
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...]
    complete: bool = True
    """None of it is missing."""


@dataclass(slots=True)
class Expander:
    """Expands requests; remembers the newest histories, so that a conversation's next turn takes one lookup."""

    lookup: Lookup
    limit: int = 64
    _known: OrderedDict[str, _History] = field(default_factory=OrderedDict)

    def expand(self, request: Request) -> Expanded:
        """The request with its history. One without `previous_response_id` is returned as it is."""
        if not request.previous_response_id:
            return Expanded(request, True)
        before = self._history(request.previous_response_id)
        whole = replace(request, messages=before.messages + request.messages, tools=before.tools + request.tools)
        return Expanded(whole, before.complete)

    def _history(self, response_id: str) -> _History:
        """All up to and with this response."""
        steps: list[_History] = []
        seen: set[str] = set()
        at: str | None = response_id
        complete = True
        while at:
            known = self._known.get(at)
            if known is not None:
                self._known.move_to_end(at)
                steps.append(known)
                complete = known.complete
                break
            found = self.lookup(at) if at not in seen and len(seen) < MAX_STEPS else None
            if found is None:
                complete = False
                break
            seen.add(at)
            request, response = found
            answer = (Message("assistant", response.blocks),) if response.blocks else ()
            steps.append(_History(request.messages + answer, _among_messages(request.tools)))
            at = request.previous_response_id
        steps.reverse()
        messages = tuple(message for step in steps for message in step.messages)
        history = _History(messages, tuple(tool for step in steps for tool in step.tools), complete)
        self._known[response_id] = history
        while len(self._known) > self.limit:
            self._known.popitem(last=False)
        return history


def _among_messages(tools: tuple[Tool, ...]) -> tuple[Tool, ...]:
    """Tools that stand in the history and stay in it (Codex's `additional_tools`); others are told each time."""
    return tuple(tool for tool in tools if tool.path[:1] == ("input",))
