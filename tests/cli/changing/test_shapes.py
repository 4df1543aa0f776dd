"""`shapes` on a real store."""

from __future__ import annotations

import json
import stat
from typing import Any

import pytest

from tests.cli.conftest import Place, flow_id, http_flow
from tests.cli.model_calls import anthropic_call, user
from tests.cli.screens import on_terminal

HEADERS = [
    [b"Content-Type", b"application/json"],
    [b"User-Agent", b"claude-cli/2.1.3 (external, cli)"],
    [b"x-api-key", b"sk-ant-api03-AbCdEfGhIjKlMnOp"],
    [b"anthropic-version", b"2023-06-01"],
    [b"anthropic-beta", b"claude-code-20250219,interleaved-thinking-2025-05-14"],
]
SAID = "my name is Alice and this is what I said"


def call(number: int, status: int = 200, **body: Any) -> dict[str, Any]:
    made = anthropic_call(number, [user(SAID)], [{"type": "text", "text": "ok"}], body=body, headers=HEADERS)
    made["flow"]["response"]["status_code"] = status
    return made


def files(place: Place) -> list[str]:
    return sorted(path.name for path in (place.paths.config_dir / "shapes").glob("*"))


def test_the_newest_call_that_went_well_is_saved(place: Place) -> None:
    place.record(
        call(1, temperature=0.1),
        call(2, temperature=0.2),
        call(3, 400, temperature=0.3),
        http_flow(4, request_body=b"{}"),
    )
    done = place.run("shapes", "save", "mine", "--description", "for tests")
    assert done.returncode == 0, done.stderr.decode()
    assert f"shape mine of flow {flow_id(2)} is saved" in done.stderr.decode()
    assert b"left out, credential: headers.x-api-key" in done.stderr
    path = place.paths.config_dir / "shapes" / "mine.yaml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    for word in ("Alice", "AbCd", "MnOp", "REDACTED", "claude-cli", "claude-code-2025"):
        assert word not in text
    shape = place.json("shapes", "show", "mine")
    assert shape["body"] == {"model": "claude-sonnet-4-5", "max_tokens": 1000, "temperature": 0.2}
    assert (shape["agent"], shape["saved_from"], shape["description"]) == ("claude-code", flow_id(2), "for tests")
    assert "\n".join(place.lines("shapes", "show", "mine")) + "\n" == text
    own = [each for each in place.json("shapes", "list") if each["origin"] == "own"]
    assert [(each["name"], each["dialect"], each["agent"]) for each in own] == [("mine", "anthropic", "claude-code")]


def test_nothing_is_saved_when_something_private_would_be(place: Place) -> None:
    place.record(call(1, system="Your files are in /home/alice/work."))
    done = place.run("shapes", "save", "mine", "--keep", ".system")
    assert done.returncode == 1
    assert b"body.system: home directory (/home/alice)" in done.stderr
    assert b"--drop '.system'" in done.stderr
    assert files(place) == []
    assert place.run("shapes", "save", "mine", "--keep", ".tools").returncode == 0
    assert [tool["name"] for tool in place.json("shapes", "show", "mine")["body"]["tools"]] == [
        "Bash",
        "mcp__github__search",
    ]


def test_a_shape_is_replaced_and_removed_only_when_that_is_said(place: Place) -> None:
    place.record(call(1, temperature=0.1), call(2, temperature=0.2))
    assert place.run("shapes", "save", "mine", flow_id(1)[:8]).returncode == 0
    again = place.run("shapes", "save", "mine", flow_id(2))
    assert (again.returncode, b"already" in again.stderr) == (1, True)
    assert place.json("shapes", "show", "mine")["body"]["temperature"] == 0.1
    assert place.run("shapes", "save", "mine", flow_id(2), "--replace").returncode == 0
    assert place.json("shapes", "show", "mine")["body"]["temperature"] == 0.2
    assert place.run("shapes", "remove", "mine").returncode == 0
    assert files(place) == []
    assert place.run("shapes", "remove", "anthropic").returncode == 1


