"""Whether a request may leave: pure decisions about names, addresses and requests.

deny beats allow, and what an `allow` is written for is otherwise denied. A request carries its destination in more than
one place (the connection, TLS, the target, the `Host` field): every one of them must be allowed, so none of them can be
used to get past the others. What cannot be read is denied as soon as there is any rule.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from ccinspect.errors import ConfigError
from ccinspect.pipeline.message import Facts
from ccinspect.policy import hosts, rules
from ccinspect.policy.paths import readings
from ccinspect.policy.rules import Fit, Rule
from ccinspect.policy.settings import PolicyConfig


@dataclass(frozen=True, slots=True)
class Verdict:
    allowed: bool
    reason: str
    """One line for people; says what was asked for."""
    rule: str | None = None
    """The rule that decided, and where it stands; None where none did."""

    def as_record(self) -> dict[str, Any]:
        return {"allowed": self.allowed, "rule": self.rule, "reason": self.reason}


_FREE = Verdict(True, "no rule says otherwise")


@dataclass(frozen=True, slots=True)
class _Asked:
    host: str
    port: int
    paths: tuple[str | None, ...]
    method: str | None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}{self.paths[0] or ''}"


@dataclass(frozen=True)
class Egress:
    """The rules of the configuration, and with `for_run` those of one run. Immutable."""

    allow: tuple[Rule, ...] = ()
    deny: tuple[Rule, ...] = ()
    default: str | None = None
    run_name: str | None = None
    offline: bool = False
    local_ports: frozenset[int] = frozenset()
    """Ports of this machine that stay reachable offline: our own listeners, and model servers."""

    @classmethod
    def of(cls, config: PolicyConfig, local_ports: Collection[int] = ()) -> Egress:
        return cls(
            tuple(entry.rule(f"policy.allow[{place}]") for place, entry in enumerate(config.allow)),
            tuple(entry.rule(f"policy.deny[{place}]") for place, entry in enumerate(config.deny)),
            config.default,
            local_ports=frozenset(local_ports),
        )

    def for_run(
        self, allow: Iterable[str] = (), deny: Iterable[str] = (), offline: bool = False, name: str | None = None
    ) -> Egress:
        """With what `run` was told besides. Once it allows anything, all that no `allow` names is denied.

        Raises ConfigError for a rule that cannot be read."""
        allowed, denied = _parsed("--allow", allow), _parsed("--deny", deny)
        return replace(
            self,
            allow=(*self.allow, *allowed),
            deny=(*self.deny, *denied),
            default="deny" if allowed else self.default,
            run_name=name,
            offline=self.offline or offline,
        )

    @property
    def active(self) -> bool:
        """Whether there is anything that could be denied."""
        return bool(self.offline or self.deny or self.allow or self.default == "deny")

    def decide(
        self,
        host: str,
        port: int,
        path: str | None = None,
        method: str | None = None,
        facts: Facts | None = None,
        *,
        also: Iterable[str] = (),
        opaque: bool = False,
    ) -> Verdict:
        """Whether a request may go to `host` (a name, an address, or `host:port`).

        `path` is its target, in absolute form too; None, like `method`, while it is not known: then only what holds
        for every request there denies, and the request is to be judged again. `also` are the other places it says it
        goes to (TLS server name, `Host` field, target of the tunnel): all must be allowed. `opaque` says that nobody
        will ever see its path (TLS that is not decrypted): then a rule about a path denies, and never allows.
        """
        if not self.active:
            return _FREE
        authorities = [host, *also]
        if path is not None and (absolute := hosts.split_absolute(path)) is not None:
            authority, default_port, path = absolute
            # In absolute form the port not said is the scheme's, not that of the connection to a proxy.
            bare = hosts.split_authority(authority)
            said = bare is None or bare[1] is not None or default_port is None
            authorities.append(authority if said or bare is None else f"{_bracketed(bare[0])}:{default_port}")
        paths = _paths(path)
        if not paths:
            return Verdict(False, f"the path {_shown(path or '')} cannot be read in one way")
        verdict = _FREE
        for authority in dict.fromkeys(authorities):
            place = hosts.split_authority(authority)
            if place is None:
                return Verdict(False, f"{_shown(authority)} is no host that can be read in one way")
            asked = _Asked(place[0], port if place[1] is None else place[1], paths, method)
            judged = self._judge(asked, facts, opaque)
            if not judged.allowed:
                return judged
            verdict = judged if verdict is _FREE else verdict
        return verdict

    def decide_name(self, name: str, facts: Facts | None = None) -> Verdict:
        """Whether a name may be looked up: refused only when no request to that host could be allowed."""
        if not self.active:
            return _FREE
        host = hosts.normal_host(name)
        if host is None:
            return Verdict(False, f"{_shown(name)} is no name that can be read in one way")
        if self.offline and not hosts.is_loopback(host):
            return Verdict(False, f"the name {host} is not looked up: this run is offline", "--offline")
        for rule in self._for(self.deny, facts, host):
            if rule.whole_host:
                return Verdict(False, f"the name {host} is not looked up", f"deny {rule}")
        if self.offline or not self._restricts(facts):
            return _FREE
        for rule in self._for(self.allow, facts, host):
            return Verdict(True, "a rule allows it", f"allow {rule}")
        return Verdict(False, f"the name {host} is not looked up: no rule allows the host")

    def decide_address(self, address: str, port: int, names: Iterable[str] = (), facts: Facts | None = None) -> Verdict:
        """Whether a connection to an IP address may be opened, before anything was said over it.

        `names` are those for which this run was told the address by DNS: a rule that allows one of them allows the
        connection, and what is then asked for over it is judged again.
        """
        if not self.active:
            return _FREE
        host = hosts.normal_host(address)
        if host is None:
            return Verdict(False, f"{_shown(address)} is no address")
        asked = _Asked(host, port, (None,), None)
        judged = self._judge(asked, facts, opaque=False)
        if judged.allowed or judged.rule is not None:
            return judged
        for name in names:
            normal = hosts.normal_host(name)
            if normal is not None:
                by_name = self._judge(replace(asked, host=normal), facts, opaque=False)
                if by_name.allowed:
                    return by_name
        return judged

    def _judge(self, asked: _Asked, facts: Facts | None, opaque: bool) -> Verdict:
        for rule in self._for(self.deny, facts, asked.host):
            fit = max((rule.fits(asked.host, asked.port, path, asked.method, True) for path in asked.paths), key=_rank)
            if fit is Fit.YES or (fit is Fit.PERHAPS and opaque):
                return Verdict(False, f"{asked} is denied", f"deny {rule}")
        if self.offline and not (hosts.is_loopback(asked.host) and asked.port in self.local_ports):
            return Verdict(False, f"{asked} is denied: this run is offline", "--offline")
        if self.offline or not self._restricts(facts):
            return _FREE
        return self._allowed(asked, facts, opaque)

    def _allowed(self, asked: _Asked, facts: Facts | None, opaque: bool) -> Verdict:
        used: Rule | None = None
        allowing = list(self._for(self.allow, facts, asked.host))
        for path in asked.paths:
            for rule in allowing:
                fit = rule.fits(asked.host, asked.port, path, asked.method)
                if fit is Fit.YES or (fit is Fit.PERHAPS and not opaque):
                    used = used or rule
                    break
            else:
                return Verdict(False, f"{asked} is denied: no rule allows it")
        return Verdict(True, "a rule allows it", f"allow {used}")

    def _restricts(self, facts: Facts | None) -> bool:
        """Whether what no rule names is denied for this flow."""
        if self.default is not None:
            return self.default == "deny"
        project, run = (facts.project, facts.run) if facts else (None, None)
        return any(rule.fits_who(project, run, self.run_name) for rule in self.allow)

    def _for(self, all_rules: tuple[Rule, ...], facts: Facts | None, host: str) -> Iterator[Rule]:
        """Those about this host and this flow."""
        project, run = (facts.project, facts.run) if facts else (None, None)
        return (rule for rule in all_rules if rule.fits_host(host) and rule.fits_who(project, run, self.run_name))


def _rank(fit: Fit) -> int:
    return fit.value


def _paths(path: str | None) -> tuple[str | None, ...]:
    return (None,) if path is None or path == "*" else readings(path)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _shown(text: str) -> str:
    """Text of a stranger, short and printable."""
    return repr(text[:80])


def _parsed(option: str, texts: Iterable[str]) -> tuple[Rule, ...]:
    found = []
    for text in texts:
        try:
            found.append(rules.parse(text, option))
        except ValueError as error:
            raise ConfigError(f"{option} {text}: {error}", "mend that rule; nothing was started") from error
    return tuple(found)
