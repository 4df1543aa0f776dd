"""Amounts of money and tokens as people write them: `5`, `$0.50`, `500k`, `2M`. Standard library only."""

from __future__ import annotations

import re
from decimal import Decimal

_MONEY = re.compile(r"\$?\s*(\d{1,9}(?:\.\d{1,9})?)\s*(?:\$|usd)?", re.IGNORECASE | re.ASCII)
_TOKENS = re.compile(r"(\d{1,3}(?:[,_]\d{3})+|\d{1,15})(\.\d{1,9})?\s*([kmg]?)", re.IGNORECASE | re.ASCII)
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}


def parse_dollars(value: object) -> Decimal:
    """US dollars, more than nothing. Raises ValueError with a text for people."""
    match = _MONEY.fullmatch(str(value).strip()) if not isinstance(value, bool) else None
    if match is None or not (amount := Decimal(match[1])):
        raise ValueError("an amount of money is a number of US dollars above 0: 5, $0.50")
    return amount


def parse_tokens(value: object) -> int:
    """A number of tokens, at least one. Raises ValueError with a text for people."""
    match = _TOKENS.fullmatch(str(value).strip()) if not isinstance(value, bool) else None
    number = (
        Decimal(re.sub("[,_]", "", match[1]) + (match[2] or "")) * _UNITS[match[3].lower()] if match else Decimal(0)
    )
    if number < 1 or number != int(number):
        raise ValueError("an amount of tokens is a whole number above 0, also with a unit: 800, 500k, 2M")
    return int(number)
