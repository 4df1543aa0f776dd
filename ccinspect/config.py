"""Settings: one pydantic model per block of `ccinspect.yaml`.

Order of precedence: `CCINSPECT_SECTION__KEY` in the environment, the file, the defaults below. The
descriptions here are the documentation: `docs/configuration.md` is generated from them.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

# The arrows upwards from here: what may stand in a block is said where it is carried out.
from ccinspect.auth.settings import AuthSettings
from ccinspect.errors import ConfigError
from ccinspect.identity.providers import Providers
from ccinspect.identity.settings import ProviderName, ProviderSettings
from ccinspect.outward.settings import UpstreamProxy
from ccinspect.pipeline.settings import HooksConfig
from ccinspect.policy.settings import BudgetConfig, PolicyConfig, RedactConfig
from ccinspect.settings_file import line_of, parse, read_settings
from ccinspect.settings_mistakes import fields_at, nearest, told
from ccinspect.telemetry.settings import OtelSettings
from ccinspect.transform.settings import TransformRule, Upstream

ENV_PREFIX = "CCINSPECT_"
# Variables of ours that are no settings.
RESERVED_ENV = {"CCINSPECT_CONFIG_DIR", "CCINSPECT_RUN_ID", "CCINSPECT_PROJECT", "CCINSPECT_TAGS"}

_SIZE_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30}
_AGE_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def parse_size(value: object) -> int:
    """Turn `500MB`, `2GiB` or a number into bytes. Raises ValueError."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]i?)?b?\s*", str(value).lower())
    if not match:
        raise ValueError("a size is a number of bytes, or a number with a unit: 500MB, 2GiB")
    return int(float(match[1]) * _SIZE_UNITS[match[2] or ""])


