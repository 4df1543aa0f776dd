"""What hooks may do to a request, and what they cannot."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from typing import Any

import pytest
from pydantic import BaseModel

from ccinspect.errors import CredentialsError
from ccinspect.pipeline.context import Context, Head, Refusal
from ccinspect.pipeline.declaration import Hook, hook
from ccinspect.pipeline.overrides import parse_overrides
from ccinspect.pipeline.pipeline import Pipeline
from ccinspect.pipeline.records import HookRecord
from ccinspect.pipeline.services import Services
from tests.pipeline.running import FACTS, request, run, states, steps

WAYS = ["thread", "loop", "inline", "inline coroutine"]


def made(way: str, body: Any, **declaration: Any) -> Hook:
    """A hook that does what the plain function `body` does, run in each of the ways."""
    declaration = {"name": "it", "reads": (), "writes": ("body", "headers", "url", "method", "session")} | declaration

    async def coroutine(ctx: Context) -> Any:
        await asyncio.sleep(0)
        return body(ctx)

    def plain(ctx: Context) -> Any:
        return body(ctx)

    function = coroutine if way in ("loop", "inline coroutine") else plain
    return hook(inline=way.startswith("inline"), **declaration)(function)


@pytest.mark.parametrize("way", WAYS)
def test_what_was_declared_is_taken_over(way: str) -> None:
    def change(ctx: Context) -> None:
        ctx.json["model"] = "b"
        ctx.headers.set("X-New", "1")
        ctx.headers.remove("x-old")
        ctx.request.host, ctx.request.port, ctx.request.path = "other.example", 8443, "/x?y=1"
        ctx.request.method = "PUT"
        ctx.session = "another"
        ctx.notes["seen"] = {"n": 1}

    given = request(b'{"n": 1.50, "model" : "a"}', x_old="0", x_kept="2")
    result = run(made(way, change), outgoing=given)
    assert states(result) == {"it": "ran"}
    left = result.outgoing
    assert left.body == b'{"n": 1.50, "model" : "b"}'
    assert left.headers.fields == ((b"x-kept", b"2"), (b"X-New", b"1"))
    assert (left.method, left.url) == ("PUT", "https://other.example:8443/x?y=1")
    assert result.session == "another"
    assert result.notes == {"seen": {"n": 1}}
    assert result.changed
    assert sorted(result.records[0].changed) == [
        ".model", "headers.x-new", "headers.x-old", "method", "session", "url.host", "url.path", "url.port",
    ]  # fmt: skip
    # The request that was given in is as it was.
    assert given.headers.fields == ((b"x-old", b"0"), (b"x-kept", b"2"))
    assert given.body == b'{"n": 1.50, "model" : "a"}'
    assert given.host == "api.anthropic.com"
    json.dumps(result.as_record())


def test_one_part_may_be_named_without_a_tuple() -> None:
    def change(ctx: Context) -> None:
        ctx.json["model"] = "b"
        ctx.headers.set("x-new", "1")

    result = run(made("inline", change, reads="session", writes="body"), outgoing=request(b'{"model": "a"}'))
    assert result.outgoing.body == b'{"model": "b"}'
    assert result.outgoing.headers.fields == ()


@pytest.mark.parametrize("way", WAYS)
def test_who_changes_nothing_costs_no_byte(way: str) -> None:
    given = request(b'{ "a" : 1e5 }', x="1")
    result = run(made(way, lambda ctx: ctx.json["a"]), outgoing=given)
    assert result.outgoing is given
    assert not result.changed


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "error", [ValueError("boom"), SystemExit(3), StopIteration(), asyncio.CancelledError(), KeyError("x")]
)
def test_an_error_takes_the_hooks_own_changes_back(way: str, error: BaseException) -> None:
    def fail(ctx: Context) -> None:
        ctx.json["a"] = 2
        ctx.headers.set("x", "2")
        raise error

    second = hook(reads=("headers",), writes=("headers.y",), name="second")(lambda ctx: ctx.headers.set("y", "1"))
    result = run(made(way, fail), second, outgoing=request({"a": 1}, x="1"))
    assert states(result) == {"it": "failed", "second": "ran"}
    assert type(error).__name__ in (result.records[0].error or "") or isinstance(error, StopIteration)
    assert result.outgoing.headers.fields == ((b"x", b"1"), (b"y", b"1"))
    assert json.loads(result.outgoing.body or b"") == {"a": 1}


def _left(name: str, value: object) -> Any:
    def change(ctx: Context) -> None:
        setattr(ctx.request, name, value)

    return change


NONSENSE: dict[str, Any] = {
    "a set in the body": lambda ctx: ctx.json.update(a={1, 2}),
    "bytes in the body": lambda ctx: ctx.json.update(a=b"x"),
    "an object in the body": lambda ctx: ctx.json.update(a=object()),
    "not a number": lambda ctx: ctx.json.update(a=float("nan")),
    "itself": lambda ctx: ctx.json.update(a=ctx.json),
    "no body": lambda ctx: setattr(ctx, "json", None),
    "text as bytes": _left("body", "text"),
    "both ways": lambda ctx: (ctx.json.update(a=2), setattr(ctx.request, "body", b"{}")),
    "no headers": _left("headers", None),
    "a header of two lines": lambda ctx: ctx.headers.set("x", "1\r\nevil: 2"),
    "a header without a name": lambda ctx: ctx.headers.add("", "1"),
    "a name with a colon": lambda ctx: ctx.headers.add("a: b", "1"),
    "fields of text": lambda ctx: setattr(ctx.headers, "fields", (("a", "b"),)),
    "a port that is none": _left("port", 0),
    "a port that is text": _left("port", "443"),
    "a host with a slash": _left("host", "a/b"),
    "no host": _left("host", ""),
    "a path of two lines": _left("path", "/a HTTP/1.1\r\nx: y"),
    "a relative path": _left("path", "a"),
    "another scheme": _left("scheme", "file"),
    "a method with space": _left("method", "GET /"),
    "a session that is no text": lambda ctx: setattr(ctx, "session", 5),
    "notes that are none": lambda ctx: setattr(ctx, "notes", 5),
    "notes that JSON cannot say": lambda ctx: ctx.notes.update(x={1}),
    "no request": lambda ctx: setattr(ctx, "request", None),
}


@pytest.mark.parametrize("way", ["thread", "loop", "inline"])
@pytest.mark.parametrize("what", NONSENSE)
def test_nonsense_is_not_taken_over(what: str, way: str) -> None:
    given = request({"a": 1}, x="1")
    result = run(made(way, NONSENSE[what]), outgoing=given)
    assert states(result) == {"it": "failed"}
    assert result.records[0].error
    assert result.outgoing is given
    json.dumps(result.as_record())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("returned", [5, "text", {"a": 1}, object(), type("x" * 10_000, (), {})()])
def test_what_a_hook_returns_means_nothing_and_the_flow_says_so(returned: object, way: str) -> None:
    def change(ctx: Context) -> object:
        ctx.headers.set("x", "2")
        return returned

    result = run(made(way, change, writes=("headers.x",)), outgoing=request({}, x="1"))
    assert states(result) == {"it": "ran"}
    assert result.outgoing.headers.get("x") == "2"
    said = result.records[0].error
    assert said
    assert f"({type(returned).__name__[:80]}) means nothing" in said


@pytest.mark.parametrize("way", WAYS)
def test_a_hook_may_return_what_it_was_given(way: str) -> None:
    assert run(made(way, lambda ctx: ctx), outgoing=request({})).records[0].error is None


@pytest.mark.parametrize("way", WAYS)
def test_what_was_not_declared_is_not_taken_and_said(way: str) -> None:
    def change(ctx: Context) -> None:
        ctx.json["model"] = "b"
        ctx.json["metadata"]["user_id"] = "u"
        ctx.json["metadata"]["other"] = "u"
        ctx.headers.set("x", "2")
        ctx.headers.set("y", "2")
        ctx.request.host = "evil.example"
        ctx.session = "s"

    changing = made(way, change, writes=("body.metadata.user_id", "headers.Y"))
    result = run(changing, outgoing=request(b'{"model":"a","metadata":{"user_id":"v" ,"other":1.0}}', x="1", y="1"))
    assert result.outgoing.body == b'{"model":"a","metadata":{"user_id":"u" ,"other":1.0}}'
    assert result.outgoing.headers.fields == ((b"x", b"1"), (b"y", b"2"))
    assert result.outgoing.host == "api.anthropic.com"
    assert result.session == "session-1"
    record = result.records[0].as_record()
    assert record["changed"] == ["headers.y", ".metadata.user_id"]
    assert record["dropped"] == ["headers.x", "url.host", "session", "body.model", "body.metadata.other"]


def test_independent_hooks_run_at_the_same_time() -> None:
    """Each waits for the other: one after the other, both would fail."""
    meeting = threading.Barrier(3, timeout=20)

    def meet(name: str) -> Hook:
        def wait(ctx: Context) -> None:
            ctx.json[name] = 1
            ctx.headers.set(name, "1")
            meeting.wait()

        return hook(reads=(), writes=(f"body.{name}", f"headers.{name}"), name=name)(wait)

    result = run(meet("a"), meet("b"), meet("c"), outgoing=request(b'{"k": 1.0}'), timeout=30)
    assert states(result) == {"a": "ran", "b": "ran", "c": "ran"}
    assert json.loads(result.outgoing.body or b"") == {"k": 1.0, "a": 1, "b": 1, "c": 1}
    assert (result.outgoing.body or b"").startswith(b'{"k": 1.0')
    assert sorted(result.outgoing.headers) == ["a", "b", "c"]


def test_coroutines_meet_in_a_loop_that_is_not_the_proxys() -> None:
    loops: list[Any] = []

    @hook(name="one")
    async def one(ctx: Context) -> None:
        loops.append(asyncio.get_running_loop())

    async def through() -> None:
        pipeline = Pipeline({"inbound": steps([one])})
        await pipeline.run("inbound", request(), FACTS)
        await pipeline.run("inbound", request(), FACTS)
        assert loops[0] is loops[1]
        assert loops[0] is not asyncio.get_running_loop()
        pipeline.close()

    asyncio.run(through())


@pytest.mark.parametrize("way", WAYS)
def test_who_reads_sees_what_was_written(way: str) -> None:
    def write(ctx: Context) -> None:
        ctx.json["model"] = ctx.json["model"] + "1"

    writer = made(way, write, reads=("body",), writes=("body",))
    seen: list[Any] = []
    reader = hook(reads=("body.model",), name="reader")(lambda ctx: seen.append(ctx.json["model"]))
    result = run(reader, writer, writer, outgoing=request({"model": "m"}))
    assert seen == ["m11"]
    assert json.loads(result.outgoing.body or b"") == {"model": "m11"}


@pytest.mark.parametrize("way", WAYS)
def test_an_error_of_credentials_is_fatal(way: str) -> None:
    def fail(ctx: Context) -> None:
        raise CredentialsError("no key", "get one")

    after = hook(reads=("headers",), name="after")(lambda ctx: None)
    pipeline = Pipeline({"inbound": steps([made(way, fail), after])})
    records: list[HookRecord] = []
    with pytest.raises(CredentialsError, match="no key"):
        asyncio.run(pipeline.run("inbound", request({}), FACTS, records=records))
    pipeline.close()
    assert [(record.name, record.state, record.error) for record in records] == [("it", "failed", "no key")]


@pytest.mark.parametrize("way", WAYS)
def test_a_hook_may_refuse(way: str) -> None:
    def refuse(ctx: Context) -> None:
        ctx.headers.set("x", "2")
        ctx.refuse("rate_limit", "the budget is spent", retry_after=60)

    after = hook(reads=("headers",), name="after")(lambda ctx: None)
    result = run(made(way, refuse), after, outgoing=request({}, x="1"))
    assert isinstance(result.refusal, Refusal)
    assert (result.refusal.kind, result.refusal.message) == ("rate_limit", "the budget is spent")
    assert (result.refusal.retry_after, result.refusal.hook) == (60, "it")
    assert states(result) == {"it": "refused", "after": "skipped"}
    assert result.outgoing.headers.get("x") == "1"
    assert result.as_record()["refusal"]["kind"] == "rate_limit"


@pytest.mark.parametrize(("kind", "status"), [("nonsense", None), ("rate_limit", 200), ("rate_limit", "429")])
def test_a_refusal_that_is_none_is_an_error_of_the_hook(kind: str, status: Any) -> None:
    result = run(hook(name="it")(lambda ctx: ctx.refuse(kind, "no", status=status)))
    assert states(result) == {"it": "failed"}
    assert result.refusal is None


def test_guards_decide_by_the_head() -> None:
    def guard(head: Head) -> bool:
        return head.facts.agent == "codex" or head.headers.get("x") == "1"

    it = hook(name="it", guard=guard)(lambda ctx: None)
    assert states(run(it)) == {"it": "skipped"}
    assert states(run(it, outgoing=request(x="1"))) == {"it": "ran"}


def test_a_guard_that_fails_is_a_hook_that_fails() -> None:
    it = hook(name="it", guard=lambda head: head.json)(lambda ctx: None)  # type: ignore[attr-defined]
    result = run(it, outgoing=request({}))
    assert states(result) == {"it": "failed"}
    assert "guard" in (result.records[0].error or "")
    assert states(run(hook(name="it", guard=lambda head: sys.exit(1))(lambda ctx: None))) == {"it": "failed"}


def test_a_request_may_force_and_skip() -> None:
    never = hook(name="never", guard=lambda head: False)(lambda ctx: None)
    always = hook(name="always")(lambda ctx: None)
    result = run(never, always, overrides=parse_overrides("+never,-always,+typo,never2"))
    assert states(result) == {"never": "ran", "always": "skipped"}
    assert result.unknown == ["typo", "never2"]
    assert states(run(never, always, overrides=parse_overrides("never,always"))) == {
        "never": "skipped",
        "always": "ran",
    }


def test_the_body_is_needed_only_by_those_that_may_run() -> None:
    reads_body = hook(name="reader", reads=("body.model",), guard=lambda head: head.headers.get("x") == "1")(
        lambda ctx: None
    )
    heads_only = hook(name="heads", reads=("headers",))(lambda ctx: None)
    asks = hook(name="asks", reads=("body",), needs_body=lambda head: head.path == "/b")(lambda ctx: None)
    broken = hook(name="broken", reads=("body",), guard=lambda head: 1 / 0 > 0)(lambda ctx: None)
    pipeline = Pipeline({"inbound": steps([reads_body, heads_only, broken]), "outbound": steps([asks])})
    assert not pipeline.needs_body(FACTS, request())
    assert pipeline.needs_body(FACTS, request(x="1"))
    assert not pipeline.needs_body(FACTS, request(x="1"), parse_overrides("-reader"))
    assert pipeline.needs_body(FACTS, request(), parse_overrides("+reader"))
    assert pipeline.needs_body(FACTS, request(path="/b"))
    assert not pipeline.needs_body(FACTS, request(path="/b"), stages=("inbound",))
    pipeline.close()


def test_a_body_that_was_not_read_is_missed_and_said() -> None:
    ran: list[int] = []
    it = hook(name="it", reads=("body",))(lambda ctx: ran.append(1))
    result = run(it, outgoing=request(None))
    assert states(result) == {"it": "skipped"}
    assert result.records[0].error == "the body was not read"
    assert ran == []


def test_a_body_that_is_no_json_is_none() -> None:
    seen: list[Any] = []
    it = hook(name="it", reads=("body",), writes=("body",))(lambda ctx: seen.append((ctx.json, ctx.request.body)))
    result = run(it, outgoing=request(b"\xff not json"))
    assert seen == [(None, b"\xff not json")]
    assert states(result) == {"it": "ran"}
    assert not result.changed


def test_bytes_may_be_replaced() -> None:
    it = hook(name="it", writes=("body",))(lambda ctx: setattr(ctx.request, "body", b"new"))
    result = run(it, outgoing=request(b"old"))
    assert result.outgoing.body == b"new"
    assert result.records[0].changed == ["body"]


class Params(BaseModel):
    name: str = "x"


def test_parameters_are_given() -> None:
    @hook(params=Params, writes=("headers",))
    def it(ctx: Context, params: Params) -> None:
        ctx.headers.set(params.name, "1")

    assert run((it, Params(name="y"))).outgoing.headers.get("y") == "1"


def test_secrets_of_the_request_are_not_in_errors() -> None:
    def fail(ctx: Context) -> None:
        raise ValueError(f"cannot use {ctx.headers.get('authorization')} and {ctx.headers.get('x-api-key')}")

    result = run(
        hook(name="it")(fail), outgoing=request(authorization="Bearer sk-ant-1234567", x_api_key="key-7654321")
    )
    assert "1234567" not in str(result.as_record())
    assert "7654321" not in str(result.as_record())
    assert "cannot use" in (result.records[0].error or "")


def test_an_exception_that_cannot_be_shown() -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise RuntimeError("never")

    def fail(ctx: Context) -> None:
        raise Odd

    assert "Odd" in (run(hook(name="it")(fail)).records[0].error or "")


def test_many_changes_are_named_up_to_a_limit() -> None:
    it = hook(name="it", writes=("body",))(lambda ctx: ctx.json.update({f"k{n}": n for n in range(500)}))
    result = run(it, outgoing=request({}))
    assert len(result.records[0].changed) == 50
    assert len(json.loads(result.outgoing.body or b"")) == 500


def test_a_hook_that_keeps_its_context_changes_nothing_later() -> None:
    kept: list[Context] = []

    def keep(ctx: Context) -> None:
        ctx.json["a"]["b"] = 1
        kept.append(ctx)

    later = hook(name="later", reads=("body",), writes=("headers.x",))(lambda ctx: kept[0].json["a"].update(b=2))
    result = run(hook(name="keep", writes=("body",))(keep), later, outgoing=request({"a": {}}))
    assert json.loads(result.outgoing.body or b"") == {"a": {"b": 1}}


def test_services_are_found_by_their_class() -> None:
    seen: list[object] = []
    it = hook(name="it", guard=lambda head: head.services.get(Params).name == "service")(
        lambda ctx: seen.append((ctx.services.get(Params), ctx.services.find(Pipeline)))
    )
    service = Params(name="service")
    pipeline = Pipeline({"inbound": steps([it])}, services=Services(service))
    assert states(asyncio.run(pipeline.run("inbound", request(), FACTS))) == {"it": "ran"}
    pipeline.close()
    assert seen == [(service, None)]
    assert states(run(it)) == {"it": "failed"}


@pytest.mark.parametrize("failure", ["raises", "hangs", "nonsense", "guard"])
def test_a_hook_that_keeps_something_in_fails_closed(failure: str) -> None:
    gate = threading.Event()

    def keep(ctx: Context) -> None:
        if failure == "raises":
            raise ValueError
        if failure == "hangs":
            gate.wait()
        ctx.headers.add("\r\n", "")

    keeping = hook(
        name="keeps",
        writes=("headers",),
        fail_closed=True,
        guard=lambda head: head.nothing if failure == "guard" else True,  # type: ignore[attr-defined]
    )(keep)
    after = hook(name="after", reads=("headers",))(lambda ctx: None)
    result = run(keeping, after, timeout=0.05, overrides=parse_overrides("-keeps"))
    gate.set()
    assert states(result) == {"keeps": "timeout" if failure == "hangs" else "failed", "after": "skipped"}
    assert result.refusal is not None
    assert (result.refusal.kind, result.refusal.hook) == ("server", "keeps")


def test_endless_notes_are_not_kept() -> None:
    result = run(hook(name="it")(lambda ctx: ctx.notes.update(x="y" * 100_000)))
    assert states(result) == {"it": "ran"}
    assert result.notes == {}
    assert "notes" in result.records[0].dropped[0]
