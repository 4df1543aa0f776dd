from __future__ import annotations

import pytest

from ccinspect.mcp import sql
from ccinspect.mcp.sql import QueryRefused
from tests.cli.conftest import Place, http_flow
from tests.mcp.conftest import Ask


def test_the_documented_views_can_be_asked(two_calls: Place, ask: Ask) -> None:
    answer = ask("query", sql="SELECT model, count(*), sum(context) FROM spend GROUP BY model")
    assert answer["rows"] == [["claude-sonnet-4-5", 2, 2990]]
    assert answer["columns"] == ["model", "count(*)", "sum(context)"]
    joined = ask("query", sql="SELECT f.host FROM spend s JOIN flows f ON f.uuid = s.flow")
    assert joined["rows"] == [["api.anthropic.com"]] * 2
    for view in ("context_parts", "conversations", "cache_misses", "runs", "flows"):
        assert ask("query", sql=f"SELECT count(*) FROM {view}")["total"] == 1


def test_rows_are_paged(two_calls: Place, ask: Ask) -> None:
    counting = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 120) SELECT i FROM n"
    first = ask("query", sql=counting)
    assert (first["total"], len(first["rows"]), first["next"]) == (120, 50, {"offset": 50})
    assert ask("query", sql=counting, offset=100)["rows"][-1] == [120]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT record FROM flows",
        "SELECT * FROM flows",
        "SELECT data FROM pieces",
        "SELECT content FROM messages",
        "SELECT account FROM calls",
        "SELECT state FROM limits",
        "SELECT sql FROM sqlite_master",
        "SELECT sql FROM store.sqlite_master",
        "SELECT name FROM pragma_table_info('flows')",
        "PRAGMA database_list",
        "DELETE FROM flows",
        "DROP VIEW spend",
        "UPDATE spend SET model = 'x'",
        "CREATE TEMP TABLE x (y)",
        "ATTACH '/etc/passwd' AS x",
        "SELECT load_extension('/tmp/x.so')",
        "VACUUM INTO '/tmp/stolen.db'",
        "SELECT 1; DELETE FROM flows",
        "SELECT (SELECT record FROM flows LIMIT 1) FROM spend",
        "WITH spend AS (SELECT record FROM flows) SELECT * FROM spend",
        "WITH spend AS (SELECT account FROM calls) SELECT account FROM spend",
        "BEGIN",
        "",
        "SELEKT",
    ],
)
def test_nothing_else_can_be_read_or_changed(two_calls: Place, ask: Ask, statement: str) -> None:
    with pytest.raises(QueryRefused):
        ask("query", sql=statement)
    assert ask("search_flows")["total"] == 2


def test_a_query_without_end_is_stopped(two_calls: Place, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "SECONDS", 0.2)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    with pytest.raises(QueryRefused, match="was stopped"):
        ask("query", sql=endless)


def test_what_is_large_is_refused_or_cut(two_calls: Place, ask: Ask) -> None:
    with pytest.raises(QueryRefused, match="too big"):
        ask("query", sql="SELECT zeroblob(2000000000)")
    assert ask("query", sql="SELECT zeroblob(5000)")["rows"] == [["(5000 bytes)"]]
    assert len(ask("query", sql="SELECT printf('%5000s', 'x')")["rows"][0][0]) < 400


def test_paths_kept_with_their_secrets_cannot_be_read(place: Place, ask: Ask) -> None:
    place.record(http_flow(1))
    assert ask("query", sql="SELECT path FROM flows")["total"] == 1
    place.paths.config_file.write_text("store:\n  keep_secrets: true\n")
    with pytest.raises(QueryRefused, match=r"flows\.path may not be read"):
        ask("query", sql="SELECT path FROM flows")
