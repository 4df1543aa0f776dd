"""Here it is the provider that is judged."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ccinspect.demo.provider import Provider


@pytest.fixture
def provider() -> Iterator[Provider]:
    """One for each test, with its counts at the start."""
    with Provider() as running:
        yield running
