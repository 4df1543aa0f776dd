"""JSON from strangers: parsing that never raises and takes bounded time and memory, and writing that always works.

Beyond the standard library's parser: NaN and the infinities become None (they are not JSON), bodies that nest
deeper than MAX_DEPTH or hold more than MAX_VALUES values are refused, bytes that are not UTF-8 become U+FFFD,
and lone surrogates (`"\\ud83d"` escapes without their other half) too, so that every string can be encoded.
"""

from __future__ import annotations

import json
import re
from typing import Any

from ccinspect.wire.model import Json, JsonObject

MAX_BYTES = 160_000_000
MAX_DEPTH = 200
MAX_VALUES = 3_000_000
"""A value takes up to 100 bytes in memory whatever it took on the wire."""

_CHECK_VALUES_FROM = 1_000_000
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
# Possessive, and a string without its end counts as one: else hostile quotes would take quadratic time.
_STRINGS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)


def _no_constant(name: str) -> None:
    return None


def _any_integer(digits: str) -> int | None:
    return int(digits) if len(digits) <= _MAX_DIGITS else None


_MAX_DIGITS = 400
_scan = json.JSONDecoder(parse_constant=_no_constant).raw_decode
# Python refuses to read integers of more than 4,300 digits; this slower one reads around them.
_scan_big = json.JSONDecoder(parse_constant=_no_constant, parse_int=_any_integer).raw_decode


def parse(data: bytes | str, max_bytes: int = MAX_BYTES) -> tuple[Json, str | None]:
    """Parse a whole JSON text: (value, None), or (None, why not). Never raises."""
    if len(data) > max_bytes:
        return None, f"larger than {max_bytes} bytes"
    text = data if isinstance(data, str) else data.decode("utf-8", "replace")
    text = text.removeprefix("\ufeff").strip(" \t\r\n")
    value, problem = parse_event(text)
    if problem is None and _SURROGATE_ESCAPE.search(text):
        value = mend(value)
    return value, problem


def parse_event(text: str) -> tuple[Json, str | None]:
    """Parse one event of a stream, already without surrounding space. Lone surrogates stay: an emoji may have
    been cut in two, and its halves meet again when the parts are joined."""
    problem = _too_much(text)
    if problem:
        return None, problem
    try:
        value, end = _scan(text)
    except RecursionError:
        return None, f"nested deeper than {MAX_DEPTH}"
    except json.JSONDecodeError as error:
        return None, f"not JSON: {error.msg} at {error.pos}"
    except ValueError:
        return _parse_big(text)
    return _whole(value, text, end)


def _whole(value: Json, text: str, end: int) -> tuple[Json, str | None]:
    if end != len(text):
        return None, "not JSON: text after the end"
    if len(text) > 2 * MAX_DEPTH and deeper_than(value, MAX_DEPTH):
        return None, f"nested deeper than {MAX_DEPTH}"
    return value, None


def _parse_big(text: str) -> tuple[Json, str | None]:
    try:
        value, end = _scan_big(text)
    except (ValueError, RecursionError) as error:
        return None, f"not JSON: {str(error)[:200]}"
    return _whole(value, text, end)


def _too_much(text: str) -> str | None:
    if len(text) > _CHECK_VALUES_FROM and _values(text) > MAX_VALUES and _values(_structure(text)) > MAX_VALUES:
        return f"more than {MAX_VALUES} values"
    return None


def _values(text: str) -> int:
    return text.count(",") + text.count("[") + text.count("{")


def _structure(text: str) -> str:
    return _STRINGS.sub("", text)


def deeper_than(value: Json, limit: int) -> bool:
    """Whether more than `limit` arrays and objects lie one within the other."""
    # Looking at the brackets outside of strings before parsing would take three times as long as parsing.
    level: list[Any] = [value] if isinstance(value, list | dict) else []
    for _ in range(limit):
        if not level:
            return False
        inner = [each.values() if type(each) is dict else each for each in level]
        level = [each for values in inner for each in values if type(each) is dict or type(each) is list]
    return bool(level)


def mend_text(text: str) -> str:
    """Join surrogate pairs, and replace lone surrogates, so that the text can be encoded."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def mend(value: Json) -> Json:
    """The same JSON with every string and key mended. Depth is bounded by the parser."""
    if isinstance(value, str):
        return mend_text(value)
    if isinstance(value, list):
        return [mend(item) for item in value]
    if isinstance(value, dict):
        return {mend_text(key): mend(item) for key, item in value.items()}
    return value


# Made once: `json.dumps` makes an encoder for each call that has options.
_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def dump(value: Json) -> bytes:
    """Write compact UTF-8 JSON. What JSON cannot say (NaN, bytes, ...) is written as null. Never raises."""
    try:
        return _compact(value).encode()
    except UnicodeEncodeError:
        return json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode()
    except (ValueError, TypeError, RecursionError):
        return json.dumps(_plain(value, MAX_DEPTH), separators=(",", ":")).encode()


def dump_text(value: Json) -> str:
    return dump(value).decode("utf-8")


def dump_line(value: Json) -> str:
    """JSON for one line of a stream. Many clients take Unicode's other line ends for ends of lines: escaped here."""
    try:
        text = _compact(value)
    except (ValueError, TypeError, RecursionError):
        return dump_text(value)
    if text.isascii():
        return text
    # Lone surrogates are escaped by `dump`.
    text = dump_text(value)
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").replace("\x85", "\\u0085")


def _plain(value: Json, depth: int) -> Json:
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < 10**_MAX_DIGITS else None
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if depth and isinstance(value, dict):
        return {str(key): _plain(item, depth - 1) for key, item in value.items()}
    if depth and isinstance(value, list | tuple):
        return [_plain(item, depth - 1) for item in value]
    return None


# Readers of fields: whatever stands there, the answer has the type asked for.

_MAX_COUNT = 2**53


def as_object(value: Any) -> JsonObject:
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def as_name(value: Any) -> str | None:
    """A string, or None for anything else and for the empty string."""
    return value if isinstance(value, str) and value else None


def as_bool(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def as_count(value: Any) -> int | None:
    """A number of things: a whole number from 0 to 2**53, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not 0 <= value <= _MAX_COUNT or value != value:
        return None
    return int(value)


def as_int(value: Any) -> int | None:
    """Any whole number that fits 53 bits, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _MAX_COUNT:
        return None
    return int(value) if value == int(value) else None


def as_number(value: Any) -> float | None:
    """A finite number, or None. Whole numbers stay whole."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= 1e300:
        return None
    return value


def parse_arguments(text: str) -> JsonObject | str:
    """The arguments of a tool call: the object, or the text itself when it is none. Empty text is an empty object."""
    stripped = text.strip(" \t\r\n")
    if not stripped:
        return {}
    value, problem = parse(stripped)
    return value if problem is None and isinstance(value, dict) else text


def arguments_text(arguments: JsonObject | str) -> str:
    return arguments if isinstance(arguments, str) else dump_text(arguments)


def arguments_object(arguments: JsonObject | str) -> JsonObject:
    """For dialects that want an object: free text goes under the key `input`."""
    return arguments if isinstance(arguments, dict) else {"input": arguments}
