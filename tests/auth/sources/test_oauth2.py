"""Tokens in a real file, renewed at a real server on the loopback."""

from __future__ import annotations

import asyncio
import base64
import fcntl
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ccinspect.auth.credential import Fetched, SourceFailed
from ccinspect.auth.sources.oauth2 import OAuth2Source
from ccinspect.auth.sources.token_file import read_time, write_time
from tests.auth.support import Asked, TokenServer, auth_of, token_server, tokens

HOUR = 3600


def source(path: Path, server: TokenServer, **more: Any) -> OAuth2Source:
    settings = auth_of(type="oauth2", token_file=path, token_url=server.url, **more)
    assert settings.type == "oauth2"
    return OAuth2Source(settings)


def fetch(of: OAuth2Source, refused: str | None = None) -> Fetched:
    return asyncio.run(of.fetch(refused))


def write(path: Path, access: str = "old", refresh: str = "r1", ends_in: float = HOUR, **more: Any) -> None:
    values = {"access_token": access, "refresh_token": refresh, "expires_at": int(time.time() + ends_in)}
    path.write_text(json.dumps(values | more, indent=2))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


def never(asked: Asked) -> tuple[int, dict[str, str], bytes]:
    raise AssertionError("nobody should have asked")


def test_a_token_that_is_good_is_used_as_it_is(path: Path) -> None:
    write(path)
    with token_server(never) as server:
        got = fetch(source(path, server))
    assert got.value == "old"
    assert got.expires == pytest.approx(time.time() + HOUR, abs=5)
    assert got.keep_until == pytest.approx(time.time() + HOUR - 60, abs=5)
    assert server.asked == []


def test_one_that_ends_soon_is_renewed_and_written_back(path: Path) -> None:
    write(path, ends_in=30)
    path.chmod(0o644)
    with token_server(lambda asked: tokens("new", refresh_token="r2", expires_in=HOUR)) as server:
        of = source(path, server, client_id="me", scope="a b", parameters={"audience": "x"})
        assert fetch(of).value == "new"
        assert fetch(of).value == "new"
    [asked] = server.asked
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert asked.form == {
        "grant_type": "refresh_token",
        "refresh_token": "r1",
        "client_id": "me",
        "scope": "a b",
        "audience": "x",
    }
    written = json.loads(path.read_text())
    assert written["access_token"] == "new"
    assert written["refresh_token"] == "r2"
    assert written["expires_at"] == pytest.approx(time.time() + HOUR, abs=5)
    assert path.stat().st_mode & 0o777 == 0o600


def test_everything_else_in_the_file_keeps_its_bytes(path: Path) -> None:
    before = """{ "b" : 1.50, "login": {"refreshToken":"r1",   "accessToken": "old","expiresAt": 1700000000000,
  "scopes": ["a" ,"b"]},\t"name": "\\u00e9", "big": 123456789012345678901234567890}\n"""
    path.write_text(before)
    with token_server(lambda asked: tokens("new", expires_in="3600")) as server:
        of = source(
            path,
            server,
            access_token_field="login.accessToken",
            refresh_token_field="login.refreshToken",
            expires_field="login.expiresAt",
        )
        fetch(of)
    after = path.read_text()
    expires = json.loads(after)["login"]["expiresAt"]
    assert expires / 1000 == pytest.approx(time.time() + HOUR, abs=5)
    assert after == before.replace('"old"', '"new"').replace("1700000000000", str(expires))


def test_what_the_file_did_not_have_is_added(path: Path) -> None:
    path.write_text('{"refresh_token": "r1"}')
    with token_server(lambda asked: tokens("new", expires_in=60)) as server:
        fetch(source(path, server, access_token_field="login.access", expires_field="login.end"))
    written = json.loads(path.read_text())
    assert written["login"]["access"] == "new"
    assert written["login"]["end"] == pytest.approx(time.time() + 60, abs=5)


