"""The hook `inject_auth`: a credential in the place of a sentinel, and nowhere else."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from ccinspect.auth.resolver import Credentials
from ccinspect.auth.settings import AuthSettings
from ccinspect.errors import CredentialsError
from ccinspect.hooks.inject_auth import CredentialAccess, inject_auth
from ccinspect.pipeline.message import Facts, Headers, Outgoing
from ccinspect.pipeline.overrides import parse_overrides
from ccinspect.pipeline.pipeline import Pipeline
from ccinspect.pipeline.services import Services
from tests.hooks.through import run_hook
from tests.pipeline.running import FACTS, request, states, steps

SECRET = "sk-the-real-one"
SENTINEL = "sk-ant-oat-ccinspect-anthropic"


def access(source: object = None, refusal: str | None = None) -> CredentialAccess:
    settings = TypeAdapter(AuthSettings).validate_python({"env": "THE_KEY"} if source is None else source)

    def belongs(name: str, outgoing: Outgoing) -> bool:
        return (name, outgoing.host) == ("anthropic", "api.anthropic.com")

    def refused(facts: Facts, headers: Headers) -> str | None:
        return refusal

    return CredentialAccess(
        Credentials({"anthropic": settings}, {"THE_KEY": SECRET, "PATH": "/usr/bin:/bin"}), refused, belongs
    )


@pytest.mark.parametrize(
    "headers",
    [{"x_api_key": SENTINEL}, {"Authorization": f"Bearer {SENTINEL}"}, {"X_Goog_Api_Key": SENTINEL.upper()}],
)
def test_a_sentinel_becomes_the_credential(headers: dict[str, str]) -> None:
    result = run_hook(inject_auth, request(**headers), access())
    assert states(result) == {"inject_auth": "ran"}
    values = [value.decode() for _, value in result.outgoing.headers.fields]
    assert any(SECRET in value for value in values)
    assert not any("ccinspect" in value for value in values)
    assert SECRET not in str(result.as_record())
    assert SECRET not in repr(result)


@pytest.mark.parametrize(
    ("outgoing", "refusal", "told"),
    [
        (request(x_api_key="sk-ant-oat-ccinspect-nobody"), None, "`nobody`"),
        (request(x_api_key="sk-ant-oat-ccinspect-"), None, "names no provider"),
        (request(x_api_key=SENTINEL), "it comes from a web page", "it comes from a web page"),
        (
            Outgoing("POST", "https", "evil.example", 443, "/", Headers([(b"x-api-key", SENTINEL.encode())])),
            None,
            "evil",
        ),
    ],
)
def test_whoever_may_not_have_it_does_not_get_it(outgoing: Outgoing, refusal: str | None, told: str) -> None:
    with pytest.raises(CredentialsError) as caught:
        run_hook(inject_auth, outgoing, access(refusal=refusal))
    assert told in caught.value.message
    assert SECRET not in f"{caught.value.message} {caught.value.hint}"


def test_a_source_that_fails_is_fatal() -> None:
    with pytest.raises(CredentialsError, match="cannot be had"):
        run_hook(inject_auth, request(x_api_key=SENTINEL), access({"command": "exit 3"}))


def test_a_request_without_a_sentinel_is_left_alone() -> None:
    outgoing = request(x_api_key="sk-ant-my-own")
    result = run_hook(inject_auth, outgoing)
    assert states(result) == {"inject_auth": "ran"}
    assert result.outgoing is outgoing


@pytest.mark.parametrize(
    ("host", "refusal", "given"),
    [("api.anthropic.com", None, True), ("evil.example", None, False), ("api.anthropic.com", "a web page", False)],
)
def test_a_provider_may_be_given_its_credential_always(host: str, refusal: str | None, given: bool) -> None:
    outgoing = Outgoing("POST", "https", host, 443, "/v1/messages", Headers([(b"x-api-key", b"mine")]))
    result = run_hook(inject_auth, outgoing, access(refusal=refusal), params={"provider": "anthropic"})
    assert (SECRET in str([value for _, value in result.outgoing.headers.fields])) is given
    assert result.changed is given


def test_a_request_cannot_skip_it() -> None:
    result = run_hook(inject_auth, request(x_api_key=SENTINEL), access(), overrides=parse_overrides("-inject_auth"))
    assert states(result) == {"inject_auth": "ran"}


def test_nobody_else_waits_for_a_slow_source(tmp_path: Path) -> None:
    """A command that says nothing until it is told to, and requests without a sentinel beside it."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    slow = access({"command": f"cat {gate}"})
    pipeline = Pipeline({"outbound": steps([inject_auth], timeout=30)}, services=Services(slow))

    async def beside() -> None:
        waiting = asyncio.ensure_future(pipeline.run("outbound", request(x_api_key=SENTINEL), FACTS))
        # Opened once the command has opened it, too.
        with await asyncio.to_thread(gate.open, "w") as writer:
            for _ in range(20):
                assert states(await pipeline.run("outbound", request(), FACTS)) == {"inject_auth": "ran"}
            assert not waiting.done()
            writer.write(SECRET)
        assert SECRET in str((await waiting).outgoing.headers.fields)

    asyncio.run(beside())
    pipeline.close()
