"""`ccinspect flows` on a store without a daemon: list, show, dump, clear, in pipes and on terminals."""

from __future__ import annotations

import gzip
import json
import re
import signal
import subprocess
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Place, Stored, flow_id, http_flow
from tests.cli.pseudo_terminal import Terminal
from tests.cli.screens import each_on_terminal
from tests.support.daemon import clean_environment

EVIL = "/\x1b[2J\x1b]0;owned\x07\x9b31m\r\n\u202e"


def assert_harmless(said: str) -> None:
    """No control character but line ends and our own colours."""
    without_colours = re.sub(r"\x1b\[[0-9;]*[mK]", "", said)
    strange = [c for c in without_colours if unicodedata.category(c) in ("Cc", "Cf", "Cs") and c not in "\r\n"]
    assert strange == []


def test_a_pipe_gets_whole_lines_of_tab_separated_values(stored: Stored) -> None:
    place = stored(http_flow(1), http_flow(2, request={"path": "/" + "x" * 300}))
    first, second = (line.split("\t") for line in place.lines("flows", "list"))
    where = ["POST", "200", "api.anthropic.com", "/v1/messages/1"]
    assert first[:9] == [flow_id(1)[:8], *where, "claude-code", "", "", "json"]
    assert second[4] == "/" + "x" * 300


def test_json_is_the_records_newest_last(stored: Stored) -> None:
    place = stored(*(http_flow(number) for number in range(5)))
    records = place.json("flows", "list")
    assert [record["id"] for record in records] == [flow_id(number) for number in range(5)]
    assert place.json("flows", "list", "--limit", "2") == records[-2:]


def test_filters_get_the_whole_array(stored: Stored) -> None:
    place = stored(*(http_flow(number, response={"status_code": 200 + number}) for number in range(4)))
    assert [r["id"] for r in place.json("flows", "list", "--jq", ".[-1:]")] == [flow_id(3)]
    filters = ["--jq", "map(select(.response.status_code >= 201))", "--jq", "map(.response.status_code)"]
    assert place.json("flows", "list", *filters) == [201, 202, 203]
    # What is no flow any more is JSON, asked for or not.
    assert json.loads("".join(place.lines("flows", "list", *filters))) == [201, 202, 203]


@pytest.mark.parametrize(
    ("jq", "said"),
    [("map(.[-1])", ".[-1:]"), ("length", "array"), ("map(", "does not compile"), (".[]", "more than one result")],
)
def test_a_wrong_filter_is_explained(stored: Stored, jq: str, said: str) -> None:
    place = stored(http_flow(1), http_flow(2))
    done = place.run("flows", "list", "--jq", jq)
    assert (done.returncode, done.stdout) == (1, b"")
    assert said in done.stderr.decode()
    assert b"Traceback" not in done.stderr


def test_default_filters_come_first(place: Place) -> None:
    place.record(*(http_flow(number) for number in range(3)))
    place.paths.config_file.write_text("flows: {default_jq_filters: ['.[1:]']}\n")
    assert [r["id"] for r in place.json("flows", "list")] == [flow_id(1), flow_id(2)]
    assert [r["id"] for r in place.json("flows", "list", "--jq", ".[1:]")] == [flow_id(2)]
    done = place.run("flows", "list", "--json", env={"CCINSPECT_FLOWS__DEFAULT_JQ_FILTERS": "['.[2:]']"})
    assert [r["id"] for r in json.loads(done.stdout)] == [flow_id(2)]


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        (["--status", ">=400"], [1, 2]),
        (["--status", "4xx"], [1]),
        (["--host", "openai.com"], [2]),
        (["--path", "/v1/messages/1"], [1]),
        (["--method", "get"], [0]),
        (["--errors"], [1, 2]),
        (["--type", "dns"], []),
        (["--since", "2025-10-09T08:53:21+00:00"], [1, 2]),
        (["--until", "2025-10-09T08:53:21+00:00"], [0]),
        (["--status", "4xx,5xx", "--host", "*anthropic*"], [1]),
    ],
)
def test_selections(stored: Stored, words: list[str], numbers: list[int]) -> None:
    place = stored(
        http_flow(0, request={"method": "GET"}),
        http_flow(1, response={"status_code": 404}),
        http_flow(
            2, response={"status_code": 500}, request={"pretty_host": "api.openai.com", "host": "api.openai.com"}
        ),
    )
    assert [record["id"] for record in place.json("flows", "list", *words)] == [flow_id(number) for number in numbers]


