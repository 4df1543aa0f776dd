"""The OpenAI Responses dialect of the fake provider: documents and streams, made from a Reply."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ccinspect.demo.mind import ApiError, Ask, Reply, ToolCall, pieces, think
from ccinspect.demo.openai_chat import CREATED, error, text


def parse(body: Mapping[str, Any]) -> Ask:
    """Read a request. Raises ApiError(400) where the real API would refuse."""
    if not isinstance(body.get("model"), str):
        raise ApiError(400, "Missing required parameter: 'model'.")
    given = body.get("input")
    if not isinstance(given, str | list) or not given:
        raise ApiError(400, "Missing required parameter: 'input'.")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    if not all(isinstance(item, dict) for item in items):
        raise ApiError(400, "Invalid type for 'input': expected a list of objects.")
    tools = list(_offered(body, items))
    said = [item for item in items if item.get("role") == "user" or item.get("type") in _RESULTS]
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        forced = choice["tools"][0]["name"] if choice["mode"] == "required" else None
    else:
        forced = choice.get("name") if isinstance(choice, dict) else None
    if choice == "required" and tools:
        forced = tools[0][1]["name"]
    return Ask(
        model=body["model"],
        prompt="\n".join([str(body.get("instructions") or ""), *(_text(item) for item in items)])
        + (json.dumps([tool for _, tool in tools]) if tools else ""),
        last_text=_text(said[-1]) if said else "",
        tools={tool["name"]: tool.get("parameters") or {} for _, tool in tools},
        forced_tool=forced,
        has_tool_result=bool(said) and said[-1].get("type") in _RESULTS,
        stream=body.get("stream") is True,
        namespaces={tool["name"]: namespace for namespace, tool in tools if namespace},
        answer_schema=((body.get("text") or {}).get("format") or {}).get("schema"),
        free_form=[tool["name"] for _, tool in tools if tool["type"] == "custom"],
    )


_RESULTS = ("function_call_output", "custom_tool_call_output")


def _offered(body: Mapping[str, Any], items: list[Any]) -> Iterator[tuple[str | None, dict[str, Any]]]:
    """The tools that an agent runs itself, each with its namespace; items of the input may bring some, too."""
    lists = [body.get("tools"), *(item.get("tools") for item in items if item.get("type") == "additional_tools")]
    for tool in (tool for tools in lists for tool in tools or []):
        if tool.get("type") == "namespace":
            yield from ((tool["name"], inner) for inner in tool["tools"] if inner.get("type") in _OURS)
        elif tool.get("type") in _OURS:
            yield None, tool


_OURS = ("function", "custom")


def _text(item: Mapping[str, Any]) -> str:
    return text(item["output"] if item.get("type") in _RESULTS else item.get("content"))


def document(reply: Reply) -> dict[str, Any]:
    """The whole answer as one JSON object."""
    return _frame(reply, "completed") | {"output": [_item(reply, "completed")], "usage": _usage(reply)}


def _frame(reply: Reply, status: str) -> dict[str, Any]:
    return {
        "id": f"resp_{reply.id}",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": reply.model,
        "output": [],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": None,
    }


def _item(reply: Reply, status: str) -> dict[str, Any]:
    if reply.tool:
        return _call(reply, reply.tool, status)
    content = [_part(reply.text)] if status == "completed" else []
    return {"id": f"msg_{reply.id}", "type": "message", "status": status, "role": "assistant", "content": content}


def _call(reply: Reply, tool: ToolCall, status: str) -> dict[str, Any]:
    own = {"id": f"fc_{reply.id}", "type": "function_call", "status": status}
    given = {"arguments": tool.json}
    if tool.free_form is not None:
        own |= {"id": f"ctc_{reply.id}", "type": "custom_tool_call"}
        given = {"input": tool.free_form}
    if status != "completed":
        given = dict.fromkeys(given, "")
    namespace = {"namespace": tool.namespace} if tool.namespace else {}
    return {**own, "call_id": f"call_{reply.id}", "name": tool.name, **namespace, **given}


def _part(value: str) -> dict[str, Any]:
    return {"type": "output_text", "text": value, "annotations": [], "logprobs": []}


def _usage(reply: Reply) -> dict[str, Any]:
    return {
        "input_tokens": reply.input_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": reply.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": reply.input_tokens + reply.output_tokens,
    }


def events(reply: Reply) -> Iterator[bytes]:
    """The answer as server-sent events, numbered, in the order of the real API."""
    for event in _numbered(_sequence(reply)):
        yield f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def _numbered(sequence: Iterable[tuple[str, dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    for number, (name, data) in enumerate(sequence):
        yield {"type": name, "sequence_number": number, **data}


def _sequence(reply: Reply) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "response.created", {"response": _frame(reply, "in_progress")}
    yield "response.in_progress", {"response": _frame(reply, "in_progress")}
    yield "response.output_item.added", {"output_index": 0, "item": _item(reply, "in_progress")}
    yield from _call_events(reply) if reply.tool else _text_events(reply)
    yield "response.output_item.done", {"output_index": 0, "item": _item(reply, "completed")}
    yield "response.completed", {"response": document(reply)}


def _call_events(reply: Reply) -> Iterator[tuple[str, dict[str, Any]]]:
    assert reply.tool is not None
    item = _item(reply, "completed")
    at = {"item_id": item["id"], "output_index": 0}
    if reply.tool.free_form is not None:
        for piece in pieces(reply.tool.free_form):
            yield "response.custom_tool_call_input.delta", at | {"delta": piece}
        yield "response.custom_tool_call_input.done", at | {"input": reply.tool.free_form}
        return
    for piece in pieces(reply.tool.json):
        yield "response.function_call_arguments.delta", at | {"delta": piece}
    done = at | {"name": reply.tool.name, "arguments": reply.tool.json}
    yield "response.function_call_arguments.done", done


def _text_events(reply: Reply) -> Iterator[tuple[str, dict[str, Any]]]:
    at = {"item_id": f"msg_{reply.id}", "output_index": 0, "content_index": 0}
    yield "response.content_part.added", at | {"part": _part("")}
    for piece in pieces(reply.text):
        yield "response.output_text.delta", at | {"delta": piece, "logprobs": []}
    yield "response.output_text.done", at | {"text": reply.text, "logprobs": []}
    yield "response.content_part.done", at | {"part": _part(reply.text)}


class Talk:
    """The same over a WebSocket, where a request may leave out what the responses before it on the connection had."""

    def __init__(self, ask_model: Callable[[Ask], Reply] = think) -> None:
        self._ask_model = ask_model
        self._known: dict[str, list[Any]] = {}
        """All items up to and including a response, by its id."""

    def hear(self, message: str) -> Iterator[str]:
        """Answer one `response.create`, event by event."""
        try:
            yield from map(json.dumps, _numbered(self._answer(json.loads(message))))
        except (ApiError, ValueError, AttributeError, KeyError, TypeError) as problem:
            refusal = problem if isinstance(problem, ApiError) else ApiError(400, f"this is no request: {problem}")
            yield json.dumps({"type": "error", "status": refusal.status, **error(refusal)})

    def _answer(self, body: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        if body.get("type") != "response.create":
            raise ApiError(400, f"Unknown event type: {body.get('type')}")
        previous = body.get("previous_response_id")
        if previous is not None and previous not in self._known:
            raise ApiError(400, f"Previous response with id '{previous}' not found.")
        items = [*self._known.get(previous or "", []), *body.get("input", [])]
        if body.get("generate") is False:
            yield from self._warm_up(str(body.get("model")), items)
            return
        reply = self._ask_model(parse({**body, "input": items, "stream": True}))
        self._known[f"resp_{reply.id}"] = [*items, _item(reply, "completed")]
        yield from _sequence(reply)

    def _warm_up(self, model: str, items: list[Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        nothing = Reply(f"warm{len(self._known):020}", model, "", "", None, 0, 0)
        self._known[f"resp_{nothing.id}"] = items
        yield "response.created", {"response": _frame(nothing, "in_progress")}
        yield "response.completed", {"response": _frame(nothing, "completed") | {"usage": _usage(nothing)}}
