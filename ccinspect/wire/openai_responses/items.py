"""OpenAI Responses: the items of `input` and `output`, read into messages and blocks.

An item is a message, a piece of reasoning, a tool call or a tool result, each standing alone.
"""

from __future__ import annotations

from collections.abc import Callable

from ccinspect.wire.codec import leftover, names, readable
from ccinspect.wire.jsontext import as_list, as_name, as_object, as_text, parse_arguments
from ccinspect.wire.model import (
    Block,
    Citation,
    Json,
    JsonObject,
    Media,
    Message,
    Path,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Unknown,
)
from ccinspect.wire.openai_chat.decode import read_cache, url_media
from ccinspect.wire.signatures import is_redacted, split_id, unwrap

DIALECT = "openai_responses"
TOOLS_ITEM = "additional_tools"
REFERENCE = "item_reference"

_MESSAGE_FIELDS = names("type role content id status")
_TEXT_FIELDS = names("type text annotations logprobs prompt_cache_breakpoint")
_CALL_FIELDS = names("type id call_id name arguments input status namespace")
_RESULT_FIELDS = names("type id call_id output status name")
_REASONING_FIELDS = names("type id summary content encrypted_content status")

_SERVER_CALLS = names("web_search_call file_search_call code_interpreter_call image_generation_call mcp_call program")
_CLIENT_CALLS = names("computer_call local_shell_call shell_call apply_patch_call tool_search_call")
_ARGUMENT_FIELDS = ("action", "operation", "arguments", "queries", "code")
_OUTPUT_FIELDS = ("output", "outputs", "results", "result", "tools")


def read_item(value: Json, path: Path) -> Message:
    """One item of `input`, or of an answer's `output`, as a message of its own."""
    raw = as_object(value)
    kind = as_text(raw.get("type")) or ("message" if "role" in raw else REFERENCE if raw.keys() == {"id"} else "")
    if kind == "message":
        blocks = read_content(raw.get("content"), (*path, "content"))
        extra = leftover(raw, _MESSAGE_FIELDS)
        return Message(as_text(raw.get("role")), tuple(blocks), extra=extra, path=path, raw=raw)
    reader = _ITEMS.get(kind)
    if reader is not None:
        blocks = [reader(raw, path)]
    elif kind in _SERVER_CALLS or kind in _CLIENT_CALLS:
        blocks = _built_in_call(raw, kind, path)
    elif kind.endswith("_output"):
        blocks = [_built_in_result(raw, kind, path)]
    elif kind == TOOLS_ITEM:
        # The tools in it are read as the request's tools.
        blocks = []
    else:
        blocks = [Unknown(kind=kind, dialect=DIALECT, text=readable(value), path=path, raw=value)]
    return Message(_role(kind, blocks), tuple(blocks), path=path, raw=value)


def _role(kind: str, blocks: list[Block]) -> str:
    if kind in (TOOLS_ITEM, "configuration_update"):
        return "developer"
    if blocks and isinstance(blocks[0], ToolResult):
        return "tool"
    return "assistant" if kind in ("compaction", "mcp_list_tools", "mcp_approval_request") or blocks else "user"


def read_content(content: Json, path: Path) -> list[Block]:
    if isinstance(content, str):
        return [Text(content, path=path, raw=content)] if content else []
    return [read_part(part, (*path, index)) for index, part in enumerate(as_list(content))]


def read_part(value: Json, path: Path) -> Block:
    raw = as_object(value)
    kind = as_text(raw.get("type"))
    cache = read_cache(raw)
    if kind in ("input_text", "output_text", "text"):
        citations = tuple(map(_citation, as_list(raw.get("annotations"))))
        extra = leftover(raw, _TEXT_FIELDS)
        return Text(as_text(raw.get("text")), citations, path=path, raw=raw, cache=cache, extra=extra)
    if kind == "refusal":
        return Refusal(as_text(raw.get("refusal")), path=path, raw=raw)
    if kind == "input_image":
        detail = as_name(raw.get("detail"))
        if as_name(raw.get("file_id")):
            file_id = as_text(raw["file_id"])
            return Media("image", file_id=file_id, detail=detail, path=path, raw=raw, cache=cache)
        return url_media("image", as_text(raw.get("image_url")), path=path, raw=raw, cache=cache, detail=detail)
    if kind == "input_file":
        name = as_name(raw.get("filename"))
        if as_name(raw.get("file_id")):
            return Media("document", file_id=as_text(raw["file_id"]), name=name, path=path, raw=raw, cache=cache)
        url = as_text(raw.get("file_url")) or as_text(raw.get("file_data"))
        return url_media("document", url, path=path, raw=raw, cache=cache, name=name)
    if kind == "input_audio":
        audio = as_object(raw.get("input_audio"))
        return Media("audio", f"audio/{as_text(audio.get('format'))}", as_text(audio.get("data")), path=path, raw=raw)
    return Unknown(kind=kind, dialect=DIALECT, text=readable(value), path=path, raw=value)