@pytest.mark.parametrize(
    "words", [["--since", "yestermorning"], ["--status", "boom"], ["--type", "carrier-pigeon"], ["--run", "nope"]]
)
def test_a_wrong_selection_is_explained(stored: Stored, words: list[str]) -> None:
    place = stored(http_flow(1))
    done = place.run("flows", "list", *words)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode().startswith("ccinspect: ")
    assert words[1] in done.stderr.decode()


def test_no_store_and_nothing_found_are_no_errors(place: Place) -> None:
    done = place.run("flows", "list")
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"nothing has been captured yet" in done.stderr
    assert place.json("flows", "list") == []
    place.record(http_flow(1))
    done = place.run("flows", "list", "--method", "PUT")
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"none of the 1 flow" in done.stderr


@pytest.mark.parametrize("columns", [20, 40, 80, 200])
def test_a_table_fits_its_terminal(stored: Stored, columns: int) -> None:
    place = stored(http_flow(1, request={"path": "/" + "漢字" * 100}), http_flow(2, response={"status_code": 500}))
    with Terminal(place.argv("flows", "list"), clean_environment() | {"NO_COLOR": "1"}, columns) as terminal:
        status, said = terminal.finish()
    assert status == 0
    assert said.startswith("ID")
    for line in said.splitlines():
        assert sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line) <= columns


def test_colours_only_on_a_terminal_that_wants_them(stored: Stored) -> None:
    place = stored(http_flow(1, response={"status_code": 500}))
    for environ, coloured in [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]:
        with Terminal(place.argv("flows", "list"), clean_environment() | environ) as terminal:
            status, said = terminal.finish()
        assert status == 0
        assert ("\x1b[31m500" in said) is coloured
    assert b"\x1b" not in place.run("flows", "list").stdout


def test_what_was_captured_cannot_talk_to_the_terminal(stored: Stored) -> None:
    headers = [[EVIL.encode(), EVIL.encode()], [b"user-agent", EVIL.encode()], [b"content-type", b"text/plain"]]
    place = stored(
        http_flow(
            1,
            request={"path": EVIL, "method": EVIL, "pretty_host": EVIL, "host": EVIL, "headers": headers},
            response={"reason": EVIL, "headers": headers},
            hint=EVIL,
            error={"msg": EVIL, "timestamp": 1.0},
            request_body=EVIL.encode(),
            response_body=EVIL.encode() + b"\xff\xfe",
        )
    )
    words = (["list"], ["list", "--json"], ["show", flow_id(1)], ["show", flow_id(1), "--json"])
    commands = [["flows", *each] for each in words]
    for said in each_on_terminal(place, commands).values():
        assert_harmless(said)
    for piped in place.each(commands):
        assert_harmless(piped.replace("\t", ""))


def test_exact_bytes_are_kept_from_a_terminal_that_would_obey_them(stored: Stored) -> None:
    place = stored(http_flow(1, response_body=b"\x1b[2J", request_body=b"plain\r\n\ttext"))
    with Terminal(place.argv("flows", "show", flow_id(1), "--raw", "--response"), clean_environment()) as terminal:
        status, said = terminal.finish()
    assert status == 1
    assert "\x1b[2J" not in said
    assert "control characters" in said
    with Terminal(place.argv("flows", "show", flow_id(1), "--raw", "--request"), clean_environment()) as terminal:
        assert terminal.finish()[0] == 0


