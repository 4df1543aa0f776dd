from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ccinspect.errors import BadSelection
from ccinspect.store.query import StoreReader
from ccinspect.store.selection import Selection, parse_status, parse_time, parse_type
from tests.store.records import ended, flow, record, run

NOW = datetime(2026, 3, 29, 12, 0, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("1h", 3600), ("45m", 2700), ("90s", 90), ("7d", 7 * 86400), ("2w", 14 * 86400), ("1.5h", 5400),
        ("10 min ago", 600), (" 1H ", 3600), ("now", 0), ("0s", 0),
    ],
)  # fmt: skip
def test_ages(text: str, ago: float) -> None:
    assert parse_time(text, NOW) == NOW - ago


def test_dates() -> None:
    assert parse_time("2026-01-31T12:00:00Z") == datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()
    assert parse_time("2026-01-31T12:00+02:00") == datetime(2026, 1, 31, 10, tzinfo=UTC).timestamp()
    assert parse_time("2026-01-31") == datetime(2026, 1, 31).timestamp()
    assert parse_time("2026-01-31 08:30") == datetime(2026, 1, 31, 8, 30).timestamp()
    assert parse_time("1769860800.5") == 1769860800.5
    midnight = datetime.fromtimestamp(NOW).replace(hour=0, minute=0, second=0, microsecond=0)
    assert parse_time("today", NOW) == midnight.timestamp()
    assert parse_time("yesterday", NOW) == (midnight - timedelta(days=1)).timestamp()


@pytest.mark.parametrize("text", ["", "soon", "1y", "-1h", "h", "2026-13-01", "2026-02-30", "99999999999999"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(BadSelection) as caught:
        parse_time(text)
    assert "1h" in caught.value.hint
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "text", ["", "4", "40", "4000", "abc", ">=", "=>400", "6xx", "200,", "200;drop", "400-", "4 xx"]
)
def test_what_is_no_status(text: str) -> None:
    with pytest.raises(BadSelection):
        parse_status(text)


def test_other_values() -> None:
    assert parse_type(" DNS ") == "dns"
    with pytest.raises(BadSelection):
        parse_type("smtp")


STATUSES = [None, 200, 201, 204, 301, 400, 404, 429, 500, 529]
HOSTS = ["api.anthropic.com", "API.openai.com", "openai.com", "notopenai.com", "a?b[c].test"]
RUNS = [run(id="aaaa-1111", name="nightly", started_at=1.0), run(id="aabb-2222", name="last-but-one", started_at=2.0)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreReader]:
    directory = tmp_path_factory.mktemp("store")
    flows = [
        flow(
            run=RUNS[index % 2]["id"] if index < 4 else None,
            state="error" if status is None else "complete",
            error={"msg": "refused", "timestamp": 1.0} if status is None else None,
            request={
                "pretty_host": HOSTS[index % 5],
                "path": ["/v1/messages?beta=true", "/v1/messages/count_tokens", "/100%[x]*"][index % 3],
                "method": ["GET", "POST"][index % 2],
            },
            response=None if status is None else {"status_code": status},
            timing={"started_at": 1000.0 + index},
        )
        for index, status in enumerate(STATUSES)
    ]
    lookup = flow(
        type="dns", request={"question": {"name": "Example.ORG", "type": "A", "class": "IN"}}, response=None,
        timing={"started_at": 2000.0},
    )  # fmt: skip
    asyncio.run(
        record(
            directory,
            *({"kind": "run_started", "run": one} for one in RUNS),
            *map(ended, flows),
            ended(lookup | {"request": {"question": lookup["request"]["question"]}}),
        )
    )
    with StoreReader(directory) as reader:
        yield reader


def statuses(store: StoreReader, **fields: Any) -> list[int | None]:
    found = store.select(Selection(**fields))
    assert store.count(Selection(**fields)) == len(found) or "limit" in fields
    assert [one["id"] for one in store.iter_records(Selection(**fields))] == [one["id"] for one in found]
    return [(one["response"] or {}).get("status_code") for one in found if one["type"] == "http"]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("200", [200]), ("=200", [200]), ("==200", [200]), (">=400", [400, 404, 429, 500, 529]), ("> 500", [529]),
        ("<300", [200, 201, 204]), ("<=200", [200]), ("!=200", [201, 204, 301, 400, 404, 429, 500, 529]),
        ("4xx", [400, 404, 429]), ("5XX", [500, 529]),
        ("200,201", [200, 201]), ("3xx, >=500", [301, 500, 529]), ("400-429", [400, 404, 429]),
    ],
)  # fmt: skip
def test_status(store: StoreReader, expression: str, expected: list[int]) -> None:
    assert statuses(store, status=expression) == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("api.anthropic.com", [None, 400]),
        ("anthropic.com", [None, 400]),
        ("OpenAI.com", [200, 201, 404, 429]),
        ("*openai.com", [200, 201, 204, 404, 429, 500]),
        ("api.*", [None, 200, 400, 404]),
        ("a?b[c].test", [301, 529]),
        ("nosuch", []),
    ],
)
def test_host(store: StoreReader, host: str, expected: list[int]) -> None:
    assert statuses(store, host=host) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/messages", [None, 200, 204, 301, 404, 429, 529]),
        ("/v1/messages/", [200, 301, 429]),
        ("*/count_tokens", [200, 301, 429]),
        ("/v1/*beta*", [None, 204, 404, 529]),
        ("/100%[x]", [201, 400, 500]),
        ("/V1", []),
    ],
)
def test_path(store: StoreReader, path: str, expected: list[int]) -> None:
    assert statuses(store, path=path) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("aaaa-1111", [None, 201]), ("aaaa", [None, 201]), ("nightly", [None, 201]), ("last", [200, 204]), ("aa", 4)],
)
def test_run(store: StoreReader, text: str, expected: Any) -> None:
    found = statuses(store, run=text)
    assert (found if isinstance(expected, list) else len(found)) == expected


def test_an_unknown_run_is_told(store: StoreReader) -> None:
    with pytest.raises(BadSelection, match="nosuch"):
        store.select(Selection(run="nosuch"))


def test_the_rest(store: StoreReader) -> None:
    assert statuses(store, errors=True) == [None, 400, 404, 429, 500, 529]
    assert statuses(store, method="get") == [None, 201, 301, 404, 500]
    assert statuses(store, since=1003.0, until=1005.0) == [204, 301]
    assert statuses(store, limit=2, type="http") == [500, 529]
    assert statuses(store, limit=1, errors=True, status="4xx") == [429]
    assert [one["type"] for one in store.select(Selection(host="example.org"))] == ["dns"]
    assert [one["type"] for one in store.select(Selection(type="dns"))] == ["dns"]
    assert len(store.select(Selection())) == len(STATUSES) + 1


def test_parameters_survive_the_control_socket() -> None:
    chosen = Selection(since=1.0, host="h", errors=True, limit=3)
    assert chosen.to_params() == {"since": 1.0, "host": "h", "errors": True, "limit": 3}
    assert Selection.from_params(chosen.to_params()) == chosen
