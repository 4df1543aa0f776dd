"""All that happens to one request that is changed: hooks, route, translation, credential, further attempts, answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mitmproxy import http

from ccinspect.addons.answering import Answering, off_loop
from ccinspect.addons.exchange import Exchange
from ccinspect.addons.outgoing import CLIENT_BODY, apply_to, outgoing_of, read_body, settle_trailers
from ccinspect.addons.plan import Plan
from ccinspect.addons.records import Record, request_record
from ccinspect.addons.resending import AGAIN, ANSWERED, PROBLEM, RETRIES
from ccinspect.auth.credential import Credential
from ccinspect.auth.permission import TOKEN_HEADER, refusal
from ccinspect.auth.sentinel import Sentinel, apply
from ccinspect.errors import CcinspectError, CredentialsError
from ccinspect.identity.tags import PREFIX
from ccinspect.pipeline.context import Refusal
from ccinspect.pipeline.declaration import Stage
from ccinspect.pipeline.message import Facts, Headers, Outgoing
from ccinspect.pipeline.overrides import HEADER as HOOKS_HEADER
from ccinspect.pipeline.overrides import parse_overrides
from ccinspect.pipeline.records import HookRecord
from ccinspect.transform.answers import Answer, denied, failed
from ccinspect.transform.destinations import Destination
from ccinspect.transform.fallbacks import Attempts, GiveUp, NextTarget, Retry
from ccinspect.transform.headers import DIAGNOSTICS, diagnostics_header
from ccinspect.transform.redirect import read_model, redirect_request
from ccinspect.transform.request import Translated, Untranslatable, translate_request
from ccinspect.transform.response import ResponseTranslator
from ccinspect.transform.routes import Decision
from ccinspect.transform.settings import Fallbacks
from ccinspect.wire.encoding import decode_body
from ccinspect.wire.model import Diagnostic, ErrorKind, format_path
from ccinspect.wire.ratelimits import parse_rate_limits

_ERROR_EXCERPT = 2_000
_MAX_DIAGNOSTICS = 200
_NONE = Decision("none")
# Between the client and us only.
_ANSWERED_BY_US = ("proxy-authorization", "proxy-connection", "expect")


class Change:
    """All that happens to one request."""

    def __init__(self, plan: Plan, facts: Facts, captured: http.HTTPFlow, sentinel: Sentinel | None) -> None:
        self._plan = plan
        self._captured = captured
        self._sentinel = sentinel
        self._client = outgoing_of(captured)
        """As the client sent it."""
        self._asked = self._client
        """As the inbound hooks left it."""
        self._facts = facts
        self._overrides = parse_overrides(",".join(self._client.headers.get_all(HOOKS_HEADER)))
        self._hooks: list[HookRecord] = []
        snapshot = captured.metadata.get("ccinspect.client_request")
        self.exchange = Exchange(snapshot or request_record(captured.request))
        self.answered = False
        """The answer is ours, in the client's dialect already."""
        self._sent: Outgoing | None = None
        self._sent_at = time.monotonic()
        self._decision = _NONE
        self._translated: Translated | None = None
        self._answering: Answering | None = None
        self._diagnostics: list[Diagnostic] = []
        self._credential: Credential | None = None
        self._renewed = False
        self._fallbacks: Attempts | None = None
        self._attempts: list[dict[str, Any]] = []

    def is_wanted(self) -> bool:
        """Whether anything may be done to this request."""
        if self._sentinel is not None or self._plan.has_hooks:
            return True
        if self._plan.router.needs_body(self._facts, self._client):
            return True
        return self._guess().action != "none" or self._fallback_settings(self._facts.provider) is not None

    def reads_body(self) -> bool:
        """Whether the request must be there whole before anything can be sent."""
        if not _may_have_body(self._captured.request):
            return False
        if self._plan.pipeline.needs_body(self._facts, self._client, self._overrides):
            return True
        if self._plan.router.needs_body(self._facts, self._client) or self._sentinel is not None:
            # What carries a credential is sent again with a new one when that was refused.
            return True
        destination = self._guess().destination
        provider = destination.provider if destination else self._facts.provider
        return (provider or "") in self._plan.credentials or self._fallback_settings(provider) is not None

    def _guess(self) -> Decision:
        """The decision as far as it can be made without the body."""
        try:
            return self._plan.router.route(self._facts, self._client)
        except CcinspectError:
            # Told when the request is there.
            return Decision("redirect")

    def _fallback_settings(self, provider: str | None) -> Fallbacks | None:
        return self._plan.fallbacks_of(provider) if self._facts.kind == "generate" else None

    async def send(self) -> None:
        """Make the request that is forwarded, or answer in its place."""
        try:
            if self.exchange.reads_request:
                size = len(self._captured.request.raw_content or b"")
                body, sealed = await off_loop(size, read_body, self._captured.request)
                self._client, self._facts = replace(self._client, body=body), replace(self._facts, sealed=sealed)
            elif self._captured.request.headers.get("content-length") == "0":
                self._client = replace(self._client, body=b"")
            self._asked = await self._through("inbound", self._client, self._facts)
            await self._prepare()
        except Refusal as refusal:
            answer = failed(self._facts.dialect, refusal.kind, refusal.message, refusal.retry_after, refusal.status)
            self._refuse(answer, refusal.message, f"hook {refusal.hook}" if refusal.hook else "policy")
        except Untranslatable as error:
            self._diagnostics = list(error.diagnostics)
            self._refuse(error.answer, error.message, "translation")
        except CredentialsError as error:
            self._refuse(denied(self._facts.dialect, 401, _told(error)), _told(error), "credentials")
        except CcinspectError as error:
            self._refuse(denied(self._facts.dialect, 502, _told(error)), _told(error), "rule")

    async def _prepare(self) -> None:
        router, facts, client = self._plan.router, self._facts, self._asked
        model = await self._in_thread(read_model, client, facts.dialect)
        decision = router.route(facts, client, model)
        if decision.action == "deny":
            self._decision = decision
            reason = decision.reason or f"rule {decision.rule} of inspector.transforms denies this request"
            self._refuse(denied(facts.dialect, 403, reason), reason, "rule")
            return
        self._check_sentinel()
        if decision.action == "none" and self._sentinel is not None and self._sentinel.name in self._plan.credentials:
            decision = router.to_provider(self._sentinel.name, facts, client, model)
        await self._make(decision)
        provider = decision.destination.provider if decision.destination else facts.provider
        settings = self._fallback_settings(provider)
        if settings is not None and self.exchange.reads_request:
            asked = decision.destination.model if decision.destination else None
            self._fallbacks = Attempts(settings, time.monotonic, provider, asked or model)
        judged = self._fallbacks or self._credential or self._answering
        if judged is not None and self.exchange.reads_request:
            self._captured.metadata[RETRIES] = self

    def _check_sentinel(self) -> None:
        if self._sentinel is None:
            return
        headers = self._client.headers
        reason = refusal(
            self._facts,
            headers,
            host=_host_as_asked(self.exchange.client_request),
            listener_ports=self._plan.ports,
            token_required=self._plan.token,
            token_given=headers.get(TOKEN_HEADER),
        )
        if reason is not None:
            raise CredentialsError(reason, "")

    async def _in_thread[**P, T](self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await off_loop(len(self._client.body or b""), function, *args, **kwargs)

    async def _make(self, decision: Decision) -> None:
        """Turn the client's request into the one that the decision wants, and put it into the flow."""
        client, dialect, destination = self._asked, self._facts.dialect, decision.destination
        translated: Translated | None = None
        self._diagnostics = []
        if destination is None:
            out = replace(client, headers=Headers(client.headers.fields))
        elif decision.action == "transform" and dialect is not None:
            translated = await self._in_thread(translate_request, client, dialect, destination)
            out = translated.outgoing
            self._diagnostics = list(translated.diagnostics)
        else:
            out = await self._in_thread(redirect_request, client, dialect, destination)
        self._diagnostics += settle_trailers(self._captured, self.exchange, translated.client if translated else None)
        self._decision, self._translated = decision, translated
        self._check_egress(out)
        out = await self._through("outbound", out, self._facts_at(destination, translated))
        # Once more, for a hook may have led it on.
        self._check_egress(out)
        self._credential = await self._authenticate(out, decision)
        self._answering = None
        if translated is not None and translated.client.translates:
            translator = ResponseTranslator(
                translated.client, self._diagnostics, now=time.time(), unique=self._facts.flow_id
            )
            self._answering = Answering(self.exchange, translator, self._diagnostics)
        self._send_this(out)
        self.record()

    def _check_egress(self, out: Outgoing) -> None:
        """Where the client wanted to go was judged already; where it goes now may be another place."""
        there, asked = ((each.method, each.scheme, each.host, each.port, each.path) for each in (out, self._client))
        moved = there != asked
        egress = self._plan.egress_of(self._facts)
        if moved and egress.active:
            verdict = egress.decide(out.host, out.port, out.path, out.method, self._facts)
            if not verdict.allowed:
                self.exchange.changes["policy"] = verdict.as_record()
                raise Refusal(ErrorKind.PERMISSION, f"ccinspect's policy denies this request: {verdict.reason}")

    def _facts_at(self, destination: Destination | None, translated: Translated | None) -> Facts:
        """The facts of the request as it goes out."""
        provider = destination.provider if destination else self._facts.provider
        dialect = translated.client.upstream if translated else self._facts.dialect
        return replace(self._facts, provider=provider, dialect=dialect)

    async def _through(self, stage: Stage, outgoing: Outgoing, facts: Facts) -> Outgoing:
        """Send the request through the hooks of a stage. Raises Refusal and CredentialsError."""
        pipeline = self._plan.pipeline
        if not self._plan.has_hooks or not pipeline.plans[stage].steps:
            return outgoing
        result = await pipeline.run(stage, outgoing, facts, self._overrides, self._hooks)
        self._facts = replace(self._facts, session=result.session)
        if result.notes:
            self.exchange.changes.setdefault("notes", {}).update(result.notes)
        if result.unknown:
            self.exchange.changes["unknown_hooks"] = result.unknown
        if result.refusal is not None:
            raise result.refusal
        return result.outgoing

    def _send_this(self, out: Outgoing) -> None:
        if self.exchange.reads_request:
            # The inspector has read and removed them by now, and mitmproxy has answered `Expect`.
            out.headers.remove(*(name for name in out.headers if name.lower().startswith(PREFIX)), *_ANSWERED_BY_US)
        self._sent, self._sent_at = out, time.monotonic()
        apply_to(self._captured, out, self._client, by_name=self._carries_secrets())
        self.exchange.client_body = self._captured.metadata.get(CLIENT_BODY)

    def _carries_secrets(self) -> bool:
        """Whether there is something in the request that its client does not know."""
        destination = self._decision.destination
        injected = "inject_auth" in self.exchange.changes.get("notes", ())
        return self._credential is not None or injected or bool(destination and destination.headers)

    async def _authenticate(self, out: Outgoing, decision: Decision) -> Credential | None:
        """Put the destination's credential on; a sentinel goes nowhere."""
        credentials, destination = self._plan.credentials, decision.destination
        self.exchange.changes.pop("credentials", None)
        name = (destination.provider if destination else self._sentinel.name if self._sentinel else None) or ""
        if self._sentinel is None and (name not in credentials or self._keeps_own(decision)):
            return None
        if destination is None and name in credentials:
            self._check_place(name, out)
        # A sentinel of a provider that the request does not go to must not take its key there.
        credential = await credentials.resolve(name)
        self.exchange.hide_too(credential.hidden_in)
        apply(out, credential)
        self.exchange.changes["credentials"] = name
        return credential

    def _keeps_own(self, decision: Decision) -> bool:
        """Whether a client that came with a key of its own goes on with it: nobody named another provider."""
        if decision.destination is None or not decision.destination.keeps_credentials:
            return False
        if self._attempts:
            return self._credential is None
        return decision.rule is not None and self._plan.router.rules[decision.rule].dest_provider is None

    def _check_place(self, name: str, out: Outgoing) -> None:
        """A request that a rule lets pass goes where its client wants; the key only goes to its own provider."""
        own = self._plan.router.to_provider(name, self._facts, out).destination
        assert own is not None
        if (self._facts.provider == name or own.host == out.host) and out.scheme in ("https", own.scheme):
            return
        raise CredentialsError(
            f"the sentinel key names `{name}`, and {out.scheme}://{out.host} is no place of that provider; "
            "the request was not sent",
            f"send it to a host of {name}, or let a rule redirect it there",
        )

    def holds(self, response: http.Response) -> bool:
        """Whether an answer is judged before the client sees it (`resending.Retries`)."""
        if response.status_code == 401 and self._credential is not None and not self._renewed:
            return True
        return self._fallbacks is not None and self._fallbacks.holds(response.status_code)

    async def after_failure(self) -> None:
        """Decide what becomes of a failed attempt."""
        captured = self._captured
        problem: str | None = captured.metadata.get(PROBLEM)
        # It quotes what could not be read.
        problem = self.exchange.hidden(problem) if problem is not None else None
        response = captured.response if problem is None else None
        self.exchange.forget_answer()
        self._note_attempt(response, problem)
        try:
            again = response is not None and response.status_code == 401 and await self._renew()
            if not again and self._fallbacks is not None:
                again = await self._fall_back(self._fallbacks, response, problem)
        except CcinspectError as error:
            again = False
            self._attempts[-1]["gave_up"] = error.message
        if not again:
            self._attempts[-1].setdefault("gave_up", None)
        if again:
            captured.metadata[AGAIN] = True
        elif problem is not None and self._facts.dialect is not None:
            message = f"the upstream cannot be reached: {problem}"
            self._refuse(failed(self._facts.dialect, ErrorKind.SERVER, message, status=502), message, "upstream")
            captured.metadata[ANSWERED] = True
        self.record()

    async def _renew(self) -> bool:
        """Get the credential anew after it was refused; whether it is another one now."""
        if self._credential is None or self._renewed or self._sent is None:
            return False
        self._renewed = True
        fresh = await self._plan.credentials.renew(self._credential.provider, self._credential)
        if fresh is None:
            return False
        self._credential = fresh
        self.exchange.hide_too(fresh.hidden_in)
        again = replace(self._sent, headers=Headers(self._sent.headers.fields))
        apply(again, fresh)
        self._send_this(again)
        return True

    async def _fall_back(self, fallbacks: Attempts, response: http.Response | None, problem: str | None) -> bool:
        limits = parse_rate_limits(_texts(response)) if response is not None else None
        verdict = fallbacks.next(
            response.status_code if response is not None else None, limits.retry_after if limits else None, problem
        )
        if isinstance(verdict, Retry):
            self._attempts[-1]["waited"] = verdict.after
            await asyncio.sleep(verdict.after)
            self._sent_at = time.monotonic()
            return True
        while isinstance(verdict, NextTarget):
            try:
                await self._go_to(verdict)
            except (CcinspectError, Refusal) as error:
                self._attempts.append(
                    {"provider": verdict.provider, "model": verdict.model, "status": None, "error": error.message}
                )
                verdict = fallbacks.skip(error.message)
            else:
                return True
        self._attempts[-1]["gave_up"] = verdict.reason if isinstance(verdict, GiveUp) else None
        return False

    async def _go_to(self, target: NextTarget) -> None:
        """Make the request for the next target. When that fails, the last answer still is that of the one before."""
        decision = self._plan.router.to_next(self._decision, target, self._facts, self._asked)
        before = self._decision, self._translated, self._diagnostics, self.exchange.changes.get("credentials")
        try:
            await self._make(decision)
        except Exception:
            self._decision, self._translated, self._diagnostics, used = before
            if used is not None:
                self.exchange.changes["credentials"] = used
            raise
        self._renewed = False

    def _note_attempt(self, response: http.Response | None, problem: str | None) -> None:
        destination = self._decision.destination
        attempt: dict[str, Any] = {
            "provider": destination.provider if destination else self._facts.provider,
            "model": destination.model if destination else None,
            "url": self._sent.url.partition("?")[0] if self._sent else None,
            "status": response.status_code if response else None,
            "ms": round((time.monotonic() - self._sent_at) * 1000, 1),
            "error": problem,
        }
        if response is not None and response.raw_content:
            said = decode_body(response.raw_content, response.headers.get("content-encoding", "")).data
            attempt["error"] = self.exchange.hidden(said.decode("utf-8", "replace"))[:_ERROR_EXCERPT]
        self._attempts.append(attempt)
        # Said at once: the client may be gone before there is another.
        self.exchange.changes["attempts"] = self._attempts

    def take_head(self, response: http.Response) -> None:
        """The upstream's answer has begun."""
        if self._answering is not None:
            self._answering.take_head(response, self._captured.request.http_version)

    async def finish(self) -> None:
        """The answer is complete."""
        if self._answering is not None and self._captured.response is not None:
            self._diagnostics = await self._answering.finish(self._captured.response)
        self.record()

    def record(self) -> None:
        """Write down what has been done so far."""
        changes = self.exchange.changes
        decision, destination = self._decision, self._decision.destination
        if decision.action != "none":
            changes["route"] = {
                "rule": decision.rule,
                "action": decision.action,
                "provider": destination.provider if destination else None,
                "model": destination.model if destination else None,
                "dialect": self._translated.client.upstream if self._translated else None,
                # Where it would have gone: on a reverse listener the client's own request does not say.
                "asked": self._client.url.removesuffix(self._client.path),
            }
        if self._diagnostics:
            changes["diagnostics"] = [
                {
                    "severity": note.severity,
                    "code": note.code,
                    "message": note.message[:500],
                    "path": format_path(note.path)[:500] if note.path else None,
                    "source": note.source,
                    "target": note.target,
                }
                for note in self._diagnostics[:_MAX_DIAGNOSTICS]
            ]
        if self._hooks:
            changes["hooks"] = [hook.as_record() for hook in self._hooks]

    def _refuse(self, answer: Answer, message: str, by: str) -> None:
        self.exchange.changes["refused"] = {"by": by, "reason": message}
        self.answered = True
        self._answering = None
        headers = Headers(answer.headers.fields)
        if told := diagnostics_header(self._diagnostics):
            headers.set(DIAGNOSTICS, told)
        self._captured.response = http.Response.make(answer.status, answer.body, http.Headers(headers.fields))
        self.record()


def _may_have_body(request: http.Request) -> bool:
    return request.method not in ("GET", "HEAD", "OPTIONS") and request.headers.get("content-length") != "0"


def _host_as_asked(client_request: Record) -> str | None:
    """The host that the client's own request names: by `:authority` in HTTP/2, else by its Host header."""
    hosts = (value for name, value in client_request["headers"] if name.lower() == b"host")
    host: bytes | None = client_request["authority"] or next(hosts, None)
    return host.decode("latin-1") if host else None


def _told(error: CcinspectError) -> str:
    return f"{error.message}. {error.hint}." if error.hint else f"{error.message}."


def _texts(response: http.Response) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers.fields]