def test_head_gets_its_lines_and_no_complaint(stored: Stored) -> None:
    place = stored(*(http_flow(number, request={"path": "/" + "x" * 2000}) for number in range(200)))
    with subprocess.Popen(
        place.argv("flows", "list"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment()
    ) as listing:
        assert listing.stdout is not None
        assert listing.stderr is not None
        listing.stdout.readline()
        listing.stdout.close()
        assert listing.stderr.read() == b""
        assert listing.wait(30) == 128 + signal.SIGPIPE


BODY = json.dumps({"model": "m", "text": "grüße 漢字"}, ensure_ascii=False).encode()


def test_show_is_decoded_and_pretty(stored: Stored) -> None:
    encoded = [[b"Content-Type", b"application/json"], [b"Content-Encoding", b"gzip"]]
    place = stored(
        http_flow(1, request={"headers": encoded}, request_body=gzip.compress(BODY), response_body=b'{"ok":true}'),
    )
    said = "\n".join(place.lines("flows", "show", flow_id(1)[:6]))
    assert "POST https://api.anthropic.com/v1/messages/1 HTTP/1.1" in said
    assert "Content-Encoding: gzip" in said
    assert '  "text": "grüße 漢字"' in said
    assert "HTTP/1.1 200 OK" in said
    assert '  "ok": true' in said
    assert "took 1.5s, first byte after 250ms" in said


def test_show_one_side(stored: Stored) -> None:
    place = stored(http_flow(1, request_body=b'"asked"', response_body=b'"answered"'))
    asked = "\n".join(place.lines("flows", "show", flow_id(1), "--request"))
    assert "asked" in asked
    assert "answered" not in asked
    answered = "\n".join(place.lines("flows", "show", flow_id(1), "--response"))
    assert "answered" in answered
    assert "asked" not in answered


def test_both_sides_of_what_was_changed_on_the_way(stored: Stored) -> None:
    client = http_flow(1)["flow"]["request"] | {"path": "/r/abc/anthropic/v1/messages"}
    place = stored(http_flow(1, client_request=client, client_request_body=b'"before"', request_body=b'"after"'))
    said = "\n".join(place.lines("flows", "show", flow_id(1)))
    assert said.index("as the client sent it") < said.index("/r/abc/anthropic") < said.index('"before"')
    assert said.index('"before"') < said.index("as forwarded") < said.index('"after"')


@pytest.mark.parametrize(
    "body", [bytes(range(256)) * 5, b"", b"\r\n", gzip.compress(b"x" * 1000, mtime=0), b"\xff" * 100]
)
def test_raw_bytes_are_exact(stored: Stored, body: bytes) -> None:
    place = stored(http_flow(1, request_body=body, response_body=body[::-1]))
    assert place.run("flows", "show", flow_id(1), "--raw", "--request").stdout == body
    assert place.run("flows", "show", flow_id(1), "--raw", "--response").stdout == body[::-1]
    both = place.run("flows", "show", flow_id(1), "--raw").stdout
    assert both.startswith(b"POST /v1/messages/1 HTTP/1.1\r\nContent-Type: application/json\r\n")
    assert b"\r\n\r\n" + body + b"\r\nHTTP/1.1 200 OK\r\n" in both


def test_a_flow_by_the_beginning_of_its_id(stored: Stored) -> None:
    twins = [
        http_flow(1, id="abcd1111-0000-0000-0000-000000000000"),
        http_flow(2, id="abcd2222-0000-0000-0000-000000000000"),
    ]
    place = stored(*twins)
    assert place.json("flows", "show", "ABCD1")["id"] == twins[0]["flow"]["id"]
    ambiguous = place.run("flows", "show", "abcd")
    assert ambiguous.returncode == 1
    assert b"abcd1111" in ambiguous.stderr
    assert b"abcd2222" in ambiguous.stderr
    missing = place.run("flows", "show", "ffff")
    assert missing.returncode == 1
    assert b"flows list" in missing.stderr


def stream_flow(kind: str) -> list[dict[str, Any]]:
    flow = http_flow(7)["flow"] | {
        "type": kind, "request": None, "response": None, "sizes": {"request": 4, "response": 6},
        "server_conn": {"address": ["192.0.2.9", 22]},
    }  # fmt: skip
    pieces = [
        {"kind": "message", "flow_id": flow["id"], "seq": seq, "from_client": seq == 0, "type": kind, "timestamp": 1.0,
         "content": content}
        for seq, content in enumerate([b"SSH\n", b"\x00\x01\x02", b"end"])
    ]  # fmt: skip
    begin = {"kind": "flow_started", "flow": flow | {"state": "started"}}
    return [begin, *pieces, {"kind": "flow_ended", "flow": flow, "request_body": None, "response_body": None}]


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_streams(stored: Stored, kind: str) -> None:
    place = stored(*stream_flow(kind))
    assert place.lines("flows", "list")[0].split("\t")[1:4] == [kind.upper(), "-", "192.0.2.9:22"]
    said = "\n".join(place.lines("flows", "show", flow_id(7)))
    assert "SSH" in said
    assert "00 01 02" in said
    assert place.run("flows", "show", flow_id(7), "--raw", "--response").stdout == b"\x00\x01\x02end"
    assert place.run("flows", "show", flow_id(7), "--raw").stdout == b"SSH\n\x00\x01\x02end"


def test_har_to_stdout_and_to_a_file(stored: Stored, tmp_path: Path) -> None:
    place = stored(http_flow(1, request_body=BODY), http_flow(2), *stream_flow("tcp"))
    done = place.run("flows", "dump")
    assert done.returncode == 0
    archive = json.loads(done.stdout)["log"]
    assert [page["id"] for page in archive["pages"]] == [flow_id(1), flow_id(2)]
    assert len(archive["entries"]) == 4
    assert b"2 flows written; 1 other left out" in done.stderr
    target = tmp_path / "out.har"
    assert place.run("flows", "dump", "-o", str(target)).stdout == b""
    assert json.loads(target.read_text())["log"]["pages"] == archive["pages"]
    assert list(tmp_path.glob(".out.har*")) == []


def test_har_of_chosen_flows(stored: Stored) -> None:
    place = stored(*(http_flow(number) for number in range(4)))
    chosen = json.loads(place.run("flows", "dump", "--limit", "3", "--jq", ".[-1:]").stdout)["log"]
    assert [page["id"] for page in chosen["pages"]] == [flow_id(3)]
    refused = place.run("flows", "dump", "--jq", "map(.id)")
    assert (refused.returncode, refused.stdout) == (1, b"")
    assert b"do not yield flows" in refused.stderr


def test_har_of_nothing_is_a_har(place: Place) -> None:
    assert json.loads(place.run("flows", "dump").stdout)["log"]["entries"] == []


def test_a_full_disk_is_explained(stored: Stored, tmp_path: Path) -> None:
    place = stored(http_flow(1))
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            place.argv("flows", "dump"), stdout=full, stderr=subprocess.PIPE, env=clean_environment(), timeout=60
        )
    assert done.returncode == 1
    assert b"No space left" in done.stderr
    assert b"Traceback" not in done.stderr
    done = place.run("flows", "dump", "-o", str(tmp_path / "no" / "such" / "place.har"))
    assert done.returncode == 1
    assert b"cannot be written" in done.stderr


