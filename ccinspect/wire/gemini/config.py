"""Google Gemini: tools and settings of a request into the neutral model."""

from __future__ import annotations

import functools

from ccinspect.wire.codec import leftover, names
from ccinspect.wire.jsontext import as_bool, as_count, as_int, as_list, as_name, as_number, as_object, as_text
from ccinspect.wire.model import Json, JsonObject, OutputFormat, Path, Reasoning, Sampling, Tool, ToolChoice

_TOOL_FIELDS = names("name description parameters parametersJsonSchema")


def field(raw: JsonObject, name: str) -> Json:
    """A field by its camelCase name, or by its snake_case one."""
    if name in raw:
        return raw[name]
    return raw.get(_snake(name))


@functools.cache
def _snake(name: str) -> str:
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name)


def read_tools(value: Json, path: Path) -> list[Tool]:
    tools: list[Tool] = []
    for index, item in enumerate(as_list(value)):
        raw = as_object(item)
        declarations = as_list(field(raw, "functionDeclarations"))
        for number, declaration in enumerate(declarations):
            tools.append(_declaration(declaration, (*path, index, "functionDeclarations", number)))
        for key in raw:
            if key not in ("functionDeclarations", "function_declarations"):
                tools.append(Tool(key, kind=key, path=(*path, index), raw={key: raw[key]}, extra={key: raw[key]}))
    return tools


def _declaration(value: Json, path: Path) -> Tool:
    raw = as_object(value)
    schema = field(raw, "parametersJsonSchema")
    if schema is None and isinstance(raw.get("parameters"), dict):
        schema = _json_schema(raw["parameters"])
    return Tool(
        name=as_text(raw.get("name")),
        description=as_name(raw.get("description")),
        schema=schema if isinstance(schema, dict) else None,
        extra=leftover(raw, _TOOL_FIELDS),
        path=path,
        raw=raw,
    )


def _json_schema(value: Json) -> Json:
    """Gemini's own schemas write the types in capitals."""
    if isinstance(value, list):
        return [_json_schema(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: item.lower() if key == "type" and isinstance(item, str) and item.isupper() else _json_schema(item)
        for key, item in value.items()
    }


def read_tool_choice(value: Json) -> ToolChoice | None:
    raw = as_object(field(as_object(value), "functionCallingConfig"))
    mode = as_text(raw.get("mode")).upper()
    allowed = as_list(field(raw, "allowedFunctionNames"))
    listed = tuple(name for name in allowed if isinstance(name, str))
    if mode == "ANY":
        return ToolChoice("tool" if len(listed) == 1 else "required", listed)
    known = {"AUTO": "auto", "NONE": "none", "VALIDATED": "auto"}.get(mode)
    return ToolChoice(known, listed) if known else None


def read_sampling(config: JsonObject) -> Sampling:
    return Sampling(
        max_tokens=as_count(field(config, "maxOutputTokens")),
        temperature=as_number(config.get("temperature")),
        top_p=as_number(field(config, "topP")),
        top_k=as_int(field(config, "topK")),
        stop=tuple(stop for stop in as_list(field(config, "stopSequences")) if isinstance(stop, str)),
        seed=as_int(config.get("seed")),
        presence_penalty=as_number(field(config, "presencePenalty")),
        frequency_penalty=as_number(field(config, "frequencyPenalty")),
        candidates=as_count(field(config, "candidateCount")),
    )


def read_reasoning(value: Json) -> Reasoning | None:
    raw = as_object(value)
    budget, level = as_int(field(raw, "thinkingBudget")), as_name(field(raw, "thinkingLevel"))
    shown = as_bool(field(raw, "includeThoughts"))
    if budget is None and level is None and shown is None:
        return None
    enabled = None if budget is None and level is None else budget != 0
    return Reasoning(
        enabled=True if shown and enabled is None else enabled,
        budget=budget if budget is not None and budget > 0 else None,
        effort=level.lower() if level else None,
        summary="included" if shown else None,
    )


def read_output_format(config: JsonObject) -> OutputFormat | None:
    schema = field(config, "responseJsonSchema")
    if schema is None and isinstance(field(config, "responseSchema"), dict):
        schema = _json_schema(field(config, "responseSchema"))
    if isinstance(schema, dict):
        return OutputFormat("json_schema", schema)
    return OutputFormat("json") if field(config, "responseMimeType") == "application/json" else None
