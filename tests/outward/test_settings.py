"""`inspector.upstream_proxy`, and what a mistake in it is told as."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml

from ccinspect.config import load_config
from ccinspect.errors import ConfigError, UpstreamProxyError
from ccinspect.outward.proxy import UpstreamProxy


def load(path: Path, value: Any) -> Any:
    file = path / "ccinspect.yaml"
    file.write_text(yaml.safe_dump({"inspector": {"upstream_proxy": value}}))
    return load_config(file, {}).inspector.upstream_proxy


def test_a_url_is_enough(tmp_path: Path) -> None:
    proxy = UpstreamProxy(load(tmp_path, "http://proxy.test:3128"), tmp_path)
    assert (proxy.label, proxy.host, proxy.port) == ("http://proxy.test:3128", "proxy.test", 3128)
    assert not proxy.has_credentials
    assert UpstreamProxy(load(tmp_path, "https://[fd00::1]/"), tmp_path).label == "https://[fd00::1]:443"


def test_exceptions_are_written_as_in_no_proxy(tmp_path: Path) -> None:
    found = load(tmp_path, {"url": "http://proxy.test:3128", "exceptions": "a.test, .b.test 10.0.0.0/8"})
    assert found.exceptions == ("a.test", ".b.test", "10.0.0.0/8")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("http://alice:hunter2-xyz@proxy.test:3128", "name them in `auth`"),
        ({"url": "http://alice:hunter2-xyz@proxy.test"}, "name them in `auth`"),
        ("socks5://proxy.test:1080", "SOCKS is not spoken"),
        ("proxy.test:3128", "http://HOST:PORT"),
        ("http://proxy.test:3128/path", "end after the port"),
        ("http://proxy.test:999999", "not a URL"),
        ({"url": "http://proxy.test", "exceptions": ["a b"]}, "no host name"),
        ({"url": "http://proxy.test", "auth": {"aws": None}}, "no signatures"),
        ({"url": "http://proxy.test", "auth": {"env": "LOGIN", "header": "x-login"}}, "remove `header`"),
        ({"uri": "http://proxy.test"}, "upstream_proxy"),
    ],
)
def test_a_mistake_is_named_and_no_password_is(tmp_path: Path, value: Any, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, value)
    told = f"{caught.value.message} {caught.value.hint}"
    assert said in told
    assert "hunter2-xyz" not in told


@pytest.mark.parametrize(
    ("auth", "value", "header"),
    [
        ({"env": "LOGIN"}, "alice:secret", "Basic YWxpY2U6c2VjcmV0"),
        ({"env": "LOGIN"}, "Bearer abc", "Bearer abc"),
        ({"env": "LOGIN", "prefix": "Bearer "}, "abc", "Bearer abc"),
    ],
)
def test_what_the_proxy_is_shown(tmp_path: Path, auth: Any, value: str, header: str) -> None:
    settings = load(tmp_path, {"url": "http://proxy.test", "auth": auth})
    proxy = UpstreamProxy(settings, tmp_path, {"LOGIN": value})
    assert asyncio.run(proxy.authorization()) == header


@pytest.mark.parametrize("environ", [{"LOGIN": "secret-without-a-name"}, {}])
def test_credentials_that_are_none_are_explained(tmp_path: Path, environ: dict[str, str]) -> None:
    proxy = UpstreamProxy(load(tmp_path, {"url": "http://proxy.test", "auth": {"env": "LOGIN"}}), tmp_path, environ)
    with pytest.raises(UpstreamProxyError) as caught:
        asyncio.run(proxy.authorization())
    assert "the upstream proxy" in caught.value.message
    assert "inspector.upstream_proxy" in caught.value.hint
    assert "secret-without" not in caught.value.message
