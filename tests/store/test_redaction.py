from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from ccinspect.store import redaction
from ccinspect.store.options import StoreOptions
from ccinspect.store.query import StoreReader
from ccinspect.store.redaction import Redactor
from ccinspect.store.selection import Selection
from tests.store.records import ended, flow, record, run, started

SECRET = "hUnter2+/hUnter2=hUnter2abcd"
LEFT = Redactor(b"k" * 32).secret(SECRET)
REDACTOR = Redactor(b"k" * 32)
WORD = SECRET.replace("/", "_").replace("+", "_").replace("=", "_")
"""A secret without characters that part words or URLs."""


def test_what_is_left_of_a_secret() -> None:
    assert LEFT.startswith("REDACTED~abcd~")
    assert Redactor(b"k" * 32).secret(SECRET) == LEFT, "the same key is seen to be the same"
    assert Redactor(b"j" * 32).secret(SECRET) != LEFT, "in another store it cannot be compared"
    assert REDACTOR.secret(LEFT) == LEFT
    assert REDACTOR.secret("short-secret").startswith("REDACTED~~"), "a short one shows nothing of itself"
    assert REDACTOR.secret("") == ""


@pytest.mark.parametrize(
    ("name", "value", "left"),
    [
        ("Authorization", f"Bearer {SECRET}", f"Bearer {LEFT}"),
        ("AUTHORIZATION", f"  bearer   {SECRET} ", f"bearer {LEFT}"),
        ("authorization", SECRET, LEFT),
        ("authorization", f"Klaviyo-API-Key {SECRET}", f"Klaviyo-API-Key {LEFT}"),
        ("Proxy-Authorization", f"Basic {SECRET}", f"Basic {LEFT}"),
        ("x-api-key", SECRET, LEFT),
        ("X-Goog-Api-Key", SECRET, LEFT),
        ("api-key", SECRET, LEFT),
        ("x-amz-security-token", SECRET, LEFT),
        ("X-Auth-Token", SECRET, LEFT),
        ("x-company-secret", SECRET, LEFT),
        ("X-MyTool-Api-Key", SECRET, LEFT),
        ("PRIVATE-TOKEN", SECRET, LEFT),
        ("Ocp-Apim-Subscription-Key", SECRET, LEFT),
        ("cookie", f"a={SECRET}; b={SECRET}", f"a={LEFT}; b={LEFT}"),
        ("Set-Cookie", f"sid={SECRET}; Path=/; HttpOnly", f"sid={LEFT}; Path=/; HttpOnly"),
        ("Referer", f"https://h/p?a=1&access_token={SECRET}#x", f"https://h/p?a=1&access_token={LEFT}#x"),
        ("Location", f"https://me:{WORD}@h/", f"https://me:{REDACTOR.secret(WORD)}@h/"),
        ("Location", f"/callback?code={SECRET}&error=0", f"/callback?code={LEFT}&error=0"),
        ("Link", f'<https://h/?token={SECRET}>; rel="next"', f'<https://h/?token={LEFT}>; rel="next"'),
        ("x-forwarded-url", f"https%3A%2F%2Fh%3Fkey%3D{SECRET}%26b%3D1", f"https%3A%2F%2Fh%3Fkey%3D{LEFT}%26b%3D1"),
        ("x-config", f'a=1; token="{SECRET}"', f'a=1; token="{LEFT}"'),
    ],
)
def test_headers(name: str, value: str, left: str) -> None:
    assert REDACTOR.header(name, value) == left


@pytest.mark.parametrize("name", ["sec-websocket-protocol", "x-note", "user-agent"])
def test_keys_known_by_their_form_are_found_in_any_header(name: str) -> None:
    key = "sk-ant-api03-abcdefghijklmnopqrstuvwxyz"
    assert key not in REDACTOR.header(name, f"realtime, openai-insecure-api-key.{key}, v1")
    assert REDACTOR.header(name, "realtime, openai-beta.realtime-v1") == "realtime, openai-beta.realtime-v1"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("anthropic-ratelimit-tokens-remaining", "39000"),
        ("x-ratelimit-limit-tokens", "40000"),
        ("anthropic-ratelimit-input-tokens-reset", "2026-01-01T00:00:00Z"),
        ("x-token-count", "17"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("WWW-Authenticate", 'Bearer realm="api", error="invalid_token"'),
        ("Idempotency-Key", "stainless-node-retry-8f9d"),
        ("x-cache-key", "/index.html"),
        ("x-request-id", "req_011CabcdefGHIJKL"),
        ("x-claude-code-session-id", "0b9e7c5e-93f8-4a5e-9c2f-5b1d2f3a4c5d"),
        ("openai-organization", "user-abcdefghijkl"),
        ("access-control-allow-headers", "authorization, x-api-key"),
        ("strict-transport-security", "max-age=31536000; includeSubDomains"),
        ("content-type", "multipart/form-data; boundary=----abc"),
        ("user-agent", "claude-cli/2.0.0 (external, cli)"),
        ("etag", 'W/"abc-123"'),
        ("accept", "text/html;q=0.9,*/*;q=0.8"),
    ],
)
def test_what_is_no_secret_stays(name: str, value: str) -> None:
    assert REDACTOR.header(name, value) == value


