"""Requests of the daemon's own, for tokens, leave through a real proxy."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from ccinspect.auth.resolver import Credentials
from ccinspect.demo.answers import json_answer
from ccinspect.demo.certificates import Authority
from ccinspect.demo.provider import Provider
from ccinspect.errors import CredentialsError
from ccinspect.outward.proxy import UpstreamProxy
from ccinspect.outward.settings import UpstreamProxySettings
from tests.auth.support import auth_of
from tests.support.corporate import PASSWORD, USER, tinyproxy

NAME = "login.corp.test"


@pytest.mark.parametrize("tls", [False, True])
def test_a_token_is_renewed_through_the_proxy(tmp_path: Path, tls: bool) -> None:
    authority = Authority("corporate")
    path, roots = tmp_path / "tokens.json", tmp_path / "roots.pem"
    path.write_text(json.dumps({"access_token": "old", "refresh_token": "r", "expires_at": time.time() - 1}))
    with Provider([NAME]) as provider:
        roots.write_bytes(provider.authority.pem + authority.pem)
        provider.answer_with(json_answer(200, {"access_token": "new-token", "expires_in": 3600}))
        url = f"https://{NAME}:{provider.https_port}/token"
        with tinyproxy({NAME: "127.0.0.1"}, [provider.https_port], login=True, authority=authority) as running:
            place = f"https://127.0.0.1:{running.tls_port}" if tls else f"http://127.0.0.1:{running.port}"
            settings = UpstreamProxySettings(url=place, auth=auth_of(type="env", env="LOGIN"))
            proxy = UpstreamProxy(settings, roots, {"LOGIN": f"{USER}:{PASSWORD}"})
            auth = auth_of(type="oauth2", token_file=path, token_url=url)
            of = Credentials({"work": auth}, {}, ca_file=roots, way=proxy.way)
            assert asyncio.run(of.resolve("work")).value == "new-token"
        # It is down now.
        again = Credentials({"work": auth}, {}, ca_file=roots, way=proxy.way)
        path.write_text(json.dumps({"access_token": "old", "refresh_token": "r", "expires_at": time.time() - 1}))
        with pytest.raises(CredentialsError, match="through the upstream proxy") as caught:
            asyncio.run(again.resolve("work"))
        assert PASSWORD not in caught.value.message
    (asked,) = provider.requests
    assert b"proxy-authorization" not in asked.raw.lower()
