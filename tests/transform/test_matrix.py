"""Every dialect told in every dialect, by the official SDKs' judgement (see `matrix.py`)."""

from __future__ import annotations

import pytest

from tests.transform import matrix


@pytest.mark.parametrize("exchange", list(matrix.exchanges()), ids=str)
def test_the_exchange_is_right(exchange: matrix.Exchange) -> None:
    matrix.check(exchange)


def test_the_table_is_complete() -> None:
    assert len(list(matrix.exchanges())) == 5 * 5 * 2 * 4
