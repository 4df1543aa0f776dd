"""The base-URL variables of a run, and where they lead."""

from __future__ import annotations

import pytest

from ccinspect.addons.sources import Origin
from ccinspect.daemon.base_urls import base_url_environment
from ccinspect.errors import RunError


def test_without_any_variable_set_each_leads_to_its_provider() -> None:
    environment, upstreams = base_url_environment("abc", 4000, {})
    assert environment["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:4000/r/abc/anthropic"
    assert environment["OPENAI_BASE_URL"] == "http://127.0.0.1:4000/r/abc/openai/v1"
    assert upstreams["openai"] == Origin("https", "api.openai.com", 443)
    assert upstreams["ollama"] == Origin("http", "127.0.0.1", 11434)
    assert set(environment) == {
        "ANTHROPIC_BASE_URL",
        "OPENAI_BASE_URL",
        "OPENAI_API_BASE",
        "GOOGLE_GEMINI_BASE_URL",
        "OLLAMA_HOST",
    }


@pytest.mark.parametrize(
    ("variable", "value", "key", "origin", "path"),
    [
        ("OPENAI_BASE_URL", "http://localhost:8080/foo/v1/", "openai", Origin("http", "localhost", 8080), "/foo/v1"),
        ("ANTHROPIC_BASE_URL", "https://gw.corp", "anthropic", Origin("https", "gw.corp", 443), ""),
        ("OLLAMA_HOST", "0.0.0.0", "ollama", Origin("http", "127.0.0.1", 11434), ""),
        ("OLLAMA_HOST", "gpu:1234", "ollama", Origin("http", "gpu", 1234), ""),
        ("OLLAMA_HOST", "https://gpu", "ollama", Origin("https", "gpu", 443), ""),
        ("OLLAMA_HOST", "http://[::1]:99", "ollama", Origin("http", "::1", 99), ""),
    ],
)
def test_a_base_url_of_the_users_own_becomes_the_upstream(
    variable: str, value: str, key: str, origin: Origin, path: str
) -> None:
    environment, upstreams = base_url_environment("abc", 4000, {variable: value})
    assert upstreams[key] == origin
    assert environment[variable] == f"http://127.0.0.1:4000/r/abc/{key}{path}"


@pytest.mark.parametrize("value", ["http://127.0.0.1:4000/v1", "http://localhost:4000"])
def test_a_base_url_that_leads_to_ourselves_is_as_good_as_none(value: str) -> None:
    assert base_url_environment("abc", 4000, {"OPENAI_BASE_URL": value}) == base_url_environment("abc", 4000, {})


@pytest.mark.parametrize("value", ["ftp://x", "http://", "http://host:notaport/"])
def test_a_base_url_that_makes_no_sense_is_named(value: str) -> None:
    with pytest.raises(RunError, match="OPENAI_BASE_URL"):
        base_url_environment("abc", 4000, {"OPENAI_BASE_URL": value})
