"""What Chromium's own developer tools make of an archive of ours, imported in their Network panel."""

from __future__ import annotations

import asyncio
import base64
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest

from ccinspect.store.har import write_har
from ccinspect.store.query import StoreReader
from ccinspect.store.selection import Selection
from tests.store.records import ended, flow, record, started
from tests.support.chromium import Chromium

pytestmark = pytest.mark.long

TEXT = 'grüße, \u2028 \U0001f600 \x01 "quoted" \\ </script>\n' * 3000
PACKED = {"headers": [[b"Content-Encoding", b"gzip"], [b"Content-Type", b"text/plain; charset=utf-8"]]}

# Its arguments: the archive as text. What the panel shows is read off the requests that the import made.
IMPORT = """
import('./panels/network/network.js').then(async network => {
  const views = await import('./ui/legacy/legacy.js');
  const logs = await import('./models/logs/logs.js');
  await views.ViewManager.ViewManager.instance().showView('network');
  const file = new File([%s], 'capture.har');
  await network.NetworkPanel.NetworkPanel.instance().networkLogView.onLoadFromFile(file);
  return Promise.all(logs.NetworkLog.NetworkLog.instance().requests().map(async request => {
    const content = await request.requestContentData();
    return {
      url: request.url(), method: request.requestMethod, status: request.statusCode, protocol: request.protocol,
      type: request.resourceType().name(), sent: await request.requestFormData(),
      form: await request.formParameters(), query: request.queryParameters,
      text: content.isTextContent ? content.text : null, base64: content.isTextContent ? null : content.base64,
      size: request.resourceSize, transferred: request.transferSize, address: request.remoteAddress(),
      connection: request.connectionId, milliseconds: Math.round(request.duration * 1000),
      events: request.eventSourceMessages().map(event => [event.eventName, event.data]),
      frames: request.frames().map(frame => [frame.type, frame.opCode, frame.text]),
      cookies: request.responseCookies.map(cookie => cookie.name()),
    };
  }));
})
"""


def imported(directory: Path, *messages: dict[str, Any]) -> list[dict[str, Any]]:
    """The requests of the Network panel after the import, in the order of their start."""
    asyncio.run(record(directory / "store", *messages))
    archive = io.BytesIO()
    with StoreReader(directory / "store") as store:
        write_har(archive, store.iter_records(Selection()), store)
    with Chromium(directory) as browser:
        browser.open("devtools://devtools/bundled/devtools_app.html")
        shown: list[dict[str, Any]] = browser.run(IMPORT % json.dumps(archive.getvalue().decode()))
        return shown


def test_the_network_panel_shows_what_was_captured(tmp_path: Path) -> None:
    events = {"headers": [[b"Content-Type", b"text/event-stream; charset=utf-8"]], "http_version": "HTTP/2.0"}
    image = {"headers": [[b"Content-Type", b"image/png"]]}
    socket = flow(
        request={"method": "GET", "path": "/socket"},
        response={"status_code": 101, "headers": [[b"Upgrade", b"websocket"]]},
    )
    form = {
        "path": "/search?q=a+b&empty=&x=%C3%BC",
        "headers": [[b"Content-Type", b"application/x-www-form-urlencoded"]],
    }
    cookie = {"headers": [[b"Set-Cookie", b"sid=1; Path=/; Expires=Wed, 21-Oct-2026 07:28:00 GMT"]]}
    server = {"peername": ["192.0.2.1", 8443], "id": "c1"}
    packed = gzip.compress(TEXT.encode())
    changed = flow(request={"path": "/forwarded"}, client_request={"method": "PUT", "path": "/own", "headers": []})
    frame = {"kind": "message", "flow_id": socket["id"], "timestamp": 1000.5}
    shown = imported(
        tmp_path,
        ended(flow(server_conn=server), b'{"a":1}', b'{"b":2}'),
        ended(flow(request=PACKED | {"path": "/packed"}, response=PACKED), packed, packed),
        ended(flow(request={"path": "/binary"}, response=image), b"a\x00\xff", bytes(range(256))),
        ended(flow(request={"path": "/events"}, response=events), b"{}", b"event: a\ndata: {}\n\ndata: [DONE]\n\n"),
        ended(flow(request=form, response=cookie), b"name=value&n=%C3%BC", b"x"),
        ended(changed, b"forwarded", b"upstream", client_request_body=b"own", client_response_body=b"got"),
        ended(flow(request={"path": "/refused"}, response=None, state="error", error={"msg": "refused"}), b"x"),
        ended(flow(request={"host": "::1", "pretty_host": "::1", "port": 8080, "path": "/v6"}), b"x", b"y"),
        started(flow(request={"path": "/unfinished"})),
        started(socket),
        frame | {"seq": 0, "from_client": True, "type": "text", "content": "hi \U0001f600".encode()},
        frame | {"seq": 1, "from_client": False, "type": "binary", "content": b"\x00\xff"},
        ended(socket),
    )
    assert len(shown) == 20, "two for each flow"
    by_path: dict[str, dict[str, Any]] = {}
    for request in shown:
        by_path.setdefault(request["url"].partition("/")[2].partition("/")[2].partition("/")[2], request)
    assert {request["type"] for request in shown} == {"fetch", "websocket"}

    call = by_path["v1/messages"]
    assert (call["method"], call["status"], call["protocol"]) == ("POST", 200, "http/1.1")
    assert (call["sent"], call["text"]) == ('{"a":1}', '{"b":2}')
    assert (call["address"], call["connection"]) == ("192.0.2.1:8443", "c1")
    assert (call["size"], call["transferred"], call["milliseconds"]) == (7, 7, 1500)
    assert by_path["packed"]["text"] == by_path["packed"]["sent"] == TEXT
    assert (by_path["packed"]["size"], by_path["packed"]["transferred"]) == (len(TEXT.encode()), len(packed))
    sent, got = by_path["binary"]["sent"], by_path["binary"]["base64"]
    assert (base64.b64decode(sent), base64.b64decode(got)) == (b"a\x00\xff", bytes(range(256)))
    assert by_path["events"]["events"] == [["a", "{}"], ["message", "[DONE]"]]
    assert by_path["events"]["protocol"] == "h2"
    found = by_path["search?q=a+b&empty=&x=%C3%BC"]
    assert [pair["name"] for pair in found["query"]] == ["q", "empty", "x"]
    assert [pair["name"] for pair in found["form"]] == ["name", "n"]
    assert found["cookies"] == ["sid"]
    assert (by_path["forwarded"]["sent"], by_path["forwarded"]["text"]) == ("forwarded", "upstream")
    assert (by_path["own"]["method"], by_path["own"]["sent"], by_path["own"]["text"]) == ("PUT", "own", "got")
    assert (by_path["refused"]["status"], by_path["refused"]["sent"]) == (0, "x")
    assert by_path["v6"]["url"] == "https://[::1]:8080/v6"
    assert by_path["unfinished"]["status"] == 0
    assert by_path["socket"]["frames"] == [["send", 1, "hi \U0001f600"], ["receive", 2, "AP8="]]
