"""Signatures made with Amazon's own library, checked by an implementation of the specification that stands here."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from pathlib import Path
from urllib.parse import quote

import pytest

from ccinspect.auth.credential import Credential, SourceFailed
from ccinspect.auth.sentinel import apply
from ccinspect.auth.sources import make_source
from ccinspect.errors import CredentialsError
from ccinspect.pipeline.message import Headers, Outgoing
from tests.auth.support import auth_of

KEY, SECRET = "AKIDEXAMPLEEXAMPLE01", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


@pytest.fixture(autouse=True)
def no_other_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def credential(**settings: object) -> Credential:
    fetched = asyncio.run(make_source(auth_of(type="aws", **settings), {}).fetch(None))
    return Credential("bedrock", fetched.value, "authorization", "", None, fetched.signer)


def request(path: str = "/model/anthropic.claude-v2%3A0/converse?b=2&a=1", **more: object) -> Outgoing:
    headers = Headers(
        [
            (b"Host", b"bedrock-runtime.eu-west-1.amazonaws.com"),
            (b"X-Api-Key", b"sk-ccinspect-bedrock"),
            (b"Content-Type", b"application/json"),
            (b"X-Amzn-Bedrock-Trace", b"ENABLED"),
            (b"X-Amz-Custom", b"x"),
        ]
    )
    values: dict[str, object] = {
        "method": "POST",
        "scheme": "https",
        "host": "bedrock-runtime.eu-west-1.amazonaws.com",
        "port": 443,
        "path": path,
        "headers": headers,
        "body": b'{"x": 1}',
    }
    return Outgoing(**(values | more))  # type: ignore[arg-type]


def expected_signature(outgoing: Outgoing, service: str, region: str) -> str:
    """Signature Version 4 as the specification spells it, from what would go over the wire."""
    moment = outgoing.headers.get("x-amz-date") or ""
    authorization = outgoing.headers.get("authorization") or ""
    signed = authorization.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    path, _, query = outgoing.path.partition("?")
    lines = [
        outgoing.method,
        quote(path, safe="/~"),
        "&".join(sorted(query.split("&"))) if query else "",
        *(f"{name}:{outgoing.headers.get(name)}" for name in signed),
        "",
        ";".join(signed),
        hashlib.sha256(outgoing.body or b"").hexdigest(),
    ]
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    key = f"AWS4{SECRET}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), "sha256").digest()
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{digest}"
    signature = hmac.new(key, text.encode(), "sha256").hexdigest()
    assert {"host", "x-amz-date"} <= set(signed)
    return f"AWS4-HMAC-SHA256 Credential={KEY}/{scope}, SignedHeaders={';'.join(signed)}, Signature={signature}"


def test_a_request_is_signed_as_amazon_wants_it() -> None:
    outgoing = request()
    apply(outgoing, credential())
    assert outgoing.headers.get("authorization") == expected_signature(outgoing, "bedrock", "eu-west-1")
    assert "content-type;host;x-amz-custom;x-amz-date" in str(outgoing.headers.get("authorization"))
    assert outgoing.headers.get("x-api-key") is None


def test_each_secret_part_is_known_and_none_is_shown() -> None:
    assert credential().secrets == (KEY, SECRET)
    assert SECRET not in repr(credential()) + str(credential().as_record())


def test_signing_twice_signs_the_second_request() -> None:
    outgoing = request()
    apply(outgoing, credential())
    outgoing.body = b"other"
    apply(outgoing, credential())
    assert len(outgoing.headers.get_all("authorization")) == len(outgoing.headers.get_all("x-amz-date")) == 1
    assert outgoing.headers.get("authorization") == expected_signature(outgoing, "bedrock", "eu-west-1")


def test_a_temporary_credential_brings_its_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "temporary")
    outgoing = request()
    outgoing.headers.add("X-Amz-Security-Token", "the client's own")
    apply(outgoing, credential())
    assert outgoing.headers.get_all("x-amz-security-token") == ["temporary"]
    assert outgoing.headers.get("authorization") == expected_signature(outgoing, "bedrock", "eu-west-1")


@pytest.mark.parametrize(
    ("host", "settings", "scope"),
    [
        ("bedrock-runtime.us-east-1.amazonaws.com", {}, "us-east-1/bedrock"),
        ("bedrock-runtime-fips.us-gov-west-1.amazonaws.com", {}, "us-gov-west-1/bedrock"),
        ("q.us-east-1.amazonaws.com", {}, "us-east-1/q"),
        ("gateway.example.com", {"region": "eu-north-1"}, "eu-north-1/bedrock"),
        ("gateway.example.com", {"region": "eu-north-1", "service": "execute-api"}, "eu-north-1/execute-api"),
    ],
)
def test_place_and_service_follow_from_the_host(host: str, settings: dict[str, object], scope: str) -> None:
    outgoing = request(host=host)
    outgoing.headers.set("host", host)
    apply(outgoing, credential(**settings))
    assert f"/{scope}/aws4_request" in str(outgoing.headers.get("authorization"))


def test_the_region_of_the_configuration_is_the_last_resort(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CredentialsError, match="nothing says which AWS region"):
        apply(request(host="gateway.example.com"), credential())
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ap-south-1")
    outgoing = request(host="gateway.example.com")
    apply(outgoing, credential())
    assert "/ap-south-1/bedrock/" in str(outgoing.headers.get("authorization"))


def test_a_body_that_was_not_read_is_not_signed() -> None:
    with pytest.raises(CredentialsError, match="body was not read"):
        apply(request(body=None), credential())


def test_no_credentials_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(SourceFailed, match="has no credentials"):
        credential()
    with pytest.raises(SourceFailed, match="ProfileNotFound"):
        credential(profile="nobody")


def test_a_profile_is_read_again_after_a_refusal(tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.write_text("[work]\naws_access_key_id = A1\naws_secret_access_key = s1\n")
    of = make_source(auth_of(type="aws", profile="work"), {})
    first = asyncio.run(of.fetch(None)).value
    file.write_text("[work]\naws_access_key_id = A2\naws_secret_access_key = s2\n")
    assert asyncio.run(of.fetch(None)).value == first
    assert asyncio.run(of.fetch(refused=first)).value != first
