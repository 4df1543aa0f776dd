"""`previous_response_id`: putting back the history that the provider keeps, from what was captured.

A Responses request may send only what is new and name the response it follows. The model sees the whole: so do we,
if we saw what came before.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ccinspect.wire.model import Message, Request, Response

Lookup = Callable[[str], "tuple[Request, Response] | None"]
"""The request as it was sent that got the response of this id, and that response; None when it was not seen."""

MAX_STEPS = 2_000


@dataclass(frozen=True, slots=True)
class Expanded:
    request: Request
    """With the messages before its own."""
    complete: bool
    """All of the history was found."""


@dataclass(slots=True)
class Expander:
    """Expands requests; remembers the newest histories, so that a conversation's next turn takes one lookup."""

    lookup: Lookup
    limit: int = 64
    _known: OrderedDict[str, tuple[tuple[Message, ...], bool]] = field(default_factory=OrderedDict)

    def expand(self, request: Request) -> Expanded:
        """The request with its history. One without `previous_response_id` is returned as it is."""
        if not request.previous_response_id:
            return Expanded(request, True)
        before, complete = self._history(request.previous_response_id)
        return Expanded(replace(request, messages=before + request.messages), complete)

    def _history(self, response_id: str) -> tuple[tuple[Message, ...], bool]:
        """(all messages up to and with this response, whether none is missing)."""
        steps: list[tuple[Message, ...]] = []
        seen: set[str] = set()
        at: str | None = response_id
        complete = True
        while at:
            known = self._known.get(at)
            if known is not None:
                self._known.move_to_end(at)
                steps.append(known[0])
                complete = known[1]
                break
            found = self.lookup(at) if at not in seen and len(seen) < MAX_STEPS else None
            if found is None:
                complete = False
                break
            seen.add(at)
            request, response = found
            answer = (Message("assistant", response.blocks),) if response.blocks else ()
            steps.append(request.messages + answer)
            at = request.previous_response_id
        messages = tuple(message for step in reversed(steps) for message in step)
        self._known[response_id] = (messages, complete)
        while len(self._known) > self.limit:
            self._known.popitem(last=False)
        return messages, complete
