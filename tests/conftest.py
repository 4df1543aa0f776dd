"""Fixtures for every room: the fake provider, and (in support/) a real daemon pointed at it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ccinspect.demo.provider import Provider


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A fake provider of its own for one test."""
    with Provider() as running:
        yield running
