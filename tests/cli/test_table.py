"""Tables: never wider than the terminal, never cut in a pipe."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from ccinspect.cli.table import Cell, Column, aligned, tab_separated
from ccinspect.cli.text import width

COLUMNS = (
    Column("ID"),
    Column("Host", least=8),
    Column("Path", least=6, sacrifice=1),
    Column("Size", align="right", sacrifice=2),
)
ROWS = [
    ["abc123", "api.anthropic.com", "/v1/messages", "12k"],
    ["def456", "x.org", "/a/very/long/path/that/goes/on/and/on", Cell("1", "31")],
]


def lines(columns: int, *, colours: bool = False) -> list[str]:
    return list(aligned(COLUMNS, ROWS, columns, colours))


def test_a_wide_terminal_shows_everything() -> None:
    assert lines(100) == [
        "ID      Host               Path                                   Size",
        "abc123  api.anthropic.com  /v1/messages                            12k",
        "def456  x.org              /a/very/long/path/that/goes/on/and/on     1",
    ]


def test_the_widest_column_gives_way_first() -> None:
    assert lines(50) == [
        "ID      Host               Path               Size",
        "abc123  api.anthropic.com  /v1/messages        12k",
        "def456  x.org              /a/very/long/pat…     1",
    ]


def test_columns_are_left_out_before_the_rest_becomes_unreadable() -> None:
    assert lines(20) == ["ID      Host", "abc123  api.anthrop…", "def456  x.org"]


@given(st.integers(10, 200), st.lists(st.lists(st.text(), min_size=4, max_size=4), max_size=4))
def test_no_line_is_wider_than_the_terminal(columns: int, rows: list[list[str]]) -> None:
    narrow = (
        Column("A", least=1),
        Column("B", least=1, sacrifice=1),
        Column("C", sacrifice=2),
        Column("D", sacrifice=3),
    )
    for line in aligned(narrow, rows, columns, False):
        assert width(line) <= columns


def test_colours_do_not_move_columns() -> None:
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines(50, colours=True)]
    assert plain == lines(50)
    assert "\x1b[31m1\x1b[0m" in lines(50, colours=True)[2]


def test_pipes_get_whole_values_separated_by_tabs() -> None:
    rows = [["a", Cell("b\tc\x1b[2J", "31"), "d" * 5000]]
    assert list(tab_separated(rows)) == ["a\tb\\tc\\e[2J\t" + "d" * 5000]


def test_a_hostile_cell_cannot_escape() -> None:
    shown = "".join(aligned(COLUMNS, [["\x1b[2J", "\n\n", "\r", "\u202e"]], 80, False))
    assert "\x1b" not in shown
    assert "\n" not in shown
