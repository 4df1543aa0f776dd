"""What Anthropic takes each by itself and refuses together: thinking, sampling, a tool that must be called."""

from __future__ import annotations

from ccinspect.wire.codec import Notes
from ccinspect.wire.jsontext import as_object
from ccinspect.wire.model import JsonObject

_LEAST_TOP_P = 0.95
"""Of a request with thinking."""


def without_conflicts(body: JsonObject, notes: Notes) -> JsonObject:
    """The body of a request without what would make Anthropic refuse it; what is left out is named.

    Source: its pages on extended thinking (not with other temperatures than 1, `top_k`, or forced tool use), and on
    current models (not `temperature` and `top_p` in one request).
    """
    out = dict(body)
    if as_object(out.get("thinking")).get("type") in ("enabled", "adaptive"):
        if as_object(out.get("tool_choice")).get("type") in ("any", "tool"):
            del out["thinking"]
            notes.lost("parameter_dropped", "anthropic does not think where a tool has to be called", ("thinking",))
        else:
            for name in ("temperature", "top_k", "top_p"):
                if name in out and not _goes_with_thinking(name, out[name]):
                    del out[name]
                    notes.lost("parameter_dropped", f"anthropic takes no such {name} together with thinking", (name,))
    if "temperature" in out and "top_p" in out:
        del out["top_p"]
        notes.lost("parameter_dropped", "anthropic takes either temperature or top_p", ("top_p",))
    return out


def _goes_with_thinking(name: str, value: object) -> bool:
    if name == "temperature":
        return value == 1
    return name == "top_p" and isinstance(value, int | float) and value >= _LEAST_TOP_P
