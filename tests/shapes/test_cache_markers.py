"""Cache markers of Anthropic's requests."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from ccinspect.shapes import cache_markers

MARK = {"cache_control": {"type": "ephemeral"}}
HOUR = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


def body() -> dict[str, Any]:
    return {
        "tools": [{"name": "a", "input_schema": {"properties": {"cache_control": {"type": "string"}}}}, {"name": "b"}],
        "system": [text("one"), text("two")],
        "messages": [
            {"role": "user", "content": "hello"},
            {
                "role": "assistant",
                "content": [
                    {"type": "tool_use", "id": "t", "name": "a", "input": {"cache_control": {"type": "ephemeral"}}}
                ],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [text("result")]}]},
        ],
    }


def test_markers_are_put_at_the_named_places() -> None:
    document = body()
    marked, notes = cache_markers.insert(document, ("tools", "system", "last_user", "previous_user"))
    assert marked == [("tools", 1), ("system", 1), ("messages", 2, "content", 0), ("messages", 0, "content", 0)]
    assert notes == []
    assert document["tools"][1] == {"name": "b", **MARK}
    assert document["messages"][0]["content"] == [text("hello", **MARK)]
    assert set(cache_markers.markers(document)) == set(marked)


def test_data_of_that_name_is_no_marker() -> None:
    document = body()
    before = deepcopy(document)
    assert cache_markers.markers(document) == []
    assert cache_markers.strip(document) == []
    assert document == before


def test_all_markers_are_stripped_wherever_the_api_reads_one() -> None:
    document = body()
    plain = deepcopy(document)
    document.update(deepcopy(MARK))
    document["tools"][0].update(MARK)
    document["system"][0].update(HOUR)
    document["messages"][2]["content"][0].update(MARK)
    document["messages"][2]["content"][0]["content"][0].update(MARK)
    assert len(cache_markers.strip(document)) == 5
    assert document == plain


def test_no_more_than_four_and_those_that_are_there_count() -> None:
    document = body()
    document["system"][0].update(MARK)
    document["messages"][2]["content"][0]["content"][0].update(MARK)
    document.update(deepcopy(MARK))
    marked, notes = cache_markers.insert(document, ("last_user", "tools", "system"))
    assert marked == [("messages", 2, "content", 0)]
    assert notes == ["no cache marker at tools: 4 of 4 are used", "no cache marker at system: 4 of 4 are used"]


def test_text_is_made_a_block_only_where_it_is_marked() -> None:
    document = {"system": "words", "messages": [{"role": "user", "content": "x"}]}
    marked, _ = cache_markers.insert(document, ("last_user", "system"), limit=1)
    assert marked == [("messages", 0, "content", 0)]
    assert document["system"] == "words"


def test_what_is_marked_already_stays_as_it_is() -> None:
    document = body()
    document["system"][1].update(HOUR)
    assert cache_markers.insert(document, ("system",)) == ([], [])
    assert document["system"][1] == text("two", **HOUR)


@pytest.mark.parametrize(
    "content",
    ["", "  ", [], [text("")], [{"type": "thinking", "thinking": "x", "signature": "s"}], None, 5, [1, "x"], {}],
)
def test_there_is_no_marker_where_the_api_refuses_one(content: Any) -> None:
    document = {"messages": [{"role": "user", "content": content}]}
    before = deepcopy(document)
    assert cache_markers.insert(document, ("last_user", "tools", "system"))[0] == []
    assert document == before


def test_the_last_block_that_can_be_marked_is() -> None:
    document = {"messages": [{"role": "user", "content": [text("a"), text("")]}]}
    assert cache_markers.insert(document, ("last_user",))[0] == [("messages", 0, "content", 0)]


def test_longer_lives_come_first() -> None:
    document = body()
    document["system"][1].update(HOUR)
    _, notes = cache_markers.insert(document, ("tools", "last_user"), ttl=None)
    assert document["tools"][1]["cache_control"] == HOUR["cache_control"]
    assert document["messages"][2]["content"][0]["cache_control"] == MARK["cache_control"]
    assert len(notes) == 1
    document = body()
    document["tools"][0].update(MARK)
    cache_markers.insert(document, ("system",), ttl="1h")
    assert document["system"][1]["cache_control"] == MARK["cache_control"]


def test_a_path_names_a_block() -> None:
    document = body()
    marked, notes = cache_markers.insert(document, (".system[0]", ".messages[9].content[0]", ".tools[0].input_schema"))
    assert marked == [("system", 0)]
    assert len(notes) == 2


def test_the_whole_request_can_be_marked() -> None:
    document = body()
    document["system"][0].update(HOUR)
    assert cache_markers.insert(document, (".", "tools")) == (
        [(), ("tools", 1)],
        ["the cache marker at tools lives 1h, as one beside it: longer ones come first"],
    )
    assert document["cache_control"] == MARK["cache_control"]


@pytest.mark.parametrize(
    "broken", [{"tools": 1, "system": 2, "messages": 3}, {"messages": [None, 1, {"role": "user"}]}, {}]
)
def test_nothing_breaks_on_nonsense(broken: dict[str, Any]) -> None:
    assert cache_markers.strip(broken) == []
    assert cache_markers.insert(broken, ("tools", "system", "last_user", "previous_user"))[0] == []