def parse_age(value: object) -> float:
    """Turn `30d`, `12h` or a number of seconds into seconds. Raises ValueError."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return float(value)
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhdw])\s*", str(value).lower())
    if not match:
        raise ValueError("an age is a number of seconds, or a number with a unit: 30d, 12h, 45m")
    return float(match[1]) * _AGE_UNITS[match[2]]


def _regex(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return value


def _address(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError as error:
        raise ValueError("has to be an IP address: 127.0.0.1, 0.0.0.0, or one of this machine's") from error


Size = Annotated[int, BeforeValidator(parse_size)]
Age = Annotated[float, BeforeValidator(parse_age)]
Regex = Annotated[str, AfterValidator(_regex)]
Port = Annotated[int, Field(ge=0, le=65535)]


class Block(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DaemonConfig(Block):
    autostart: bool = Field(True, description="`run` starts the daemon in the background when none runs.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")
    log_format: Literal["human", "json"] = Field(
        "human", description="How log lines are written: for people, or one JSON object a line."
    )
    log_max_bytes: Size = Field(
        5_000_000, description="Size at which the log file is rotated; three old ones are kept."
    )
    journald: bool = Field(False, description="Also send log lines to the systemd journal.")


class ReadinessConfig(Block):
    url: str | None = Field(
        None, description="Fetched once at start to see whether the internet is reachable; a failure is only a warning."
    )


class ViewConfig(Block):
    max_flows: int = Field(1000, ge=1, description="Newest flows that mitmweb keeps in memory.")
    max_bytes: Size = Field(
        32_000_000, description="Bytes of bodies that mitmweb keeps in memory, all its flows together."
    )


class ReverseTarget(Block):
    port: Port = Field(description="Port on 127.0.0.1 to listen on.")
    upstream: str = Field(
        pattern=r"^https?://[^/?#]+/?$", description="Where its requests go: `http://host[:port]` or `https://...`."
    )


class SecretSource(Block):
    command: str | None = Field(None, description="Shell command whose output (stripped) is the secret.")
    file: Path | None = Field(None, description="File whose content (stripped) is the secret.")


class InspectorConfig(Block):
    host: Annotated[str, AfterValidator(_address)] = Field(
        "127.0.0.1",
        description="Address that the reverse and the forward listeners are bound to, beside the loopback. Another one "
        "than the loopback needs `proxy.token` and `proxy.allow_other_machines` (docs/network.md).",
    )
    reverse_port: Port = Field(4000, description="Port of the reverse-proxy listener on 127.0.0.1; 0 picks a free one.")
    proxy_port: Port = Field(4080, description="Port of the forward-proxy listener on 127.0.0.1; 0 picks a free one.")
    web_port: Port = Field(8083, description="Port of mitmweb's user interface on 127.0.0.1; 0 picks a free one.")
    web_password: str | SecretSource | None = Field(
        None,
        description="Password of mitmweb: a string, `{command: ...}` or `{file: ...}`. "
        "Without one, a random token is made once and kept.",
    )
    passthrough_hosts: list[Regex] = Field(
        [],
        description="Regular expressions of `host:port` that are tunnelled without decryption; "
        "their flows are recorded as opaque.",
    )
    keylog: bool = Field(
        False,
        description="Write the keys of connections and tunnels to `tls.keylog` and `wg.keylog` in the data directory, "
        "for Wireshark (docs/wireshark.md). `status` warns for as long as this is on.",
    )
    upstream_ca: Path | None = Field(
        None, description="PEM file of further certificate authorities to trust upstream, beside the system's own."
    )
    upstream_proxy: UpstreamProxy | None = Field(
        None,
        description="Proxy of the company that everything leaves through: `http://HOST:PORT`, or `{url:, auth:, "
        "exceptions:}` (docs/corporate.md).",
    )
    connect_to: dict[str, str] = Field(
        {},
        description="Where to really connect, like curl's `--connect-to`: "
        "`api.example.com:443: 127.0.0.1:8443`. TLS still verifies the name asked for.",
    )
    reverse_targets: list[ReverseTarget] = Field([], description="Further reverse listeners, each for one upstream.")
    mitmproxy: dict[str, Any] = Field(
        {}, description="Any option of mitmproxy by its own name, for example `stream_large_bodies` or `ignore_hosts`."
    )
    transforms: list[TransformRule] = Field(
        [], description="Rules that send requests elsewhere, translate or deny them; the first that holds decides."
    )
    readiness: ReadinessConfig = Field(default_factory=ReadinessConfig, description="Probe made once at start.")
    view: ViewConfig = Field(default_factory=ViewConfig, description="Bounds of mitmweb's memory.")


class JailConfig(Block):
    uplink: Literal["auto", "slirp4netns", "pasta"] = Field(
        "auto", description="Program that carries the tunnel's packets to the host; `auto` takes the first installed."
    )
    wireguard: Literal["auto", "kernel", "userspace"] = Field(
        "auto", description="WireGuard implementation: the kernel's, or wireguard-go; `auto` tries in this order."
    )
    host_ports: Literal["auto", "none"] | list[Port] = Field(
        "auto",
        description="Host loopback ports that the jailed program can reach on its own 127.0.0.1: "
        "`auto` is every port that a process of the same user listens on, `none`, or a list.",
    )
    model_ports: list[Port] = Field(
        [11434, 1234],
        description="Host loopback ports of local model servers (Ollama, LM Studio): "
        "reached from the jail through the daemon, so that they are captured.",
    )
    mask_sockets: bool = Field(
        False, description="Hide well-known file-system sockets (Docker, D-Bus, containerd, ...) inside the jail."
    )


class StoreConfig(Block):
    bodies: Literal["full", "none"] = Field(
        "full", description="`none` writes no content to disk, ever: only metadata is kept."
    )
    max_age: Age | None = Field(None, description="Flows older than this are removed, for example `30d`.")
    max_bytes: Size = Field(10_000_000_000, description="Oldest flows are removed when the store grows beyond this.")
    keep_secrets: bool = Field(
        False, description="Write credentials to disk in clear. `status` warns for as long as this is on."
    )


class FlowsConfig(Block):
    default_jq_filters: list[str] = Field(
        [], description="jq filters put before those of the command line; each maps an array to an array."
    )


class AnalysisConfig(Block):
    enabled: bool = Field(
        True,
        description="Analyse model calls as they end: tokens, cost, conversations. "
        "Without it, commands that need the analysis make it when they are called.",
    )
    idle: Age = Field(180.0, description="The analyst's process ends when nothing has come for so long.")


Dollars = Annotated[Decimal, Field(ge=0, max_digits=16, decimal_places=9, allow_inf_nan=False)]


class PriceConfig(Block):
    """What is not given costs as much as `input`, and searches nothing."""

    input: Dollars = Field(description="US dollars for a million tokens read anew.")
    output: Dollars = Field(description="For a million tokens generated.")
    cache_read: Dollars | None = Field(None, description="For a million tokens read from a cache.")
    cache_write_5m: Dollars | None = Field(None, description="For a million tokens written to it for 5 minutes.")
    cache_write_1h: Dollars | None = Field(None, description="For a million tokens written to it for an hour.")
    web_search: Dollars | None = Field(None, description="For one web search.")


class ProviderConfig(ProviderSettings, Upstream):
    """One entry of `providers`: how its calls are known and read, and how they are sent."""

    # Not needed where `host` says it, or for a built-in provider that only gets a credential.
    hosts: list[str] = Field(
        default=[],
        description="Host names its calls are known by; `*` stands for any part of one, `:PORT` at the end for that "
        "port only. Without it: `host`, and those that are built in.",
        max_length=100,
    )
    auth: AuthSettings | None = Field(
        None,
        description="Where its credential comes from: a shell command, or `{command:}`, `{file:}`, `{env:}`, "
        "`{keyring: SERVICE/USER}`, `{gcp: default}`, `{aws: default}`, or `{oauth2: {token_file:, token_url:}}`.",
    )

    @property
    def identity(self) -> ProviderSettings | None:
        """How its calls are known and read; None where nothing is said that is not built in."""
        hosts = self.hosts or self._own_host()
        if not hosts:
            return None
        values = {name: getattr(self, name) for name in ProviderSettings.model_fields}
        if self.dialect is None and not self.has_expressions:
            values["dialect"] = self.type
        return ProviderSettings.model_validate(values | {"hosts": hosts})

    def _own_host(self) -> list[str]:
        """The host that its requests are sent to, unless it belongs to a provider that is built in."""
        if self.host is None or Providers().match(self.host, "/", port=self.port, method="GET") is not None:
            return []
        return [f"{self.host}:{self.port}" if self.port else self.host]


class ProxyConfig(Block):
    token: str | SecretSource | None = Field(
        None,
        description="What programs that are no runs of ours must send in the header `x-ccinspect-token` before their "
        "sentinel keys are replaced: a string, `{command: ...}` or `{file: ...}`. With `inspector.host` set, what "
        "every client must show.",
    )
    allow_other_machines: bool = Field(
        False,
        description="Consent to `inspector.host` being another address than the loopback: whoever has that token "
        "can send requests from this machine, as if they were on it (docs/network.md).",
    )


class McpConfig(Block):
    enabled: bool = Field(False, description="Serve MCP over HTTP. `ccinspect mcp` serves it over stdio without this.")
    port: Port = Field(4030, description="Port of the MCP server on 127.0.0.1; closed to jails but with `run --mcp`.")
    acting: bool = Field(
        False,
        description="Also offer tools that change something: clear_flows, save_shape, replay_flow, start_session.",
    )


class Config(Block):
    """The whole of `ccinspect.yaml`."""

    daemon: DaemonConfig = Field(default_factory=DaemonConfig, description="The background process.")
    inspector: InspectorConfig = Field(default_factory=InspectorConfig, description="Listeners and interception.")
    jail: JailConfig = Field(default_factory=JailConfig, description="`run --inspect`.")
    store: StoreConfig = Field(default_factory=StoreConfig, description="What is kept on disk.")
    flows: FlowsConfig = Field(default_factory=FlowsConfig, description="The `flows` commands.")
    analysis: AnalysisConfig = Field(default_factory=AnalysisConfig, description="What is made of model calls.")
    proxy: ProxyConfig = Field(default_factory=ProxyConfig, description="Programs that use the listeners by hand.")
    providers: dict[ProviderName, ProviderConfig] = Field(
        {},
        description="Providers by name: new ones, and credentials, hosts and more for those that are built in.",
    )
    policy: PolicyConfig = Field(default_factory=PolicyConfig, description="What may leave this machine.")
    budgets: list[BudgetConfig] = Field([], description="How much may be spent, by run or by day.")
    redact: list[RedactConfig] = Field([], description="What is looked for in bodies, and what is done about it.")
    hooks: HooksConfig = Field(default_factory=HooksConfig, description="Hooks that see, and may change, requests.")
    prices: dict[str, PriceConfig] = Field(
        {},
        description="Prices that come before the built-in list, by model: a name or a pattern like `claude-*`, "
        "with a slash matched against `provider/model`.",
    )
    otel: OtelSettings = Field(default_factory=OtelSettings, description="Spans and metrics for OpenTelemetry.")
    mcp: McpConfig = Field(default_factory=McpConfig, description="The MCP server.")

    @property
    def identities(self) -> dict[str, ProviderSettings]:
        """The part of `providers` that says how calls are known and read."""
        return {name: found for name, one in self.providers.items() if (found := one.identity) is not None}


def load_config(path: Path, environ: Mapping[str, str] | None = None) -> Config:
    """Read `path` (which may be missing) and the environment into a Config.

    Raises ConfigError naming file, line, key and the nearest known key.
    """
    env = os.environ if environ is None else environ
    node, values = read_settings(path)
    values = _without_empty(values, Config)
    for name, keys, value in _environment_settings(env):
        _check_known(keys, f"the environment variable {name}")
        block = values
        for key in keys[:-1]:
            block = block.setdefault(key, {})
            if not isinstance(block, dict):
                break  # the file says something else there, which is refused below
        else:
            block[keys[-1]] = value
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise _explain(error, path, node, env) from error


def _without_empty(values: Mapping[Any, Any], model: type[BaseModel]) -> dict[Any, Any]:
    """The values without settings that are named and not given (`store:`, `budgets:`): they have their defaults."""
    kept = {}
    for key, value in values.items():
        field = model.model_fields.get(str(key))
        inner = field.annotation if field else None
        if value is None and inner is not None and type(None) not in get_args(inner):
            continue
        if isinstance(value, dict) and isinstance(inner, type) and issubclass(inner, BaseModel):
            value = _without_empty(value, inner)
        kept[key] = value
    return kept


def _environment_settings(env: Mapping[str, str]) -> Iterator[tuple[str, list[str], Any]]:
    for name in sorted(env):
        if name.startswith(ENV_PREFIX) and "__" in name and name not in RESERVED_ENV:
            try:
                value = parse(env[name])
            except yaml.YAMLError as error:
                raise ConfigError(
                    f"the environment variable {name} is not valid YAML: {env[name]!r}", "quote it, or unset it"
                ) from error
            yield name, name.removeprefix(ENV_PREFIX).lower().split("__"), value


def _check_known(keys: list[str], where: str) -> None:
    for depth in range(len(keys)):
        known = fields_at(Config, keys[:depth])
        if known is not None and keys[depth] not in known:
            raise ConfigError(f"{where}: no setting `{'.'.join(keys[: depth + 1])}`", nearest(keys[depth], known))


def _explain(error: ValidationError, path: Path, node: yaml.Node | None, env: Mapping[str, str]) -> ConfigError:
    keys, problem, hint = told(error, Config)
    from_env = [name for name, at, _ in _environment_settings(env) if keys[: len(at)] == at]
    where = f"the environment variable {from_env[0]}" if from_env else f"{path}{line_of(node, keys)}"
    return ConfigError(f"{where}: {problem}", hint)
