"""What of an environment a keyless child may see."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import time
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccinspect.auth.keyless import VARIABLES, Fingerprint, holds, keyless_environment
from ccinspect.auth.sentinel import find_sentinel
from ccinspect.errors import CredentialsError
from ccinspect.pipeline.message import Headers
from ccinspect.store.secret_names import is_secret_variable

REAL = "sk-ant-api03-Abc+/def=hunter22"


def never(text: str) -> bool:
    return False


@pytest.mark.parametrize(
    ("provider", "dialects", "environ", "set_", "removed"),
    [
        ("anthropic", (), {}, {"ANTHROPIC_API_KEY"}, ()),
        ("anthropic", (), {"ANTHROPIC_AUTH_TOKEN": "x"}, {"ANTHROPIC_AUTH_TOKEN"}, ()),
        ("anthropic", (), {"ANTHROPIC_API_KEY": ""}, {"ANTHROPIC_API_KEY"}, ()),
        (
            "openai",
            (),
            {"OPENAI_API_KEY": "x", "CODEX_API_KEY": "y", "ANTHROPIC_API_KEY": "z"},
            {"OPENAI_API_KEY", "CODEX_API_KEY"},
            (),
        ),
        ("work", ("anthropic",), {}, {"ANTHROPIC_API_KEY"}, ()),
        ("work", ("openai_chat", "openai_responses"), {}, {"OPENAI_API_KEY"}, ()),
        ("work", (), {}, {"OPENAI_API_KEY", "ANTHROPIC_API_KEY"}, ()),
        ("anthropic", ("anthropic",), {}, {"ANTHROPIC_API_KEY"}, ()),
        (
            "bedrock",
            (),
            {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_REGION": "z"},
            {"AWS_BEARER_TOKEN_BEDROCK"},
            ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        ),
    ],
)
def test_which_variables_get_the_sentinel(
    provider: str, dialects: tuple[str, ...], environ: dict[str, str], set_: set[str], removed: tuple[str, ...]
) -> None:
    made = keyless_environment(provider, environ, never, dialects=dialects)
    assert set(made.set) == set_
    assert made.removed == removed
    for value in made.set.values():
        found = find_sentinel(Headers([(b"x-api-key", value.encode())]))
        assert found is not None
        assert found.name == provider


FORMS: list[Callable[[str], str]] = [
    lambda key: key,
    lambda key: f"https://me:{key}@host/",
    lambda key: f"Bearer {key}",
    lambda key: quote(key, safe=""),
    lambda key: base64.b64encode(f"me:{key}".encode()).decode(),
    lambda key: base64.b64encode(key.encode()).decode(),
    lambda key: "Basic " + base64.urlsafe_b64encode(f"a:{key}".encode()).decode().rstrip("="),
    lambda key: '{"token": "' + key + '"}',
]


@pytest.mark.parametrize("form", FORMS)
def test_a_variable_with_the_real_key_in_it_goes(form: Callable[[str], str]) -> None:
    environ = {"PATH": "/usr/bin", "SOMETHING": form(REAL), "WORK_KEY": "the source"}
    salted = Fingerprint.of(REAL, os.urandom(16))
    for check in (holds(REAL), salted.is_in):
        made = keyless_environment("anthropic", environ, check, source_variables=("WORK_KEY", "NOT_SET"))
        assert made.removed == ("SOMETHING", "WORK_KEY")
        after = made.over(environ)
        assert after == {"PATH": "/usr/bin", "ANTHROPIC_API_KEY": "sk-ant-oat-ccinspect-anthropic"}


def test_the_real_key_in_a_variable_of_the_provider_is_replaced() -> None:
    environ = {"ANTHROPIC_API_KEY": REAL, "CLAUDE_API_KEY": REAL}
    after = keyless_environment("anthropic", environ, holds(REAL)).over(environ)
    assert set(after.values()) == {"sk-ant-oat-ccinspect-anthropic"}


@given(
    st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), min_size=8, max_size=60), st.text(), st.text()
)
def test_the_fingerprint_finds_what_the_secret_finds(secret: str, before: str, after: str) -> None:
    salted = Fingerprint.of(secret, b"0123456789abcdef")
    assert salted.is_in(before + secret + after)
    text = before + after
    if secret not in text and not holds(secret)(text):
        assert not salted.is_in(text)


def test_the_fingerprint_does_not_hold_the_secret() -> None:
    salted = Fingerprint.of(REAL, os.urandom(16))
    assert REAL not in repr(salted) + str(vars(salted) if hasattr(salted, "__dict__") else "")


def test_a_large_environment_takes_no_time() -> None:
    salted = Fingerprint.of(REAL, os.urandom(16))
    started = time.perf_counter()
    assert not salted.is_in("aB3+" * 32_000)
    assert time.perf_counter() - started < 5


def test_an_empty_secret_is_in_nothing() -> None:
    assert not holds("")("anything")
    assert not holds("a")("banana")


def test_a_name_that_cannot_be_one_is_refused() -> None:
    with pytest.raises(CredentialsError):
        keyless_environment("../x", {}, never)


def test_all_that_is_replaced_is_a_secret_to_the_store_too() -> None:
    assert [name for names in VARIABLES.values() for name in names if not is_secret_variable(name)] == []


def test_a_run_does_not_pay_for_it() -> None:
    heavy = ("pydantic", "yaml", "asyncio", "mitmproxy", "urllib.request")
    code = f"import sys, ccinspect.auth.keyless; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
