"""The block `providers`: mistakes are told when it is read, with the provider and the key."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from ccinspect.identity.settings import ProviderName, ProviderSettings

BLOCK: TypeAdapter[Any] = TypeAdapter(dict[ProviderName, ProviderSettings])


def mistake(**entry: object) -> tuple[str, str]:
    """(dotted key, message) of the one mistake in `providers.corp`."""
    with pytest.raises(ValidationError) as caught:
        BLOCK.validate_python({"corp": {"hosts": ["llm.corp.example"], **entry}})
    [error] = caught.value.errors()
    return ".".join(str(part) for part in error["loc"]), error["msg"]


@pytest.mark.parametrize(
    ("entry", "key", "message"),
    [
        ({"request": {"model": ".model["}}, "corp.request.model", "not a jq expression: syntax error"),
        ({"request": {"model": "nosuch(1)"}}, "corp.request.model", "nosuch/1 is not defined"),
        ({"request": {"model": [".a", ".b |"]}}, "corp.request.model", "not a jq expression"),
        ({"request": {"model": ""}}, "corp.request.model", "not a jq expression"),
        ({"request": {"model": "1) | (2"}}, "corp.request.model", "not a jq expression"),
        ({"request": {"model": "." * 5_000}}, "corp.request.model", "longer than 4000"),
        ({"request": {"model": "$type"}}, "corp.request.model", "not a jq expression"),
        ({"response": {"usage": {"input": "|"}}}, "corp.response.usage.input", "not a jq expression"),
        ({"response": {"txt": ".t"}}, "corp.response.txt", "Extra inputs"),
        ({"stream": {"events": {"delta": {"text": "("}}}}, "corp.stream.events.delta.text", "not a jq expression"),
        ({"stream": {"final": {"usage": {"output": "("}}}}, "corp.stream.final.usage.output", "not a jq expression"),
        ({"stream": {"type": "("}}, "corp.stream.type", "not a jq expression"),
        ({"stream": {"format": "xml"}}, "corp.stream.format", "Input should be 'auto', 'sse' or 'json-lines'"),
        ({"dialect": "openai"}, "corp.dialect", "no dialect of this name"),
        ({"dialect": "anthropic", "response": {"text": "."}}, "corp", "both a `dialect` and expressions"),
        ({"hosts": []}, "corp.hosts", "at least 1 item"),
        ({"hosts": ["http://x/"]}, "corp.hosts.0", "match pattern"),
        ({"paths": ["v1"]}, "corp.paths.0", "match pattern"),
        ({"request": {"model": 'import "a" as a; .'}}, "corp.request.model", "not a jq expression"),
        ({"request": {"model": 'include "a"; .'}}, "corp.request.model", "not a jq expression"),
    ],
)
def test_a_mistake_names_provider_and_key(entry: dict[str, object], key: str, message: str) -> None:
    where, what = mistake(**entry)
    assert where == key
    assert message in what


def test_the_name_of_a_provider_is_a_plain_word() -> None:
    with pytest.raises(ValidationError):
        BLOCK.validate_python({"My Provider": {"hosts": ["x"], "dialect": "anthropic"}})


def test_a_single_expression_and_a_list_are_both_fine() -> None:
    one = ProviderSettings.model_validate({"hosts": ["x"], "request": {"model": ".a"}})
    two = ProviderSettings.model_validate({"hosts": ["x"], "request": {"model": [".a", ".b # with a comment"]}})
    assert one.request.fields() == {"model": (".a",)}
    assert two.request.fields() == {"model": (".a", ".b # with a comment")}
    assert one.has_expressions


def test_nested_fields_have_dotted_keys() -> None:
    settings = ProviderSettings.model_validate(
        {"hosts": ["x"], "response": {"text": ".t", "usage": {"input": ".i", "cache_read": ".c"}}}
    )
    assert settings.response.fields() == {"text": (".t",), "usage.input": (".i",), "usage.cache_read": (".c",)}


def test_events_know_their_name_and_type() -> None:
    expression = 'if $type == "a" then $name else empty end'
    settings = ProviderSettings.model_validate({"hosts": ["x"], "stream": {"events": {"*": {"text": expression}}}})
    assert settings.stream.events["*"].fields() == {"text": (expression,)}
    with pytest.raises(ValidationError, match="type"):
        ProviderSettings.model_validate({"hosts": ["x"], "response": {"text": "$type"}})


def test_every_setting_is_described() -> None:
    def missing(schema: Any, place: str = "") -> list[str]:
        if isinstance(schema, list):
            return [found for item in schema for found in missing(item, place)]
        if not isinstance(schema, dict):
            return []
        bare = [
            f"{place}.{name}" for name, value in schema.get("properties", {}).items() if not value.get("description")
        ]
        return bare + [found for name, value in schema.items() for found in missing(value, f"{place}.{name}")]

    assert missing(ProviderSettings.model_json_schema()) == []
