"""The `OTEL_*` variables as the standard means them, where the SDK takes them another way."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping

_COMPRESSION = ("OTEL_EXPORTER_OTLP_COMPRESSION", "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
                "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION")  # fmt: skip
_EXPORTERS = "OTEL_EXPORTER_"


def mend(environ: MutableMapping[str, str]) -> None:
    """Take out what says nothing: an empty variable is as if it were not set, and `none` is no compression. The SDK
    raises at both."""
    for name in [name for name in environ if name.startswith("OTEL_")]:
        if not environ[name].strip() or (name in _COMPRESSION and environ[name].strip().lower() == "none"):
            del environ[name]


def why_no_exporter(error: Exception, environ: Mapping[str, str]) -> str:
    """What to say when the SDK makes no exporter: it does not tell which variable it dislikes. No value is told, for it
    may be a token."""
    said = ", ".join(sorted(name for name in environ if name.startswith(_EXPORTERS)))
    return f"no exporter can be made of {said or 'the settings'}: {error}"