def test_a_link_stays_a_link(path: Path, tmp_path: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    real = tmp_path / "dotfiles" / "tokens.json"
    write(real, ends_in=0)
    path.symlink_to(real)
    with token_server(lambda asked: tokens("new")) as server:
        fetch(source(path, server))
    assert path.is_symlink()
    assert json.loads(real.read_text())["access_token"] == "new"
    assert {entry.name for entry in real.parent.iterdir()} == {"tokens.json", ".tokens.json.ccinspect-lock"}


def test_a_client_shows_its_secret_as_basic(path: Path) -> None:
    write(path, ends_in=0, id="me&you", secret="s3:cr t")
    with token_server(lambda asked: tokens("new")) as server:
        fetch(source(path, server, client_auth="basic", client_id_field="id", client_secret_field="secret"))
    [asked] = server.asked
    expected = base64.b64encode(b"me%26you:s3%3Acr+t").decode()
    assert asked.headers["authorization"] == f"Basic {expected}"
    assert "client_secret" not in asked.form


def test_a_client_shows_its_secret_in_a_json_body(path: Path) -> None:
    write(path, ends_in=0)
    with token_server(lambda asked: tokens("new")) as server:
        fetch(source(path, server, encoding="json", client_id="me", client_secret="hush"))
    assert json.loads(server.asked[0].body) == {
        "grant_type": "refresh_token",
        "refresh_token": "r1",
        "client_id": "me",
        "client_secret": "hush",
    }


def test_an_answer_as_a_form_is_read_too(path: Path) -> None:
    write(path, ends_in=0)
    form = (200, {"Content-Type": "application/x-www-form-urlencoded"}, b"access_token=new&expires_in=99")
    with token_server(lambda asked: form) as server:
        assert fetch(source(path, server)).value == "new"


def test_a_refused_token_is_renewed_before_its_end(path: Path) -> None:
    write(path)
    with token_server(lambda asked: tokens("new", expires_in=HOUR)) as server:
        assert fetch(source(path, server), refused="old").value == "new"


def test_a_token_that_somebody_else_renewed_is_taken_from_the_file(path: Path) -> None:
    write(path)
    with token_server(never) as server:
        of = source(path, server)
        assert fetch(of).value == "old"
        write(path, access="theirs", refresh="r2")
        assert fetch(of, refused="old").value == "theirs"


def test_the_end_of_a_jwt_counts_where_the_file_says_none(path: Path) -> None:
    def jwt(ends_in: float) -> str:
        claims = base64.urlsafe_b64encode(json.dumps({"exp": int(time.time() + ends_in)}).encode()).decode().rstrip("=")
        return f"e30.{claims}.c2ln"

    path.write_text(json.dumps({"access_token": jwt(HOUR), "refresh_token": "r1"}))
    with token_server(lambda asked: tokens(jwt(2 * HOUR))) as server:
        of = source(path, server)
        assert fetch(of).expires == pytest.approx(time.time() + HOUR, abs=5)
        path.write_text(json.dumps({"access_token": jwt(10), "refresh_token": "r1"}))
        assert fetch(of).expires == pytest.approx(time.time() + 2 * HOUR, abs=5)
    assert len(server.asked) == 1
    assert "expires_at" not in json.loads(path.read_text())


def test_a_token_with_a_short_life_is_not_renewed_each_time(path: Path) -> None:
    write(path, ends_in=0)
    with token_server(lambda asked: tokens("new", expires_in=30)) as server:
        of = source(path, server)
        got = fetch(of)
        assert got.keep_until == pytest.approx(time.time() + 15, abs=5)
        fetch(of)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("answer", "says", "hint"),
    [
        (
            (400, b'{"error": "invalid_grant", "error_description": "r1 is spent"}'),
            "400, invalid_grant",
            "log in again",
        ),
        ((401, b'{"error": "invalid_client"}'), "401, invalid_client", "client_id"),
        ((500, b"<h1>r1 broke us</h1>"), "answered 500", "try again later"),
        ((404, b"none"), "answered 404", "token_url"),
        ((200, b"<html>log in</html>"), "something that is not JSON", "token_url"),
        ((200, b'{"token": "r1"}'), "without an access token", "token_url"),
        ((400, b'{"error": "secret r1 inside"}'), "answered 400", "token_url"),
    ],
)
def test_a_refusal_is_told_without_tokens(path: Path, answer: tuple[int, bytes], says: str, hint: str) -> None:
    write(path, ends_in=-5)
    before = path.read_bytes()
    with token_server(lambda asked: (answer[0], {}, answer[1])) as server, pytest.raises(SourceFailed) as raised:
        fetch(source(path, server))
    assert says in raised.value.reason
    assert hint in raised.value.hint
    assert "r1" not in raised.value.reason + raised.value.hint
    assert path.read_bytes() == before
    assert len(list(path.parent.iterdir())) == 2, "the tokens and the lock"


def test_a_redirect_is_not_followed(path: Path) -> None:
    write(path, ends_in=-5)
    with token_server(lambda asked: tokens("stolen")) as thief:
        answer = (307, {"Location": thief.url}, b"")
        with token_server(lambda asked: answer) as server, pytest.raises(SourceFailed, match="answered 307"):
            fetch(source(path, server))
    assert thief.asked == []


def test_no_proxy_of_the_environment_is_used(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, ends_in=-5)
    with token_server(never) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        with token_server(lambda asked: tokens("new")) as server:
            assert fetch(source(path, server)).value == "new"


