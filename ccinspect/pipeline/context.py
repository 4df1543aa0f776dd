"""What a hook is given: the request as its own copy, what is known of the flow, and the means to refuse it."""

from __future__ import annotations

from typing import Any, NoReturn

from ccinspect.pipeline.body import Body
from ccinspect.pipeline.message import Facts, Fields, Headers, Outgoing
from ccinspect.pipeline.services import NO_SERVICES, Services
from ccinspect.wire.model import ErrorKind, Json


class Refusal(Exception):
    """Raised by a hook: the request shall not be sent. The client is told so as an error in its own dialect."""

    def __init__(
        self, kind: ErrorKind | str, message: str, *, status: int | None = None, retry_after: float | None = None
    ) -> None:
        """`status` follows from `kind` if None; `retry_after` is in seconds. Raises ValueError for an unknown kind."""
        if status is not None and (isinstance(status, bool) or not isinstance(status, int) or not 400 <= status <= 599):
            raise ValueError(f"the status of a refusal is 400 to 599, not {status!r}")
        super().__init__(message)
        self.kind = ErrorKind(kind)
        self.message = str(message)
        self.status = status
        self.retry_after = retry_after
        self.hook = ""
        """Who refused, once the pipeline knows."""

    def as_record(self) -> dict[str, Json]:
        return {"hook": self.hook, "kind": self.kind.value, "message": self.message[:500], "status": self.status}


class State:
    """The request between two hooks. Its parts are replaced, never changed in place."""

    __slots__ = ("body", "facts", "fields", "notes", "places", "services", "session", "stage")

    def __init__(self, stage: str, outgoing: Outgoing, facts: Facts, services: Services = NO_SERVICES) -> None:
        self.stage = stage
        self.services = services
        self.facts = facts
        self.places = (outgoing.method, outgoing.scheme, outgoing.host, outgoing.port, outgoing.path)
        self.fields: Fields = outgoing.headers.fields
        self.body: Body | None = None if outgoing.body is None else Body(outgoing.body)
        self.session = facts.session
        self.notes: dict[str, Json] = {}

    def differs_from(self, outgoing: Outgoing) -> bool:
        body = None if self.body is None else self.body.data
        return (
            self.fields != outgoing.headers.fields
            or self.places != (outgoing.method, outgoing.scheme, outgoing.host, outgoing.port, outgoing.path)
            or (body is not outgoing.body and body != outgoing.body)
        )

    def outgoing(self) -> Outgoing:
        return Outgoing(*self.places, Headers(self.fields), None if self.body is None else self.body.data)


class Head:
    """What guards decide by: all that is known before the body was read."""

    __slots__ = (
        "facts", "headers", "host", "method", "params", "path", "port", "scheme", "services", "session", "stage",
    )  # fmt: skip

    def __init__(self, state: State, params: Any) -> None:
        self.services = state.services
        self.params = params
        """The hook's own, as configured."""
        self.facts = state.facts
        self.stage = state.stage
        self.method, self.scheme, self.host, self.port, self.path = state.places
        self.headers = Headers(state.fields)
        self.session = state.session


class Context:
    """A request as one hook sees and changes it.

    Everything here is the hook's own copy. When it returns, what it declared to write is taken from it; when it
    raises or takes too long, nothing is.
    """

    __slots__ = ("_json", "body", "facts", "notes", "request", "services", "session", "stage", "start")

    def __init__(self, state: State) -> None:
        self.stage = state.stage
        self.services = state.services
        """Parts of the daemon: `ctx.services.get(Credentials)`."""
        self.facts = state.facts
        """What is known of the flow from outside of the request."""
        self.request = state.outgoing()
        """Method, address, headers, and the body's bytes (None as long as nobody asked for it)."""
        self.session = state.session
        """The id of the conversation; may be set."""
        self.notes: dict[str, Json] = dict(state.notes)
        """For other hooks and for the flow's record. Small JSON, and no secrets."""
        self.body = state.body
        self.start = (state.fields, state.places, state.notes, state.session)
        """What it was made from, for the comparison afterwards."""
        self._json: list[Json] = []

    @property
    def headers(self) -> Headers:
        return self.request.headers

    @property
    def json(self) -> Json:
        """The body's JSON, to be changed in place; None where it is no JSON, or was not read."""
        if not self._json:
            self._json.append(None if self.body is None else self.body.value())
        return self._json[0]

    @json.setter
    def json(self, value: Json) -> None:
        self._json[:] = [value]

    @property
    def asked_for_json(self) -> bool:
        return bool(self._json)

    def refuse(
        self, kind: ErrorKind | str, message: str, *, status: int | None = None, retry_after: float | None = None
    ) -> NoReturn:
        """Do not send the request; the client gets an error of this kind, in its dialect, with this message."""
        raise Refusal(kind, message, status=status, retry_after=retry_after)
