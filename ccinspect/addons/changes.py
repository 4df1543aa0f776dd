"""Changes requests on their way out and answers on their way back: rules, hooks, credentials, fallbacks.

A flow that nothing wants to change passes untouched and unread. One whose body is needed is read whole first; its
answer still streams, translated piece by piece where the client speaks another dialect than the upstream.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from typing import Any

from mitmproxy import http

from ccinspect.addons.exchange import Exchange
from ccinspect.addons.outgoing import FactFinder, apply_to, outgoing_of, read_body
from ccinspect.addons.records import request_record, response_record
from ccinspect.addons.resending import AGAIN, ANSWERED, PROBLEM, RETRIES
from ccinspect.auth.resolver import Credential, Credentials
from ccinspect.auth.sentinel import Sentinel, apply, find_sentinel, may_use
from ccinspect.errors import CredentialsError
from ccinspect.pipeline.message import Facts, Headers, Outgoing
from ccinspect.transform.destinations import Destination
from ccinspect.transform.diagnostics import HEADER, as_records, header_value
from ccinspect.transform.fallbacks import Fallbacks, GiveUp, GoOn, TryAgain
from ccinspect.transform.request import Translated, Untranslatable, redirect, translate, without_credentials
from ccinspect.transform.response import ResponseTranslator, failed
from ccinspect.transform.routes import Decision, Router
from ccinspect.transform.settings import FallbackSettings
from ccinspect.wire.jsontext import as_name, as_object, parse
from ccinspect.wire.model import Diagnostic, ErrorKind
from ccinspect.wire.ratelimits import parse_rate_limits

# Smaller bodies are translated where they are: handing them to a thread would take longer.
_WORTH_A_THREAD = 32_768
_ERROR_EXCERPT = 2_000


@dataclass(frozen=True)
class Plan:
    """What the configuration wants to be changed."""

    router: Router
    credentials: Credentials
    token: str | None = None
    """What programs that are no runs of ours must hold to use a sentinel."""


class Changes:
    """Addon: stands before the inspector, which records what it did."""

    name = "ccinspect_changes"

    def __init__(self, facts: FactFinder, plan: Plan) -> None:
        self.facts = facts
        self.plan = plan
        """Put in place anew by `reload`; what has begun goes on with the old one."""

    def requestheaders(self, captured: http.HTTPFlow) -> Awaitable[None] | None:
        if captured.response is not None or captured.is_replay:
            return None
        sentinel = find_sentinel(captured.request.headers.fields, captured.request.path)
        if sentinel is None and not self.plan.router:
            return None
        change = Change(self, captured, sentinel)
        if not change.is_wanted():
            return None
        change.exchange.attach(captured)
        captured.metadata[_CHANGE] = change
        if change.reads_body():
            change.exchange.reads_request = True
            return None
        return change.send()

    def request(self, captured: http.HTTPFlow) -> Awaitable[None] | None:
        change: Change | None = captured.metadata.get(_CHANGE)
        if change is None or not change.exchange.reads_request or captured.response is not None:
            return None
        return change.send()

    def responseheaders(self, captured: http.HTTPFlow) -> None:
        change: Change | None = captured.metadata.get(_CHANGE)
        if change is not None and not change.answered and captured.response is not None:
            change.take_head(captured.response)

    def response(self, captured: http.HTTPFlow) -> Awaitable[None] | None:
        change: Change | None = captured.metadata.pop(_CHANGE, None)
        if change is None:
            return None
        return change.finish()

    def error(self, captured: http.HTTPFlow) -> None:
        change: Change | None = captured.metadata.pop(_CHANGE, None)
        if change is not None:
            change.record()

    async def ccinspect_attempt_failed(self, captured: http.HTTPFlow) -> None:
        # The layer that brought the answer has to finish with it first.
        await asyncio.sleep(0)
        change: Change | None = captured.metadata.get(_CHANGE)
        if change is not None:
            await change.after_failure()


_CHANGE = "ccinspect.change"


class Change:
    """All that happens to one request."""

    def __init__(self, changes: Changes, captured: http.HTTPFlow, sentinel: Sentinel | None) -> None:
        self._router = changes.plan.router
        self._credentials = changes.plan.credentials
        self._token = changes.plan.token
        self._captured = captured
        self._sentinel = sentinel
        self._client = outgoing_of(captured)
        self._facts: Facts = changes.facts.of(captured)
        snapshot = captured.metadata.get("ccinspect.client_request")
        self.exchange = Exchange(snapshot or request_record(captured.request))
        self.answered = False
        """The answer is ours, in the client's dialect already."""
        self._attempts: list[dict[str, Any]] = []
        self._attempt_started = time.monotonic()
        self._diagnostics: list[Diagnostic] = []
        self._sent: Outgoing | None = None
        self._decision: Decision | None = None
        self._destination: Destination | None = None
        self._model: str | None = None
        self._translated: Translated | None = None
        self._translator: ResponseTranslator | None = None
        self._credential: Credential | None = None
        self._renewed = False
        self._fallbacks: Fallbacks | None = None

    def is_wanted(self) -> bool:
        """Whether anything may be done to this request."""
        if self._sentinel is not None:
            return True
        model_is_open = self._router.needs_body(self._facts, self._client)
        return model_is_open or self._router.route(self._facts, self._client, None) is not None

    def reads_body(self) -> bool:
        """Whether the request must be there whole before anything can be sent."""
        if _has_no_body(self._captured.request):
            return False
        if self._router.needs_body(self._facts, self._client) or self._fallback_settings() is not None:
            return True
        # A refused credential is renewed, and the request sent again.
        return self._sentinel is not None

    def _fallback_settings(self) -> FallbackSettings | None:
        decision = self._router.route(self._facts, self._client, None)
        destination = self._destination_of(decision)
        return destination.fallbacks if destination else None

    def _destination_of(self, decision: Decision | None) -> Destination | None:
        if decision is not None:
            return decision.destination
        return self._router.destinations.get(self._sentinel.name) if self._sentinel else None

    async def send(self) -> None:
        """Make the request that is forwarded, or answer in its place."""
        try:
            if self.exchange.reads_request:
                self._client = replace(self._client, body=read_body(self._captured.request))
            await self._prepare(await self._requested_model())
        except Untranslatable as error:
            self._refuse(error.kind, error.message, "translation")
        except CredentialsError as error:
            self._refuse(ErrorKind.AUTHENTICATION, f"{error.message}. {error.hint}".rstrip(". ") + ".", "credentials")

    async def _requested_model(self) -> str | None:
        body = self._client.body
        if self._facts.dialect is None:
            return None
        if self._facts.dialect == "gemini":
            return _model_in_path(self._client.path)
        if not body:
            return None
        value, _ = await asyncio.to_thread(parse, body) if len(body) > _WORTH_A_THREAD else parse(body)
        return as_name(as_object(value).get("model"))

    async def _prepare(self, model: str | None) -> None:
        decision = self._decision = self._router.route(self._facts, self._client, model)
        if decision is not None and decision.action == "deny":
            reason = decision.reason or f"rule {decision.rule} of inspector.transforms denies this request"
            self._refuse(ErrorKind.PERMISSION, reason, "rule")
            return
        self._check_sentinel()
        destination = self._destination_of(decision)
        wanted = decision.model if decision else None
        path = decision.path if decision else None
        if decision is not None and destination is None and (wanted or path):
            destination = _where_it_goes(self._client, self._facts)
        await self._make(destination, wanted, path)
        if destination is not None and destination.fallbacks is not None and self.exchange.reads_request:
            self._fallbacks = Fallbacks(destination.fallbacks, time.monotonic())
        if self._fallbacks is not None or self._credential is not None:
            self._captured.metadata[RETRIES] = self

    def _check_sentinel(self) -> None:
        if self._sentinel is None:
            return
        refusal = may_use(self._facts, self._client.headers, self._token)
        if refusal is not None:
            raise CredentialsError(f"the key {self._sentinel.text} was not replaced: {refusal}", "")
        if self._sentinel.name not in self._credentials:
            known = ", ".join(sorted(self._credentials)) or "none"
            raise CredentialsError(
                f"the key {self._sentinel.text} stands for the credential of a provider that has none",
                f"add providers.{self._sentinel.name or 'NAME'}.auth to ccinspect.yaml; providers with one: {known}",
            )

    async def _make(self, destination: Destination | None, model: str | None, path: str | None) -> None:
        """Turn the client's request into the one for `destination`, with its credential, and put it into the flow."""
        self._destination, self._model = destination, model
        client = self._client
        translated: Translated | None = None
        translates = self._facts.dialect is not None and client.body is not None
        if destination is None:
            out = replace(client, headers=Headers(client.headers.fields))
        elif translates and (self._decision is None or self._decision.action == "transform"):
            translated = await self._translate(destination, model, path)
            out = translated.outgoing
            self._diagnostics = list(translated.diagnostics)
        else:
            if self._decision is not None and self._decision.action == "transform" and self._facts.dialect:
                self._upgrade_required()
                return
            out = redirect(client, destination, model, path)
        self._translated = translated
        await self._authenticate(out, destination)
        self._translator = (
            ResponseTranslator(translated.needs, translated.upstream_dialect, self._diagnostics)
            if translated is not None and translated.translates
            else None
        )
        self._sent = out
        self._attempt_started = time.monotonic()
        apply_to(self._captured, out, client)
        if self.exchange.reads_request and out.body is not client.body:
            self.exchange.client_body = self.exchange.client_body or self._original_body
        self.record()

    async def _translate(self, destination: Destination, model: str | None, path: str | None) -> Translated:
        assert self._facts.dialect is not None
        arguments = (self._client, self._facts.dialect, destination, model, path)
        if len(self._client.body or b"") > _WORTH_A_THREAD:
            return await asyncio.to_thread(translate, *arguments)
        return translate(*arguments)

    async def _authenticate(self, out: Outgoing, destination: Destination | None) -> None:
        """Put the destination's credential on, and never send the client's to somebody else."""
        name = destination.provider if destination else ""
        if name not in self._credentials and self._sentinel is not None and self._decision is None:
            name = self._sentinel.name
        if name in self._credentials:
            self._credential = await self._credentials.resolve(name)
            apply(out, self._credential)
            self.exchange.changes["credentials"] = name
            return
        if self._sentinel is not None:
            raise CredentialsError(
                f"the provider {name or out.host!r} that this request goes to has no credential of its own",
                f"add providers.{name or 'NAME'}.auth to ccinspect.yaml",
            )
        if name and name != self._facts.provider and without_credentials(out.headers):
            message = f"the client's credential is for {self._facts.provider}, and providers.{name} has no auth"
            self._diagnostics.append(Diagnostic("warning", "credentials_dropped", message))

    def holds(self, response: http.Response) -> bool:
        """Whether an answer is judged before the client sees it (`resending.Retries`)."""
        if response.status_code == 401:
            return self._credential is not None and not self._renewed
        return self._fallbacks is not None and self._fallbacks.holds(response.status_code)

    async def after_failure(self) -> None:
        """Decide what becomes of a failed attempt."""
        captured = self._captured
        problem: str | None = captured.metadata.get(PROBLEM)
        response = captured.response if problem is None else None
        self._note_attempt(response, problem)
        try:
            if response is not None and response.status_code == 401 and await self._renew():
                captured.metadata[AGAIN] = True
                return
            if self._fallbacks is not None and await self._fall_back(response):
                captured.metadata[AGAIN] = True
                return
        except Untranslatable as error:
            problem = problem or error.message
        except CredentialsError as error:
            problem = problem or error.message
        if problem is not None and self._facts.dialect is not None:
            self._refuse(ErrorKind.OVERLOADED, f"the upstream cannot be reached: {problem}", "upstream", status=502)
            captured.metadata[ANSWERED] = True
        self.record()

    async def _renew(self) -> bool:
        """Get the credential anew after it was refused; whether it is another one now."""
        assert self._credential is not None
        assert self._sent is not None
        self._renewed = True
        fresh = await self._credentials.renew(self._credential)
        if fresh is None:
            return False
        self._credential = fresh
        again = replace(self._sent, headers=Headers(self._sent.headers.fields))
        apply(again, fresh)
        self._sent, self._attempt_started = again, time.monotonic()
        apply_to(self._captured, again, self._client)
        return True

    async def _fall_back(self, response: http.Response | None) -> bool:
        assert self._fallbacks is not None
        limits = parse_rate_limits(_text_headers(response)) if response is not None else None
        retry_after = limits.retry_after if limits else None
        step = self._fallbacks.next(time.monotonic(), response.status_code if response else None, retry_after)
        while isinstance(step, GoOn):
            present = self._destination
            target = self._router.destinations.get(step.provider) if step.provider else present
            if target is not None:
                self._renewed = False
                await self._make(target, step.model or (self._model if target is present else None), None)
                return True
            step = self._fallbacks.next(time.monotonic(), None, None)
        if isinstance(step, GiveUp):
            self._attempts[-1]["gave_up"] = step.reason
            return False
        assert isinstance(step, TryAgain)
        self._attempts[-1]["waited"] = step.delay
        await asyncio.sleep(step.delay)
        self._attempt_started = time.monotonic()
        return True

    def _note_attempt(self, response: http.Response | None, problem: str | None) -> None:
        destination = self._destination
        attempt: dict[str, Any] = {
            "provider": destination.provider if destination else self._facts.provider,
            "model": self._translated.model if self._translated else self._model,
            "url": self._sent.url if self._sent else None,
            "status": response.status_code if response else None,
            "ms": round((time.monotonic() - self._attempt_started) * 1000, 1),
            "error": problem,
        }
        if response is not None and response.raw_content:
            attempt["error"] = response.raw_content[:_ERROR_EXCERPT].decode("utf-8", "replace")
        self._attempts.append(attempt)

    def take_head(self, response: http.Response) -> None:
        """The upstream's answer has begun."""
        if self._translator is None:
            return
        content_type = response.headers.get("content-type", "")
        self.exchange.upstream_response = response_record(response)
        if not self._translator.streams(response.status_code, content_type):
            self.exchange.reads_response = True
            return
        encoding = response.headers.get("content-encoding", "")
        self.exchange.translate = self._translator.stream(content_type, encoding)
        head = self._translator.head(response.status_code, Headers(response.headers.fields))
        if self._captured.request.http_version == "HTTP/1.1":
            head.set("transfer-encoding", "chunked")
        response.headers = http.Headers(head.fields)
        response.data.trailers = None

    async def finish(self) -> None:
        """The answer is complete; one that was read whole is translated now."""
        response = self._captured.response
        translator = self._translator
        if response is not None and translator is not None and self.exchange.reads_response:
            body = self.exchange.upstream_body = response.raw_content or b""
            arguments = (response.status_code, Headers(response.headers.fields), body)
            if len(body) > _WORTH_A_THREAD:
                status, headers, data = await asyncio.to_thread(translator.whole, *arguments)
            else:
                status, headers, data = translator.whole(*arguments)
            _answer(response, status, headers, data)
        elif response is not None and translator is None and not self.answered and self._diagnostics:
            value = header_value(as_records(self._diagnostics))
            if value is not None and not response.stream:
                response.headers[HEADER] = value
        self.record()

    def record(self) -> None:
        """Write down what has been done so far."""
        changes = self.exchange.changes
        if self._decision is not None:
            changes["route"] = self._decision.as_record()
        elif self._destination is not None:
            changes["route"] = {
                "rule": None,
                "action": "redirect" if self._translator is None else "transform",
                "provider": self._destination.provider,
                "model": self._model,
            }
        if self._translated is not None:
            changes["route"]["dialect"] = self._translated.upstream_dialect
        diagnostics = self._translator.diagnostics if self._translator else self._diagnostics
        if diagnostics:
            changes["diagnostics"] = as_records(diagnostics)
        if self._attempts:
            changes["attempts"] = self._attempts

    def _upgrade_required(self) -> None:
        """What cannot be translated in its transport is asked for in another one (Codex goes on with HTTP)."""
        self._answer_with(426, Headers([(b"content-type", b"application/json"), (b"upgrade", b"HTTP/1.1")]), b"{}\n")
        self.exchange.changes["refused"] = {"by": "translation", "reason": "a WebSocket cannot be translated"}

    def _refuse(self, kind: ErrorKind, message: str, by: str, status: int | None = None) -> None:
        self.exchange.changes["refused"] = {"by": by, "reason": message}
        self._answer_with(*failed(self._facts.dialect, kind, message, status=status))
        self.record()

    def _answer_with(self, status: int, headers: Headers, body: bytes) -> None:
        self.answered = True
        self._translator = None
        self._captured.response = http.Response.make(status, body, http.Headers(headers.fields))

    @property
    def _original_body(self) -> bytes:
        return self._captured.metadata.get("ccinspect.client_body") or b""


def _has_no_body(request: http.Request) -> bool:
    return request.method in ("GET", "HEAD", "OPTIONS", "DELETE") or request.headers.get("content-length") == "0"


def _model_in_path(path: str) -> str | None:
    rest = path.partition("?")[0].rpartition("/models/")[2]
    return rest.partition(":")[0] or None if rest != path else None


def _where_it_goes(client: Outgoing, facts: Facts) -> Destination:
    return Destination(facts.provider or "", client.scheme, client.host, client.port, {})


def _text_headers(response: http.Response) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers.fields]


def _answer(response: http.Response, status: int, headers: Headers, body: bytes) -> None:
    response.status_code = status
    headers.set("content-length", str(len(body)))
    response.headers = http.Headers(headers.fields)
    response.data.content = body
    response.data.trailers = None