def test_a_failed_call_is_saved_only_when_that_is_said(place: Place) -> None:
    place.record(call(1, 529))
    done = place.run("shapes", "save", "mine", flow_id(1))
    assert (done.returncode, b"not answered with success" in done.stderr) == (1, True)
    assert place.run("shapes", "save", "mine").returncode == 1
    assert place.run("shapes", "save", "mine", "--failed").returncode == 0


def test_shapes_are_audited(place: Place) -> None:
    assert place.run("shapes", "audit").returncode == 0
    place.record(call(1))
    place.run("shapes", "save", "mine")
    assert place.json("shapes", "audit", "mine") == [{"name": "mine", "remarks": []}]
    path = place.paths.config_dir / "shapes" / "mine.yaml"
    path.write_text(path.read_text() + "  system: mail alice@corp.org\n")
    done = place.run("shapes", "audit", "--json")
    assert done.returncode == 1
    found = {each["name"]: each["remarks"] for each in json.loads(done.stdout)}
    assert found["mine"] == [{"level": "private", "where": "body.system", "text": "e-mail address (a...@corp.org)"}]
    (place.paths.config_dir / "shapes" / "broken.yaml").write_text("name: [")
    done = place.run("shapes", "audit")
    assert done.returncode == 1
    assert b"broken" in done.stdout
    assert place.run("shapes", "audit", "mine").returncode == 1
    assert place.run("shapes", "audit", "anthropic").returncode == 0


def test_shapes_are_compared_with_shapes_and_flows(place: Place) -> None:
    place.record(call(1, temperature=0.1), call(2, temperature=0.2))
    place.run("shapes", "save", "one", flow_id(1), "--keep", ".tools")
    place.run("shapes", "save", "two", flow_id(2), "--keep", ".tools")
    for other in ("two", flow_id(2)):
        done = place.run("shapes", "diff", "one", other)
        assert done.returncode == 1, done.stderr
        changed = [line for line in done.stdout.decode().splitlines()[2:] if line[:1] in "+-"]
        assert changed == ["-  temperature: 0.1", "+  temperature: 0.2"]
    same = place.run("shapes", "diff", "one", flow_id(1))
    assert (same.returncode, same.stdout) == (0, b"")


def test_the_table_fits_a_terminal(place: Place) -> None:
    (place.paths.config_dir / "shapes").mkdir()
    (place.paths.config_dir / "shapes" / "odd.yaml").write_text("name: \x1b[31m")
    said = on_terminal(place, "shapes", "list", NO_COLOR="1")
    assert all(len(line) <= 80 for line in said.splitlines())
    assert "\x1b[31m" not in said
    assert "openai_responses" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", "none"], b"there is no shape 'none'"),
        (["audit", "none"], b"there is no shape 'none'"),
        (["remove", "../x"], b"cannot be the name of a shape"),
        (["save", "a/b"], b"cannot be the name of a shape"),
        (["save", "mine", "ffffffff"], b"no flow has the id"),
        (["save", "mine"], b"is a model call that went well"),
        (["save", "mine", flow_id(7)[:8]], b"is no model call"),
        (["save", "mine", flow_id(8)[:8]], b"cannot be read"),
        (["save", "mine", flow_id(9)[:8], "--keep", ".messages"], b"cannot hold"),
        (["diff", "anthropic", "none"], b"no flow has the id"),
    ],
)
def test_mistakes_are_explained(place: Place, words: list[str], said: bytes) -> None:
    encoded = http_flow(
        8, request={"path": "/v1/messages", "headers": [[b"content-encoding", b"gzip"]]}, request_body=b"no"
    )
    place.record(http_flow(7, request={"path": "/x"}))
    if flow_id(8)[:8] in words:
        place.record(encoded)
    if "--keep" in words:
        place.record(call(9))
    done = place.run("shapes", *words)
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.startswith(b"ccinspect: ")
    assert b"Traceback" not in done.stderr