def _citation(value: Json) -> Citation:
    raw = as_object(value)
    return Citation(as_name(raw.get("title")) or as_name(raw.get("filename")), as_name(raw.get("url")), raw=raw)


def _reasoning(raw: JsonObject, path: Path) -> Block:
    """Models show a summary, open-weight ones the reasoning itself; either may come with the sealed original."""
    content = [as_text(as_object(part).get("text")) for part in as_list(raw.get("content"))]
    summary = [as_text(as_object(part).get("text")) for part in as_list(raw.get("summary"))]
    sealed = as_name(raw.get("encrypted_content"))
    signature = unwrap(sealed, DIALECT) if sealed else None
    own_id = as_name(raw.get("id"))
    if signature is not None and signature.origin != DIALECT:
        # Not our provider's: the id was only made up for telling it here.
        own_id = None
    return Thinking(
        "\n\n".join(content or summary),
        is_redacted(sealed, DIALECT),
        summary=bool(summary) and not content and (signature is None or signature.origin == DIALECT),
        id=own_id,
        signature=signature,
        path=path,
        raw=raw,
        extra=leftover(raw, _REASONING_FIELDS),
    )


def _function_call(raw: JsonObject, path: Path) -> Block:
    arguments = raw.get("arguments")
    return ToolCall(
        id=as_text(raw.get("call_id")),
        name=as_text(raw.get("name")),
        arguments=arguments if isinstance(arguments, dict) else parse_arguments(as_text(arguments)),
        server=as_name(raw.get("namespace")),
        path=path,
        raw=raw,
        extra=leftover(raw, _CALL_FIELDS),
    )


def _custom_call(raw: JsonObject, path: Path) -> Block:
    return ToolCall(
        id=as_text(raw.get("call_id")),
        name=as_text(raw.get("name")),
        arguments=as_text(raw.get("input")),
        server=as_name(raw.get("namespace")),
        kind="custom",
        path=path,
        raw=raw,
        extra=leftover(raw, _CALL_FIELDS),
    )


def _call_output(raw: JsonObject, path: Path) -> Block:
    return ToolResult(
        call_id=as_text(raw.get("call_id")),
        name=as_name(raw.get("name")),
        content=tuple(read_content(raw.get("output"), (*path, "output"))),
        kind="custom" if raw.get("type") == "custom_tool_call_output" else "function",
        path=path,
        raw=raw,
        extra=leftover(raw, _RESULT_FIELDS),
    )


_ITEMS: dict[str, Callable[[JsonObject, Path], Block]] = {
    "reasoning": _reasoning,
    "function_call": _function_call,
    "custom_tool_call": _custom_call,
    "function_call_output": _call_output,
    "custom_tool_call_output": _call_output,
}


def _built_in_call(raw: JsonObject, kind: str, path: Path) -> list[Block]:
    """A call of a built-in tool. Those the provider runs bring their result in the same item."""
    given: Json = next((raw[name] for name in _ARGUMENT_FIELDS if raw.get(name) is not None), {})
    if isinstance(given, str) and kind == "mcp_call":
        given = parse_arguments(given)
    call_id = as_text(raw.get("call_id")) or as_text(raw.get("id"))
    executor = "provider" if kind in _SERVER_CALLS else "client"
    call = ToolCall(
        id=call_id,
        name=as_text(raw.get("name")) or kind.removesuffix("_call"),
        arguments=given if isinstance(given, dict | str) else {"items": given},
        server=as_name(raw.get("server_label")),
        executor=executor,
        kind=kind,
        path=path,
        raw=raw,
    )
    output = next((raw[name] for name in _OUTPUT_FIELDS if raw.get(name)), raw.get("error"))
    if executor == "client" or not output:
        return [call]
    # An image is megabytes of base64, not words.
    words = "" if kind == "image_generation_call" else readable(output)
    failed = bool(raw.get("error")) or raw.get("status") == "failed"
    result = ToolResult(call_id, call.name, (Text(words),), failed, "provider", kind, path=path, raw=raw)
    return [call, result]


def _built_in_result(raw: JsonObject, kind: str, path: Path) -> Block:
    output: Json = next((raw[name] for name in _OUTPUT_FIELDS if raw.get(name) is not None), None)
    image = as_text(as_object(output).get("image_url"))
    content: Block = Text(readable(output), path=(*path, "output"))
    if image:
        content = url_media("image", image, path=(*path, "output"), raw=output)
    return ToolResult(as_text(raw.get("call_id")), None, (content,), kind=kind, path=path, raw=raw)


def with_id(block: Thinking) -> tuple[str | None, str | None]:
    """(id, encrypted content) of reasoning that goes home, perhaps by way of another dialect."""
    if block.signature is None:
        return block.id, None
    told_id, value = split_id(block.signature)
    return block.id or told_id, value or None
