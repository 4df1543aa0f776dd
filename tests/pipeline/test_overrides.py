"""The header `x-ccinspect-hooks`."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccinspect.pipeline.overrides import parse_overrides


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("", {}),
        ("+a,-b,c", {"a": True, "b": False, "c": None}),
        (" + a , -b,,", {"a": True, "b": False}),
        ("+a,-a", {"a": False}),
        ("shape#2,+file.function", {"shape#2": None, "file.function": True}),
        ("+,-,+-a,two words,\u00e9,<script>", {}),
        (",".join(f"h{n}" for n in range(500)), {f"h{n}": None for n in range(100)}),
    ],
)
def test_names_are_read(value: str, wanted: dict[str, bool | None]) -> None:
    assert dict(parse_overrides(value).wanted) == wanted


@settings(deadline=None)
@given(st.text())
def test_no_value_fails(value: str) -> None:
    wanted = parse_overrides(value).wanted
    assert len(wanted) <= 100
    assert all(name in value and (name.isascii() and not set(name) & set("+, ")) for name in wanted)
