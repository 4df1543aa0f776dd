"""What may stand in `providers.NAME.auth`, and what it is taken for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from ccinspect.auth.settings import AwsAuth, GcpAuth, OAuth2Auth
from tests.auth.support import auth

OAUTH2 = "token_file: ~/t.json, token_url: 'https://auth.example.com/token'"


@pytest.mark.parametrize(
    ("text", "kind", "given"),
    [
        ("pass show work", "command", {"command": "pass show work"}),
        ("{command: 'echo a b'}", "command", {"command": "echo a b"}),
        (
            "{type: command, command: x, header: x-key, prefix: 'Key '}",
            "command",
            {"header": "x-key", "prefix": "Key "},
        ),
        ("{file: /etc/key, timeout: 2}", "file", {"file": Path("/etc/key"), "timeout": 2.0}),
        ("{file: /etc/key, field: a.b}", "file", {"field": ("a", "b")}),
        ("{file: /etc/key, field: ['https://a.b', token]}", "file", {"field": ("https://a.b", "token")}),
        ("{env: WORK_KEY, ttl: 0}", "env", {"env": "WORK_KEY", "ttl": 0.0}),
        ("{keyring: work/me}", "keyring", {"service": "work", "user": "me"}),
        ("{keyring: {service: a/b, user: me}}", "keyring", {"service": "a/b"}),
        (f"{{oauth2: {{{OAUTH2}}}, header: x-api-key}}", "oauth2", {"header": "x-api-key"}),
        (f"{{type: oauth2, {OAUTH2}, expires_field: a.expiresAt}}", "oauth2", {"expires_field": ("a", "expiresAt")}),
        ("{gcp: {file: sa.json}}", "gcp", {"file": Path("sa.json")}),
        ("{gcp: }", "gcp", {"file": None}),
        ("{aws: {profile: work, region: eu-west-1}}", "aws", {"profile": "work", "region": "eu-west-1"}),
        ("{aws: }", "aws", {}),
    ],
)
def test_a_source_is_known_by_what_it_names(text: str, kind: str, given: dict[str, object]) -> None:
    settings = auth(text)
    assert settings.type == kind
    assert {name: getattr(settings, name) for name in given} == given


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("''", "at least 1 character"),
        ("{}", "has to name one source"),
        ("{key: sk-real}", "has to name one source: command, file, env"),
        ("{command: x, file: y}", "has to name one source"),
        ("{type: vault, path: x}", "'vault'"),
        ("{command: x, colour: red}", "Extra inputs are not permitted"),
        ("{command: x, header: 'a b'}", "pattern"),
        ('{command: x, prefix: "a\\nb"}', "printable ASCII"),
        ("{command: x, timeout: 0}", "greater than 0"),
        ("{env: 'A-B'}", "not the name of an environment variable"),
        ("{keyring: alone}", "SERVICE/USER"),
        ("{oauth2: {token_file: a, token_url: 'http://example.com/'}}", "has to be https"),
        ("{oauth2: {token_file: a, token_url: 'http://127.0.0.1.example.com/'}}", "has to be https"),
        ("{oauth2: {token_file: a, token_url: 'https://u:p@example.com/'}}", "not a URL"),
        (f"{{oauth2: {{{OAUTH2}, header: a}}, header: b}}", "given twice"),
        ("{aws: {header: x}}", "signature goes in `Authorization`"),
    ],
)
def test_a_mistake_is_said(text: str, says: str) -> None:
    with pytest.raises(ValidationError) as raised:
        auth(text)
    told = raised.value.errors()[0]["msg"]
    assert says in told
    assert "sk-real" not in told


def test_a_token_url_on_this_machine_may_be_http() -> None:
    for host in ("127.0.0.1:99", "localhost", "[::1]:99"):
        assert isinstance(auth(f"{{oauth2: {{token_file: a, token_url: 'http://{host}/t'}}}}"), OAuth2Auth)


def test_a_client_secret_is_never_shown() -> None:
    settings = auth(f"{{oauth2: {{{OAUTH2}, client_secret: hush-hush}}}}")
    assert "hush-hush" not in repr(settings) + str(settings) + str(settings.model_dump())


def test_where_the_secret_lies_is_known() -> None:
    assert auth("{file: ~/key}").files() == (Path("~/key").expanduser(),)
    assert auth(f"{{oauth2: {{{OAUTH2}}}}}").files() == (Path("~/t.json").expanduser(),)
    assert auth("{env: WORK_KEY}").variables() == ("WORK_KEY",)
    assert "AWS_SECRET_ACCESS_KEY" in AwsAuth(type="aws").variables()
    assert GcpAuth(type="gcp").files() == ()
    assert auth("echo x").files() == ()


def test_reading_the_configuration_stays_cheap() -> None:
    heavy = ("google", "botocore", "keyring", "urllib.request", "mitmproxy")
    code = f"import sys, ccinspect.auth.settings; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
