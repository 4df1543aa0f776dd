from __future__ import annotations

import pytest

from ccinspect.analysis.glance import Glance
from ccinspect.errors import BadSelection, CcinspectError, FilterError
from ccinspect.mcp.flow_search import row
from ccinspect.mcp.tool import BadArguments
from tests.cli.conftest import Place, flow_id, http_flow
from tests.mcp.conftest import Ask


def test_an_empty_store_answers_with_nothing(ask: Ask) -> None:
    assert ask("search_flows") == {"total": 0, "truncated": False, "next": None, "flows": []}


def test_pages_go_backwards_through_all_flows_once(place: Place, ask: Ask) -> None:
    place.record(*(http_flow(number) for number in range(45)))
    seen: list[str] = []
    asked: dict[str, str] = {}
    pages = 0
    while True:
        answer = ask("search_flows", **asked)
        assert answer["total"] == 45
        seen += [row["id"] for row in answer["flows"]]
        pages += 1
        if answer["next"] is None:
            break
        assert answer["truncated"]
        asked = answer["next"]
    assert pages == 3
    assert seen == [flow_id(number)[:13] for number in reversed(range(45))]


def test_new_flows_do_not_shift_the_pages(place: Place, ask: Ask) -> None:
    place.record(*(http_flow(number) for number in range(4)))
    first = ask("search_flows", limit=2)
    place.record(http_flow(100))
    second = ask("search_flows", limit=2, **first["next"])
    assert [row["id"] for row in second["flows"]] == [flow_id(1)[:13], flow_id(0)[:13]]


def test_a_cursor_that_is_gone_says_so(ask: Ask) -> None:
    with pytest.raises(BadSelection, match="not there"):
        ask("search_flows", cursor="nothing")


@pytest.mark.parametrize(("tokens", "said"), [(12, "~12"), (0, "~0"), (None, None)])
def test_estimated_tokens_are_marked(tokens: int | None, said: str | None) -> None:
    assert row(http_flow(1)["flow"], Glance(None, "m", tokens, estimated=True)).get("tokens") == said


def test_model_calls_are_told_apart(two_calls: Place, ask: Ask) -> None:
    two_calls.record(http_flow(50, request={"host": "example.org", "pretty_host": "example.org", "method": "GET"}))
    answer = ask("search_flows", model_calls=True)
    assert answer["total"] == 2
    assert [row["id"] for row in answer["flows"]] == [flow_id(2)[:13], flow_id(1)[:13]]
    assert answer["flows"][0]["model"] == "claude-sonnet-4-5"
    assert answer["flows"][0]["tokens"] == 1540
    assert ask("search_flows", model="claude-*", limit=1)["next"] == {"cursor": flow_id(2)}
    assert ask("search_flows", model="gpt-*")["total"] == 0
    assert ask("search_flows")["total"] == 3


def test_jq_filters_flows_and_makes_values(place: Place, ask: Ask) -> None:
    place.record(*(http_flow(number) for number in range(5)))
    found = ask("search_flows", jq='map(select(.request.path | endswith("/3")))')
    assert [row["id"] for row in found["flows"]] == [flow_id(3)[:13]]
    values = ask("search_flows", jq="map(.request.path)", limit=2)
    assert values["values"] == ["/v1/messages/0", "/v1/messages/1"]
    assert values["next"] == {"offset": 2}
    assert values["total"] == 5
    with pytest.raises(FilterError):
        ask("search_flows", jq="map(")


def test_records_that_jq_left_alone_are_flows_also_where_they_are_no_utf8(place: Place, ask: Ask) -> None:
    place.record(http_flow(1, request={"headers": [[b"x-name", b"caf\xe9"]]}), http_flow(2))
    found = ask("search_flows", jq='map(select(.type == "http"))')
    assert [row["id"] for row in found["flows"]] == [flow_id(2)[:13], flow_id(1)[:13]]


@pytest.mark.parametrize(
    "change",
    [
        "{id, type, state, timing, request: .request.path}",
        ".timing.started_at = 1e300",
        '.timing.duration = "long"',
        ".response = [200]",
        ".sizes = 1",
        '.error = "x"',
        '.type = "dns"',
        '.type = "tcp" | .server_conn = {address: 5}',
        "{id: 1, type: null, state: [], timing: 2}",
    ],
)
def test_what_jq_made_of_records_is_shown_as_it_made_it(place: Place, ask: Ask, change: str) -> None:
    place.record(http_flow(1))
    (value,) = ask("search_flows", jq=f"map({change})")["values"]
    assert value.keys() >= {"id", "type"}


def test_one_value_that_is_far_too_long_is_cut(place: Place, ask: Ask) -> None:
    place.record(http_flow(1))
    found = ask("search_flows", jq='[[range(100000)], "the next"]')
    (value,) = found["values"]
    assert value.startswith("[0,1,2,")
    assert value.endswith("… (588,891 characters in all)")
    assert len(value) < 13_000
    assert ask("search_flows", jq='[[range(100000)], "the next"]', **found["next"])["values"] == ["the next"]


def test_secrets_that_were_kept_do_not_get_out(place: Place, ask: Ask) -> None:
    key = "sk-ant-api03-" + "a1B2" * 20
    place.record(http_flow(1, error={"msg": "refused: " + key, "timestamp": 1.0}))
    for answer in (
        ask("search_flows"),
        ask("search_flows", jq="map(.error)"),
        ask("search_flows", jq="map({(.id): 1})"),
    ):
        assert key not in str(answer)


def test_a_mistake_is_answered_with_how_to_mend_it(ask: Ask) -> None:
    with pytest.raises(BadArguments, match="no argument `hots`") as raised:
        ask("search_flows", hots="x")
    assert raised.value.hint == "did you mean `host`?"
    with pytest.raises(BadArguments, match="`limit`: Input should be less than or equal to 100"):
        ask("search_flows", limit=1000)
    with pytest.raises(BadArguments, match="needs the argument `flow`"):
        ask("flow_outline")
    with pytest.raises(BadSelection):
        ask("search_flows", since="the day before")
    with pytest.raises(CcinspectError, match="jq does not go with"):
        ask("search_flows", jq=".", model_calls=True)
