"""Which conversation a request belongs to."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ccinspect.hooks.extract_session_id import extract_session_id
from ccinspect.pipeline.pipeline import Pipeline
from tests.hooks.through import run_hook
from tests.pipeline.running import FACTS, request, states, steps

UNKNOWN = replace(FACTS, session=None)
ID = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"


@pytest.mark.parametrize(
    ("headers", "body", "session"),
    [
        ({"X_Claude_Code_Session_Id": ID}, None, ID),
        ({"session_id": ID}, None, ID),
        ({"x_session_id": f" {ID} "}, None, ID),
        ({}, {"metadata": {"user_id": f"user_1_account__session_{ID}"}}, ID),
        ({}, {"metadata": {"user_id": json.dumps({"device_id": "d", "session_id": ID})}}, ID),
        ({}, {"prompt_cache_key": ID}, ID),
        ({}, {"request": {"session_id": ID}}, ID),
        ({}, {"conversation": {"id": ID}}, ID),
        ({"x_session": "of-the-header"}, {"prompt_cache_key": ID}, "of-the-header"),
        ({}, {"messages": [{"content": f"_session_{ID}"}], "prompt": f"_session_{ID}"}, None),
        ({}, {"metadata": {"user_id": "somebody"}, "user": 5, "conversation": [1]}, None),
        ({}, {"metadata": {"user_id": '{"session_id": [1]}'}}, None),
        ({}, {"metadata": {"user_id": "{" * 5000}}, None),
        ({}, b"no json", None),
        ({}, [], None),
        ({}, None, None),
    ],
)
def test_what_agents_say(headers: dict[str, str], body: Any, session: str | None) -> None:
    result = run_hook(extract_session_id, request(body, **headers), facts=UNKNOWN)
    assert states(result) == {"extract_session_id": "ran"}
    assert result.session == session


def test_a_big_body_is_read_too() -> None:
    body = {"messages": ["x" * 300_000], "prompt_cache_key": ID}
    assert run_hook(extract_session_id, request(body), facts=UNKNOWN).session == ID


def test_what_is_known_is_not_asked_again() -> None:
    result = run_hook(extract_session_id, request(x_session="another"))
    assert states(result) == {"extract_session_id": "skipped"}
    assert result.session == FACTS.session


@pytest.mark.parametrize(
    ("params", "headers", "facts", "needed"),
    [
        ({}, {}, UNKNOWN, False),
        ({"read_body": True}, {}, UNKNOWN, True),
        ({"read_body": True}, {"x_session": "a"}, UNKNOWN, False),
        ({"read_body": True}, {}, FACTS, False),
        ({"read_body": True}, {}, replace(UNKNOWN, kind=None), False),
    ],
)
def test_when_the_body_is_read_for_it(params: Any, headers: dict[str, str], facts: Any, needed: bool) -> None:
    assert extract_session_id.params is not None
    pipeline = Pipeline({"inbound": steps([(extract_session_id, extract_session_id.params(**params))])})
    assert pipeline.needs_body(facts, request(**headers)) is needed
    pipeline.close()