def test_clear_needs_to_know_what(place: Place) -> None:
    place.record(http_flow(1))
    for words in ([], ["--all", "--host", "x"]):
        done = place.run("flows", "clear", *words)
        assert done.returncode == 2
        assert b"--all" in done.stderr
    assert len(place.json("flows", "list")) == 1


def test_clear(place: Place) -> None:
    place.record(*(http_flow(number, response={"status_code": 200 + number}) for number in range(4)))
    done = place.run("flows", "clear", "--status", "200")
    assert done.returncode == 0
    assert b"1 flow removed" in done.stderr
    assert b"3 flows removed" in place.run("flows", "clear", "--all").stderr
    assert place.json("flows", "list") == []
    assert b"0 flows removed" in place.run("flows", "clear", "--all").stderr


@pytest.mark.parametrize(("answer", "left"), [("y\n", 0), ("n\n", 2), ("\n", 2), ("\x03", 2)])
def test_clear_asks_on_a_terminal(place: Place, answer: str, left: int) -> None:
    place.record(http_flow(1), http_flow(2))
    with Terminal(place.argv("flows", "clear", "--all"), clean_environment()) as terminal:
        terminal.read_until("Remove 2 flows? [y/N] ")
        terminal.type(answer)
        status, said = terminal.finish()
    assert (status == 0) is (left == 0)
    assert "Traceback" not in said
    assert len(place.json("flows", "list")) == left
    with Terminal(place.argv("flows", "clear", "--all", "--yes"), clean_environment()) as terminal:
        assert terminal.finish()[0] == 0
    assert place.json("flows", "list") == []