def test_a_server_that_is_away_leaves_a_token_that_is_still_good(path: Path) -> None:
    write(path, ends_in=30)
    with token_server(never) as server:
        pass
    got = fetch(source(path, server))
    assert got.value == "old"
    assert got.keep_until == pytest.approx(time.time() + 10, abs=5)
    with pytest.raises(SourceFailed, match="cannot be reached"):
        fetch(source(path, server), refused="old")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "not a JSON object"),
        ("[1]", "not a JSON object"),
        ("{}", "no refresh token"),
        ('{"access_token": 5, "refresh_token": ["x"]}', "no refresh token"),
    ],
)
def test_a_file_without_tokens(path: Path, content: str, says: str) -> None:
    path.write_text(content)
    with token_server(never) as server, pytest.raises(SourceFailed, match=says):
        fetch(source(path, server))


def test_tokens_that_cannot_be_written_are_kept_until_the_end(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(path, ends_in=0)
    rounds: list[str] = []

    def answer(asked: Asked) -> tuple[int, dict[str, str], bytes]:
        rounds.append(asked.form["refresh_token"])
        # The place of the file is taken while the server thinks.
        if len(rounds) == 1:
            path.rename(path.with_name("moved"))
            path.mkdir()
            (path / "x").touch()
        return tokens(f"new{len(rounds)}", refresh_token=f"r{len(rounds) + 1}", expires_in=HOUR)

    with token_server(answer) as server:
        of = source(path, server)
        assert fetch(of).value == "new1"
        (path / "x").unlink()
        path.rmdir()
        path.with_name("moved").rename(path)
        assert fetch(of).value == "new1"
        # The spent token is not spent again.
        assert fetch(of, refused="new1").value == "new2"
    assert rounds == ["r1", "r2"]
    assert json.loads(path.read_text())["refresh_token"] == "r3"
    assert "cannot be written" in caplog.text
    assert "r2" not in caplog.text


def test_a_directory_that_cannot_be_written_is_told_before_the_token_is_spent(path: Path) -> None:
    write(path, ends_in=-5)
    # A file in the place of the lock: nothing else refuses root.
    path.with_name(f".{path.name}.ccinspect-lock").symlink_to("nowhere")
    with token_server(never) as server, pytest.raises(SourceFailed, match="cannot be written"):
        fetch(source(path, server))
    assert server.asked == []


def test_two_processes_spend_a_refresh_token_once(path: Path) -> None:
    write(path, ends_in=0)
    spent: list[str] = []

    def answer(asked: Asked) -> tuple[int, dict[str, str], bytes]:
        spent.append(asked.form["refresh_token"])
        return tokens("new", refresh_token="r2", expires_in=HOUR)

    code = (
        "import asyncio, sys\n"
        "from tests.auth.support import auth_of\n"
        "from ccinspect.auth.sources.oauth2 import OAuth2Source\n"
        "of = OAuth2Source(auth_of(type='oauth2', token_file=sys.argv[1], token_url=sys.argv[2]))\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "print(asyncio.run(of.fetch(None)).value)\n"
    )
    root = str(Path(__file__).parents[3])
    with token_server(answer) as server:
        processes = [
            subprocess.Popen(
                [sys.executable, "-P", "-c", code, str(path), server.url],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=dict(os.environ, PYTHONPATH=root),
            )
            for _ in range(2)
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        assert [process.communicate(timeout=60)[0].strip() for process in processes] == ["new", "new"]
    assert spent == ["r1"]


def test_a_lock_that_is_held_for_too_long_is_told(path: Path) -> None:
    write(path, ends_in=-5)
    with open(path.with_name(f".{path.name}.ccinspect-lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with token_server(never) as server, pytest.raises(SourceFailed, match="has held the lock"):
            fetch(source(path, server, timeout=0.2))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (1_700_000_000, 1_700_000_000.0),
        (1_700_000_000_123, 1_700_000_000.123),
        ("1700000000", 1_700_000_000.0),
        ("2023-11-14T22:13:20Z", 1_700_000_000.0),
        ("2023-11-14T22:13:20.500+00:00", 1_700_000_000.5),
        ("2023-11-14T22:13:20", 1_700_000_000.0),
        ("tomorrow", None),
        ("nan", None),
        ("inf", None),
        (True, None),
        (None, None),
        ({}, None),
        (-1, None),
        (10**400, None),
    ],
)
def test_times_are_read_in_all_their_spellings(value: Any, seconds: float | None) -> None:
    assert read_time(value) == seconds


@pytest.mark.parametrize(
    ("like", "text"),
    [
        (None, 1_800_000_000),
        (1_700_000_000, 1_800_000_000),
        (1_700_000_000_000, 1_800_000_000_250),
        ("1700000000", "1800000000"),
        ("2023-11-14T22:13:20Z", "2027-01-15T08:00:00Z"),
        ("2023-11-14T22:13:20.000Z", "2027-01-15T08:00:00.250Z"),
        ("2023-11-14T22:13:20+00:00", "2027-01-15T08:00:00+00:00"),
    ],
)
def test_times_are_written_in_the_spelling_that_stood_there(like: Any, text: Any) -> None:
    assert write_time(1_800_000_000.25, like) == text
