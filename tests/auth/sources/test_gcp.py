"""Google's own library, with a service account made here and a token server on the loopback."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from ccinspect.auth.credential import SourceFailed
from ccinspect.auth.sources import make_source
from tests.auth.support import Asked, auth_of, token_server, tokens


def service_account(path: Path, token_uri: str) -> Path:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    values = {
        "type": "service_account",
        "project_id": "p",
        "private_key_id": "1",
        "private_key": pem,
        "client_email": "robot@p.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": token_uri,
    }
    path.write_text(json.dumps(values))
    return path


def test_a_service_account_gets_a_token_and_keeps_it(tmp_path: Path) -> None:
    given = iter(["t1", "t2"])

    def answer(asked: Asked) -> tuple[int, dict[str, str], bytes]:
        return tokens(next(given), expires_in=3600)

    with token_server(answer) as server:
        file = service_account(tmp_path / "sa.json", server.url)
        of = make_source(auth_of(type="gcp", file=file, quota_project="payer"), {})
        first = asyncio.run(of.fetch(None))
        again = asyncio.run(of.fetch(None))
        other = asyncio.run(of.fetch(refused="t1"))
    assert (first.value, again.value, other.value) == ("t1", "t1", "t2")
    assert first.expires == pytest.approx(time.time() + 3600, abs=10)
    assert first.headers == (("x-goog-user-project", "payer"),)
    assert server.asked[0].form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"


def test_a_refusal_is_told_without_what_was_answered(tmp_path: Path) -> None:
    with token_server(lambda asked: (400, {}, b'{"error": "hunter22", "error_description": "hunter22"}')) as server:
        of = make_source(auth_of(type="gcp", file=service_account(tmp_path / "sa.json", server.url)), {})
        with pytest.raises(SourceFailed) as raised:
            asyncio.run(of.fetch(None))
    assert "Google gave no token (RefreshError)" in raised.value.reason
    assert "hunter22" not in raised.value.reason + raised.value.hint


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"type": "none"}'])
def test_a_file_that_is_no_credential(tmp_path: Path, content: str) -> None:
    file = tmp_path / "sa.json"
    file.write_text(content)
    with pytest.raises(SourceFailed):
        asyncio.run(make_source(auth_of(type="gcp", file=file), {}).fetch(None))