@pytest.mark.parametrize(
    ("path", "left"),
    [
        (f"/v1beta/models?key={SECRET}&alt=sse", f"/v1beta/models?key={LEFT}&alt=sse"),
        (f"/x?api%5Fkey={SECRET}", f"/x?api%5Fkey={LEFT}"),
        (f"/x?API-KEY={SECRET}", f"/x?API-KEY={LEFT}"),
        (f"/x?accessToken={SECRET}", f"/x?accessToken={LEFT}"),
        (f"/x?sv=1&sig={SECRET}", f"/x?sv=1&sig={LEFT}"),
        (f"/x?X-Amz-Signature={SECRET}&X-Amz-Date=1", f"/x?X-Amz-Signature={LEFT}&X-Amz-Date=1"),
        (f"/x?next=/y?token={SECRET}", f"/x?next=/y?token={LEFT}"),
        (f"/x;token={SECRET}/y", f"/x;token={Redactor(b'k' * 32).secret(SECRET + '/y')}"),
        (f"http://u:{SECRET.replace('/', '.')}@h/x", None),
        ("/x?pageToken=CAUQAAabcdefghijklmnop&max_tokens=5&code=404", "same"),
        ("/v1/messages/count_tokens?beta=true", "same"),
        ("/search?q=what+is+a+token&keyboard=us", "same"),
    ],
)
def test_urls(path: str, left: str | None) -> None:
    clean = REDACTOR.url(path)
    if left is None:
        assert SECRET.replace("/", ".") not in clean
    else:
        assert clean == (path if left == "same" else left)


@pytest.mark.parametrize(
    "words",
    [
        ["agent", "--api-key", WORD, "go"],
        ["agent", f"--api-key={WORD}"],
        ["agent", "--openai-api-key", WORD],
        ["agent", "--token", WORD],
        ["agent", "-password", WORD],
        ["env", f"OPENAI_API_KEY={WORD}", "agent"],
        ["env", f"GH_PAT={WORD}", f"DB_PASS={WORD}", "agent"],
        ["sh", "-c", f'export FOO_TOKEN="{WORD}"; agent'],
        ["sh", "-c", f"curl -H 'Authorization: Bearer {WORD}' -H 'X-Api-Key: {WORD}' https://h"],
        ["curl", "-H", f"x-api-key:{WORD}", "https://h"],
        ["curl", "-H", f"Authorization: Basic {WORD}"],
        ["curl", f"--header=x-api-key: {WORD}"],
        ["curl", "-H", f"Cookie: a={WORD}; b={WORD}"],
        ["curl", "-b", f"sid={WORD}"],
        ["curl", "-u", f"me:{WORD}", "https://h"],
        ["curl", f"-ume:{WORD}", "https://h"],
        ["curl", "-sSu", f"me:{WORD}", "https://h"],
        ["sh", "-c", f"curl -sSu me:{WORD} https://h"],
        ["curl", f"--user=me:{WORD}", "https://h"],
        ["sh", "-c", f"curl -u me:{WORD} https://h"],
        ["sh", "-c", f"curl --proxy-user 'me:{WORD}' https://h"],
        ["git", "clone", f"https://oauth2:{WORD}@git.example.com/x"],
        ["git", "clone", f"https://{WORD}@git.example.com/x"],
        ["agent", "--settings", f'{{"env":{{"apiKey": "{WORD}"}}}}'],
        ["agent", f"sk-ant-{WORD}"],
        ["agent", "--url", f"https://h/?key={WORD}"],
    ],
)
def test_command_lines(words: list[str]) -> None:
    clean = REDACTOR.command(words)
    assert WORD not in " ".join(clean)
    assert "REDACTED~" in " ".join(clean)
    assert len(clean) == len(words)
    # The process that opened a connection, and those that started it.
    opener = {"pid": 2, "argv": words, "parents": [{"pid": 1, "argv": words}]}
    assert REDACTOR.flow({"process": opener})["process"] == {
        "pid": 2,
        "argv": clean,
        "parents": [{"pid": 1, "argv": clean}],
    }