def test_clear_where_nothing_was_captured_makes_no_store(place: Place) -> None:
    assert place.run("flows", "clear", "--all").returncode == 0
    assert not place.paths.store_dir.exists()


def test_a_long_result_goes_through_the_pager(stored: Stored) -> None:
    place = stored(
        http_flow(1, response_body=b"line\n" * 200, response={"headers": [[b"content-type", b"text/plain"]]})
    )
    with Terminal(place.argv("flows", "show", flow_id(1)), clean_environment() | {"PAGER": "head -n 1"}) as terminal:
        status, said = terminal.finish()
    assert status == 0
    assert len(said.splitlines()) == 1
    with Terminal(place.argv("flows", "show", flow_id(1)), clean_environment() | {"PAGER": "/no/such"}) as terminal:
        status, said = terminal.finish()
    assert said.count("line") == 200


def test_runs(place: Place) -> None:
    run = {
        "id": "0123456789", "name": "nightly", "mode": "inspect", "project": "p", "tags": {}, "git": None,
        "command": ["claude", "-p", "say hi\x1b[2J"], "cwd": "/", "user": "u", "pid": 1, "host": "h",
        "started_at": 1.7e9, "ended_at": 1.7e9 + 61, "exit_code": 3,
    }  # fmt: skip
    done = place.run("runs", "list")
    assert (done.returncode, done.stdout) == (0, b"")
    place.record({"kind": "run_started", "run": run | {"ended_at": None, "exit_code": None}})
    place.record({"kind": "run_ended", "id": run["id"], "ended_at": run["ended_at"], "exit_code": 3})
    cells = place.lines("runs", "list")[0].split("\t")
    assert cells[:2] == ["0123456789", "inspect"]
    assert cells[3:] == ["1m01s", "3", "p", "nightly", "claude -p 'say hi\\e[2J'"]
    assert place.json("runs", "list")[0]["command"] == run["command"]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_terminal_of_another_encoding(stored: Stored, encoding: str) -> None:
    place = stored(http_flow(1, request={"path": "/漢字/é/😀"}, request_body="漢 😀".encode()))
    environ = {"PYTHONIOENCODING": encoding}
    listed = place.run("flows", "list", env=environ)
    assert listed.returncode == 0, listed.stderr
    assert ("漢字" if encoding == "utf-8" else "\\u6f22\\u5b57") in listed.stdout.decode(encoding)
    records = json.loads(place.run("flows", "list", "--json", env=environ).stdout.decode(encoding))
    assert records[0]["request"]["path"] == "/漢字/é/😀"
    filtered = place.run("flows", "list", "--jq", "map(.request.path)", env=environ)
    assert json.loads(filtered.stdout.decode(encoding)) == ["/漢字/é/😀"]
    assert place.run("flows", "show", flow_id(1), env=environ).returncode == 0
