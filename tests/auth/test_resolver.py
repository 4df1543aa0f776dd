"""Many who want one credential: real commands, counted by what they write; time moves when a test says so."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from ccinspect.auth.credential import Credential
from ccinspect.auth.resolver import FAILURE_TTL, RENEW_INTERVAL, Credentials
from ccinspect.errors import CredentialsError
from tests.auth.support import Asked, auth, auth_of, token_server, tokens

SECRET = "sk-real-hunter22hunter22"


class Clock:
    def __init__(self) -> None:
        self.time = 1_000_000.0

    def __call__(self) -> float:
        return self.time


class Counted:
    """A command that adds a line to a file each time, and prints what a second file holds."""

    def __init__(self, directory: Path, extra: str = "") -> None:
        self.runs = directory / "runs"
        self.value = directory / "value"
        self.value.write_text(SECRET)
        self.command = f"echo x >> {self.runs}; {extra} cat {self.value}"

    @property
    def count(self) -> int:
        return len(self.runs.read_text().split()) if self.runs.exists() else 0


@pytest.fixture
def counted(tmp_path: Path) -> Counted:
    return Counted(tmp_path)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await scenario()

    asyncio.run(whole())


def credentials(command: str, clock: Clock | None = None, **settings: object) -> Credentials:
    work = auth_of(type="command", command=command, **settings)
    return Credentials({"work": work}, dict(os.environ), now=clock or time.time)


def test_a_credential_is_kept_for_its_time_to_live(counted: Counted, clock: Clock) -> None:
    async def scenario() -> None:
        of = credentials(counted.command, clock, ttl=100)
        for moment in (0, 50, 79):
            clock.time = 1_000_000 + moment
            assert (await of.resolve("work")).value == SECRET
        assert counted.count == 1
        clock.time = 1_000_100
        await of.resolve("work")
        assert counted.count == 2

    run(scenario)


def test_near_its_end_it_is_replaced_while_the_old_one_serves(tmp_path: Path, clock: Clock) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    counted = Counted(tmp_path, f"test $(wc -l < {tmp_path / 'runs'}) = 1 || cat {gate};")

    async def scenario() -> None:
        of = credentials(counted.command, clock, ttl=100)
        await of.resolve("work")
        counted.value.write_text("second")
        clock.time += 90
        # Nobody waits for the second run, which waits for us.
        assert [(await of.resolve("work")).value for _ in range(3)] == [SECRET] * 3
        await asyncio.to_thread(gate.write_text, "")
        clock.time += 20
        assert (await of.resolve("work")).value == "second"
        assert counted.count == 2

    run(scenario)


def test_who_comes_at_once_shares_one_resolution(counted: Counted) -> None:
    async def scenario() -> None:
        of = credentials(counted.command)
        values = await asyncio.gather(*(of.resolve("work") for _ in range(100)))
        assert {credential.value for credential in values} == {SECRET}
        assert counted.count == 1

    run(scenario)


def test_who_gives_up_does_not_end_it_for_the_others(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    counted = Counted(tmp_path, f"cat {gate};")

    async def scenario() -> None:
        of = credentials(counted.command)
        waiting = [asyncio.ensure_future(of.resolve("work")) for _ in range(3)]
        writer = await asyncio.to_thread(gate.open, "w")
        waiting[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting[0]
        writer.close()
        assert [(await task).value for task in waiting[1:]] == [SECRET] * 2
        assert counted.count == 1

    run(scenario)


def test_a_slow_source_stops_nobody_else(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)

    async def scenario() -> None:
        slow, quick = auth(f"cat {gate}"), auth("echo key")
        of = Credentials({"slow": slow, "quick": quick})
        waiting = asyncio.ensure_future(of.resolve("slow"))
        writer = await asyncio.to_thread(gate.open, "w")
        worst = 0.0
        for _ in range(20):
            started = time.perf_counter()
            await asyncio.sleep(0)
            worst = max(worst, time.perf_counter() - started)
        assert (await of.resolve("quick")).value == "key"
        assert not waiting.done()
        assert worst < 0.1
        writer.write(SECRET)
        writer.close()
        assert (await waiting).value == SECRET

    run(scenario)


def test_a_failure_is_remembered_for_a_moment(tmp_path: Path, clock: Clock) -> None:
    counted = Counted(tmp_path, "exit 3;")

    async def scenario() -> None:
        of = credentials(counted.command, clock)
        for _ in range(100):
            with pytest.raises(CredentialsError, match="exit code 3"):
                await of.resolve("work")
        assert counted.count == 1
        clock.time += FAILURE_TTL
        with pytest.raises(CredentialsError):
            await of.resolve("work")
        assert counted.count == 2

    run(scenario)


def test_a_failed_replacement_leaves_the_old_one_until_its_end(counted: Counted, clock: Clock) -> None:
    async def scenario() -> None:
        of = credentials(counted.command, clock, ttl=100)
        await of.resolve("work")
        counted.value.unlink()
        clock.time += 90
        assert (await of.resolve("work")).value == SECRET
        clock.time += 20
        with pytest.raises(CredentialsError, match="exit code 1"):
            await of.resolve("work")

    run(scenario)


def test_without_a_time_to_live_each_request_asks(counted: Counted, clock: Clock) -> None:
    async def scenario() -> None:
        of = credentials(counted.command, clock, ttl=0)
        await of.resolve("work")
        await of.resolve("work")
        assert counted.count == 2

    run(scenario)


def test_a_source_that_takes_too_long_is_told_and_ended() -> None:
    async def scenario() -> None:
        of = credentials("sleep 60", timeout=0.1)
        with pytest.raises(CredentialsError) as raised:
            await of.resolve("work")
        assert "provider `work` (command)" in raised.value.message
        assert "did not answer within 0.1 s; the request was not sent" in raised.value.message
        assert "`timeout`" in raised.value.hint

    run(scenario)


@pytest.mark.parametrize(
    ("command", "says"),
    [("true", "the value is empty"), ("echo a; echo b", "more than one line"), ("printf 'k\\303\\251y'", "no header")],
)
def test_what_no_header_can_hold_is_refused(command: str, says: str) -> None:
    async def scenario() -> None:
        with pytest.raises(CredentialsError, match=says):
            await credentials(command).resolve("work")

    run(scenario)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "names no provider"),
        ("wrok", "the sentinel key names `wrok`, and no provider of that name has `auth`"),
        ("\x1b[31m", "`?[31m`"),
        ("x" * 500, "x" * 64),
    ],
)
def test_an_unknown_provider_is_told_clearly(name: str, says: str) -> None:
    async def scenario() -> None:
        with pytest.raises(CredentialsError) as raised:
            await credentials("echo x").resolve(name)
        assert says in raised.value.message
        assert len(raised.value.message) < 250
        assert "there are: work" in raised.value.hint

    run(scenario)


def test_renewing_gives_another_one_or_none(counted: Counted, clock: Clock) -> None:
    async def scenario() -> None:
        of = credentials(counted.command, clock)
        old = await of.resolve("work")
        assert await of.renew("work", old) is None
        assert counted.count == 2
        # A provider that answers 401 to everything does not make the command run for everything.
        assert await of.renew("work", old) is None
        assert counted.count == 2
        counted.value.write_text("second")
        clock.time += RENEW_INTERVAL
        new = await of.renew("work", old)
        assert new is not None
        assert new.value == (await of.resolve("work")).value == "second"
        # Who still has the first one is given what is there.
        assert (await of.renew("work", old)) == new
        assert counted.count == 3

    run(scenario)


def test_many_refusals_renew_once(counted: Counted) -> None:
    async def scenario() -> None:
        of = credentials(counted.command)
        old = await of.resolve("work")
        counted.value.write_text("second")
        renewed = await asyncio.gather(*(of.renew("work", old) for _ in range(20)))
        assert {credential.value for credential in renewed if credential} == {"second"}
        assert None not in renewed
        assert counted.count == 2

    run(scenario)


def test_a_source_that_fails_leaves_the_401_standing(
    counted: Counted, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        of = credentials(counted.command, clock)
        old = await of.resolve("work")
        counted.value.unlink()
        assert await of.renew("work", old) is None
        assert (await of.resolve("work")) == old

    run(scenario)
    assert "provider `work` refused its credential, and the credential" in caplog.text


def test_an_oauth_token_that_is_refused_is_renewed(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text(json.dumps({"access_token": "a1", "refresh_token": "r1", "expires_at": time.time() + 3600}))

    async def scenario(url: str) -> None:
        of = Credentials({"work": auth_of(type="oauth2", token_file=path, token_url=url)})
        old = await of.resolve("work")
        new = await of.renew("work", old)
        assert (old.value, new and new.value) == ("a1", "a2")
        assert (await of.resolve("work")).value == "a2"

    with token_server(lambda asked: tokens("a2", expires_in=3600)) as server:
        run(lambda: scenario(server.url))


def test_nobody_waits_for_a_token_that_is_renewed_before_its_end(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text(json.dumps({"access_token": "a1", "refresh_token": "r1", "expires_at": time.time() + 600}))
    clock, gate = Clock(), threading.Event()
    clock.time = time.time()

    def answer(asked: Asked) -> tuple[int, dict[str, str], bytes]:
        assert gate.wait(30)
        return tokens("a2", expires_in=3600)

    async def scenario(url: str) -> None:
        settings = auth_of(type="oauth2", token_file=path, token_url=url, refresh_before=300)
        of = Credentials({"work": settings}, now=clock)
        assert (await of.resolve("work")).value == "a1"
        # As it would read five minutes later.
        clock.time += 310
        path.write_text(json.dumps({"access_token": "a1", "refresh_token": "r1", "expires_at": time.time() + 290}))
        assert [(await of.resolve("work")).value for _ in range(3)] == ["a1"] * 3
        gate.set()
        clock.time += 290
        assert (await of.resolve("work")).value == "a2"

    with token_server(answer) as server:
        run(lambda: scenario(server.url))
    assert len(server.asked) == 1


def test_closing_ends_what_still_runs(tmp_path: Path) -> None:
    started = tmp_path / "started"
    os.mkfifo(started)

    async def scenario() -> None:
        of = credentials(f"echo $$ > {started}; sleep 60")
        waiting = asyncio.ensure_future(of.resolve("work"))
        pid = int(await asyncio.to_thread(started.read_text))
        await of.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    run(scenario)


def test_the_secret_is_never_shown(counted: Counted, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def scenario() -> None:
        of = credentials(counted.command)
        credential = await of.resolve("work")
        assert SECRET not in repr(credential) + str(credential) + f"{credential}" + str(credential.as_record())
        bad = credentials(f"echo {SECRET}; echo failed with {SECRET} >&2; exit 1")
        with pytest.raises(CredentialsError) as raised:
            await bad.resolve("work")
        assert raised.value.__cause__ is None
        assert SECRET not in raised.value.message + raised.value.hint + repr(raised.value)
        assert SECRET not in repr(vars(of)["_entries"])

    run(scenario)
    assert SECRET not in caplog.text


def test_signed_requests_are_known_before() -> None:
    of = Credentials({"work": auth("echo x"), "cloud": auth("{aws: }")}, {})
    assert of.signs("cloud")
    assert not of.signs("work")
    assert not of.signs("nobody")
    assert "work" in of
    assert of.names() == ["cloud", "work"]


@pytest.mark.parametrize(
    ("provider", "settings", "value", "place"),
    [
        ("work", {}, "key", ("authorization", "Bearer ")),
        ("work", {"header": "X-Custom"}, "key", ("x-custom", "")),
        ("work", {"header": "X-Custom", "prefix": "Key "}, "key", ("x-custom", "Key ")),
        ("work", {"prefix": "Token "}, "key", ("authorization", "Token ")),
        ("work", {"header": "Authorization"}, "key", ("authorization", "Bearer ")),
        ("work", {"header": "Authorization"}, "Basic dTpw", ("authorization", "")),
        ("work", {"header": "Authorization", "prefix": ""}, "key", ("authorization", "")),
        ("openai", {}, "sk-proj", ("authorization", "Bearer ")),
        ("anthropic", {}, "sk-ant-api03-x", ("x-api-key", "")),
        ("anthropic", {}, "sk-ant-oat01-x", ("authorization", "Bearer ")),
        ("anthropic", {"header": "x-goog-api-key"}, "sk-ant-oat01-x", ("x-goog-api-key", "")),
        ("gemini", {}, "AIzaX", ("x-goog-api-key", "")),
        ("gemini", {}, "ya29.x", ("authorization", "Bearer ")),
        ("azure-openai", {}, "0123", ("api-key", "")),
    ],
)
def test_where_it_goes(provider: str, settings: dict[str, str], value: str, place: tuple[str, str]) -> None:
    async def scenario() -> None:
        of = Credentials({provider: auth_of(type="env", env="KEY", **settings)}, {"KEY": value})
        got: Credential = await of.resolve(provider)
        assert (got.header, got.prefix) == place

    run(scenario)