@pytest.mark.parametrize(
    "words",
    [
        ["claude", "-p", "explain how the tokens of this API key are counted"],
        ["agent", "--max-tokens", "4096", "--model", "claude-opus-4"],
        ["agent", "--api-key", "--verbose"],
        ["agent", "--key-file", "/etc/key.pem"],
        ["python", "-m", "pytest", "-k", "token"],
        ["qwen", "--auth-type", "openai", "--auth-method=oauth"],
        ["agent", "-u", "https://api.example.com/v1"],
        ["sh", "-c", "agent -u https://api.example.com/v1; python -u run.py"],
        ["curl", "--api-key", "***", "-H", "Authorization: Bearer ***"],
        ["sh", "-c", "for i in 1 2 3; do echo $i; done"],
    ],
)
def test_harmless_command_lines_stay(words: list[str]) -> None:
    assert REDACTOR.command(words) == words


@pytest.mark.parametrize(
    "text",
    [
        "a" * 65_536, "?a" * 32_000, 'a="' * 20_000, "sk-" * 20_000, "%3D" * 20_000, " " * 65_536, "://" * 20_000,
        "@" * 65_536, "://a@" * 13_000, "a:" * 30_000, "-" * 65_536, "eyJ" * 20_000, "a%41" * 16_000, "bearer " * 9_000,
        "&a b=c" * 10_000, "token=" * 10_000, "a=?" * 20_000, "%26" * 20_000, "key" + " " * 60_000, "'" * 65_536,
    ],
    ids=lambda text: text[:8],
)  # fmt: skip
def test_hostile_text_costs_bounded_time(text: str) -> None:
    for redact in (REDACTOR.url, REDACTOR.text, lambda value: REDACTOR.header("cookie", value)):
        begun = time.process_time()
        redact(text)
        assert time.process_time() - begun < 1.0


def test_the_key_is_made_once_and_is_private(tmp_path: Path) -> None:
    key = redaction.load_key(tmp_path)
    assert redaction.load_key(tmp_path) == key
    assert (tmp_path / redaction.KEY_FILE).stat().st_mode & 0o777 == 0o600
    (tmp_path / redaction.KEY_FILE).write_bytes(b"cut")
    assert len(redaction.load_key(tmp_path)) == 32


def secretive_flow(secret: bytes) -> dict[str, Any]:
    text = secret.decode("utf-8", "surrogateescape")
    return flow(
        request={
            "path": f"/v1?key={text}",
            "authority": f"me:{text}@api.example.com",
            "headers": [
                [b"AUTHORIZATION", b"Bearer " + secret],
                [b"authorization", b"Bearer " + secret],
                ["X-Api-Key", text],
                [b"cookie", b"a=" + secret],
                [b"referer", b"https://u:" + secret + b"@h/?token=" + secret],
            ],
            "trailers": [[b"x-api-key", secret]],
        },
        client_request={"method": "POST", "path": f"/?api_key={text}", "headers": [[b"api-key", secret]]},
        response={"headers": [[b"Set-Cookie", b"s=" + secret], [b"location", b"/?sig=" + secret]]},
        client_response={"status_code": 302, "headers": [[b"set-cookie", b"s=" + secret]]},
        error={"msg": f"cannot connect to https://u:{text}@h/", "timestamp": 1.0},
        hint=f"x-api-key: {text}",
    )


@pytest.mark.parametrize("secret", [b"8f2a0ac37190084d239da49fZz", b"\xff\xfe1d3a115697e57b0f47af6f6c\x80"])
@pytest.mark.parametrize("keep", [False, True])
def test_no_byte_of_a_secret_reaches_the_disk(tmp_path: Path, secret: bytes, keep: bool) -> None:
    text = secret.decode("utf-8", "surrogateescape")
    mine = run(command=["agent", "--api-key", text, f"TOKEN={text}"], tags={"token": text, "n": f"key={text}"})
    sent = secretive_flow(secret)
    messages = [
        {"kind": "run_started", "run": mine},
        started(sent),
        ended(sent, b"body"),
        started(secretive_flow(secret)),
    ]
    asyncio.run(record(tmp_path, *messages, options=StoreOptions(keep_secrets=keep)))
    with StoreReader(tmp_path) as store:
        kept = repr(store.select(Selection())) + repr(store.runs())
    assert (repr(text)[1:-1] in kept) == keep
    needle = secret.strip(b"\xff\xfe\x80")[:20]
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    # Records are compressed: with the secrets kept, only the run's command line is in clear.
    assert any(needle in data for data in files.values()) == keep
    assert not any(needle.decode() in str(path) for path in files)
