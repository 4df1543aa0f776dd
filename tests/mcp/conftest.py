"""A store with model calls in it, written by the real recorder, and the tools that read it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ccinspect.mcp.captured import Captured
from ccinspect.mcp.catalogue import READING
from tests.cli.conftest import Place
from tests.cli.model_calls import two_turns

Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "instance")


@pytest.fixture
def captured(place: Place) -> Captured:
    return Captured(place.paths)


@pytest.fixture
def ask(captured: Captured) -> Ask:
    """Call a tool as a model does; what it answers, parsed."""
    tools = {tool.name: tool for tool in READING}

    def call(name: str, /, **arguments: Any) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(tools[name].call(captured, arguments).text())
        return answer

    return call


@pytest.fixture
def two_calls(place: Place) -> Place:
    """A conversation of two turns."""
    place.record(*two_turns())
    return place
