"""Where a request on a reverse listener goes."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import tflow

from ccinspect.addons.reverse_routing import (
    OLLAMA,
    PARENT,
    PARENT_HEADER,
    UPSTREAM_HEADER,
    ReverseRouting,
    route_by_path,
)
from ccinspect.addons.sources import BaseUrlRun, Listener, Origin, Sources

PORT = 4000


def arrive(
    path: str,
    listener: Listener | None = None,
    headers: tuple[tuple[bytes, bytes], ...] = (),
    others: Mapping[tuple[str, int], Listener] = {},
    **runs: BaseUrlRun,
):
    sources = Sources({("regular", PORT): listener or Listener("reverse"), **others}, dict(runs))
    flow = tflow.tflow()
    flow.client_conn.proxy_mode = ProxyMode.parse(f"regular@127.0.0.1:{PORT}")
    flow.request.data.host, flow.request.data.port, flow.request.scheme = "127.0.0.1", PORT, "http"
    flow.request.path = path
    flow.request.headers = type(flow.request.headers)([(b"HOST", b"127.0.0.1:4000"), *headers])
    ReverseRouting(sources).requestheaders(flow)
    return flow


@pytest.mark.parametrize(
    ("path", "host"),
    [
        ("/v1/messages", "api.anthropic.com"),
        ("/v1/messages/count_tokens?beta=true", "api.anthropic.com"),
        ("/messages", "api.anthropic.com"),
        ("/v1/chat/completions", "api.openai.com"),
        ("/v1/responses/resp_1", "api.openai.com"),
        ("/v1/models", "api.openai.com"),
        ("/v1beta/models/gemini-3:streamGenerateContent?alt=sse", "generativelanguage.googleapis.com"),
        ("/v1/models/gemini-3:generateContent", "generativelanguage.googleapis.com"),
        ("/v1internal:streamGenerateContent", "cloudcode-pa.googleapis.com"),
        ("/api/chat", "127.0.0.1"),
    ],
)
def test_a_request_by_hand_is_routed_by_its_path(path: str, host: str) -> None:
    flow = arrive(path)
    assert flow.response is None
    assert flow.request.host == host


def test_shared_paths_are_told_apart_by_the_version_header() -> None:
    assert arrive("/v1/models", headers=((b"anthropic-version", b"2023-06-01"),)).request.host == "api.anthropic.com"


def test_both_spellings_of_the_anthropic_path_reach_the_same_endpoint() -> None:
    assert arrive("/messages?x=1").request.path == "/v1/messages?x=1"
    assert arrive("/v1/messages?x=1").request.path == "/v1/messages?x=1"
    run = BaseUrlRun({"anthropic": Origin.parse("https://api.anthropic.com"), "openai": Origin("http", "gpu", 8080)})
    assert arrive("/r/abc/anthropic/messages?x=1", abc=run).request.path == "/v1/messages?x=1"
    assert arrive("/r/abc/anthropic/v1/messages", abc=run).request.path == "/v1/messages"
    assert arrive("/r/abc/openai/messages", abc=run).request.path == "/messages"


@pytest.mark.parametrize("path", ["/", "/foo", "/v1", "/api/unknown", "/v1/messagesfoo", "/r/", "*"])
def test_what_fits_nothing_gets_501_and_the_way_out(path: str) -> None:
    response = arrive(path).response
    assert response is not None
    assert response.status_code == 501
    error = json.loads(response.content)["error"]
    assert error["type"] == "not_implemented_error"
    assert "inspector.reverse_targets" in error["message"]


def test_a_run_prefix_is_taken_off_and_leads_to_the_runs_upstream() -> None:
    run = BaseUrlRun({"openai": Origin("http", "gpu", 8080)})
    flow = arrive("/r/abc/openai/v1/chat/completions?x", abc=run)
    assert flow.request.url == "http://gpu:8080/v1/chat/completions?x"
    assert flow.metadata["ccinspect.run"] == "abc"
    assert flow.request.headers.fields[0] == (b"HOST", b"gpu:8080")


@pytest.mark.parametrize("path", ["/r/gone/openai/v1/x", "/r/abc/nothing/v1/x"])
def test_a_prefix_of_no_live_run_is_refused(path: str) -> None:
    response = arrive(path, abc=BaseUrlRun({})).response
    assert response is not None
    assert response.status_code == 410


def test_a_prefix_alone_asks_for_the_root() -> None:
    run = BaseUrlRun({"ollama": Origin("http", "127.0.0.1", 11434)})
    assert arrive("/r/abc/ollama", abc=run).request.path == "/"
    assert arrive("/r/abc/ollama?x", abc=run).request.path == "/?x"


@pytest.mark.parametrize(("keep_host", "told"), [(False, "api.openai.com"), (True, "127.0.0.1:4000")])
def test_the_authority_of_http2_is_the_upstreams(keep_host: bool, told: str) -> None:
    flow = tflow.tflow()
    flow.client_conn.proxy_mode = ProxyMode.parse(f"regular@127.0.0.1:{PORT}")
    flow.request.http_version, flow.request.headers = "HTTP/2.0", type(flow.request.headers)()
    flow.request.authority, flow.request.path = "127.0.0.1:4000", "/v1/responses"
    listener = Listener("reverse", None, Origin("https", "api.openai.com", 443), keep_host=keep_host)
    ReverseRouting(Sources({("regular", PORT): listener}, {})).requestheaders(flow)
    assert (flow.request.authority, flow.request.host) == (told, "api.openai.com")
    assert flow.request.headers.fields == ()


def test_the_host_header_of_a_local_model_server_is_left_alone() -> None:
    target = Listener("reverse", "abc", Origin("http", "127.0.0.1", 11434), keep_host=True)
    flow = arrive("/anything", target)
    assert flow.request.port == 11434
    assert flow.request.headers.fields[0] == (b"HOST", b"127.0.0.1:4000")


class TestFromAJail:
    """A listener of a run's own: the same routes, and no orders."""

    JAILED = Listener("reverse", "mine")

    def test_the_path_decides(self) -> None:
        assert arrive("/v1/messages", self.JAILED).request.host == "api.anthropic.com"

    def test_no_request_is_another_runs(self) -> None:
        other = BaseUrlRun({"openai": Origin("http", "gpu", 8080)})
        flow = arrive("/r/abc/openai/v1/chat/completions", self.JAILED, abc=other)
        assert flow.response is not None
        assert flow.response.status_code == 501
        assert "ccinspect.run" not in flow.metadata

    def test_no_request_names_its_upstream_or_its_parent(self) -> None:
        orders = ((UPSTREAM_HEADER.encode(), b"http://127.0.0.1:8081"), (PARENT_HEADER.encode(), b"some-flow"))
        flow = arrive("/v1/messages", self.JAILED, orders)
        assert flow.request.host == "api.anthropic.com"
        assert PARENT not in flow.metadata

    def test_local_models_are_reached_only_where_they_are_among_the_runs_ports(self) -> None:
        flow = arrive("/api/chat", self.JAILED)
        assert flow.response is not None
        assert flow.response.status_code == 501
        own = {("regular", 40_001): Listener("reverse", "mine", OLLAMA, keep_host=True)}
        assert arrive("/api/chat", self.JAILED, others=own).request.port == OLLAMA.port
        another = {("regular", 40_001): Listener("reverse", "another", OLLAMA, keep_host=True)}
        assert arrive("/api/chat", self.JAILED, others=another).response is not None


def test_flows_of_other_listeners_are_not_touched() -> None:
    flow = arrive("/v1/messages", Listener("proxy"))
    assert flow.request.host == "127.0.0.1"
    assert "ccinspect.client_request" not in flow.metadata


def test_route_by_path_needs_no_flow() -> None:
    assert route_by_path("/nowhere") is None
