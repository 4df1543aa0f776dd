"""Finding a sentinel, and putting the credential in its place: nothing of the client's keys goes on."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccinspect.auth.credential import Credential
from ccinspect.auth.sentinel import NAME, Sentinel, apply, find_sentinel, sentinel_for, without_key
from ccinspect.errors import CredentialsError
from ccinspect.pipeline.message import Headers, Outgoing

REAL = "real-hunter22"
names = st.from_regex(NAME, fullmatch=True)


def headers(**fields: str) -> Headers:
    return Headers((name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in fields.items())


def basic(pair: str) -> str:
    return "Basic " + base64.b64encode(pair.encode()).decode()


@pytest.mark.parametrize(
    ("found_in", "path", "expected"),
    [
        (headers(x_api_key="sk-ccinspect-work"), "", ("work", "x-api-key")),
        (headers(X_API_KEY="SK-Ant-OAT-CCInspect-Work"), "", ("work", "x-api-key")),
        (headers(X_Goog_Api_Key="sk-ccinspect-work"), "", ("work", "x-goog-api-key")),
        (headers(api_key="sk-ccinspect-work"), "", ("work", "api-key")),
        (headers(authorization="Bearer sk-ant-oat-ccinspect-work"), "", ("work", "authorization")),
        (headers(AUTHORIZATION="bearer   sk-ccinspect-work "), "", ("work", "authorization")),
        (headers(Authorization="BEARER\tsk-ccinspect-work"), "", ("work", "authorization")),
        (headers(Authorization="sk-ccinspect-work"), "", ("work", "authorization")),
        (headers(Authorization="token sk-ccinspect-work"), "", ("work", "authorization")),
        (headers(Authorization=basic("me:sk-ccinspect-work")), "", ("work", "authorization")),
        (headers(Authorization=basic("sk-ccinspect-work:")), "", ("work", "authorization")),
        (headers(), "/v1beta/x?alt=sse&key=sk-ccinspect-work", ("work", "?key")),
        (headers(), "/v1beta/x?KEY=sk%2Dccinspect-work&b", ("work", "?key")),
        (headers(x_api_key="sk-ccinspect-"), "", ("", "x-api-key")),
        (headers(x_api_key="sk-ccinspect-a b"), "", ("a b", "x-api-key")),
        (headers(authorization="Bearer sk-ccinspect-b", x_api_key="sk-ccinspect-a"), "", ("a", "x-api-key")),
        (headers(x_goog_api_key="sk-ccinspect-b", x_api_key="sk-real"), "", ("b", "x-goog-api-key")),
        (headers(x_api_key="sk-ccinspect-a"), "/?key=sk-ccinspect-b", ("a", "x-api-key")),
    ],
)
def test_it_is_found_wherever_clients_put_keys(found_in: Headers, path: str, expected: tuple[str, str]) -> None:
    assert find_sentinel(found_in, path) == Sentinel(*expected)


@pytest.mark.parametrize(
    ("found_in", "path"),
    [
        (headers(), "/"),
        (headers(x_api_key="sk-ant-api03-x", Authorization="Bearer sk-y"), "/v1/messages?key=AIza"),
        (headers(x_other="sk-ccinspect-work"), "/"),
        (headers(x_api_key="not-sk-ccinspect-work"), "/"),
        (headers(x_api_key="xsk-ccinspect"), "/"),
        (headers(x_api_key=""), "/"),
        (headers(authorization="Basic ###"), "/"),
        (headers(authorization="Basic"), "/"),
        (headers(authorization="Basic /w=="), "/"),
        (headers(), "/sk-ccinspect-work?monkey=sk-ccinspect-work"),
        (headers(), "/?a=key=sk-ccinspect-work#key=sk-ccinspect-work"),
    ],
)
def test_anything_else_is_none(found_in: Headers, path: str) -> None:
    assert find_sentinel(found_in, path) is None


@given(names, st.booleans(), st.sampled_from(["{}", "Bearer {}", "bearer {}", "  {} "]), st.randoms())
def test_each_name_is_found_in_any_case(name: str, long: bool, form: str, random: object) -> None:
    key = "".join(c.upper() if random.random() < 0.5 else c for c in sentinel_for(name, long))  # type: ignore[attr-defined]
    assert find_sentinel(headers(authorization=form.format(key))) == Sentinel(name, "authorization")


@given(st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=60))), st.text(max_size=100))
def test_no_input_breaks_it(fields: list[tuple[bytes, bytes]], path: str) -> None:
    keys = [b"x-api-key", b"Authorization"]
    found = find_sentinel(Headers([*fields, *((key, value) for key in keys for _, value in fields)]), path)
    assert found is None or found.header in ("x-api-key", "authorization", "?key")
    kept = without_key(path)
    assert find_sentinel(Headers([]), kept) is None
    assert without_key(kept) == kept


def test_made_up_names_of_headers_do_not_pile_up() -> None:
    from ccinspect.auth import sentinel

    for number in range(5_000):
        find_sentinel(Headers([(b"x-%d" % number, b"v"), (b"y" * 1_000 + b"%d" % number, b"v")]))
    assert len(sentinel._ranks) <= 1_000
    assert max(map(len, sentinel._ranks)) <= 64


@pytest.mark.parametrize("name", ["", "A", "a b", "-a", "a/b", "x" * 65, "a\n"])
def test_no_sentinel_is_made_for_what_is_no_name(name: str) -> None:
    with pytest.raises(CredentialsError):
        sentinel_for(name)


def outgoing(fields: Headers, path: str = "/v1/messages?beta=true") -> Outgoing:
    return Outgoing("POST", "https", "api.example.com", 443, path, fields)


@pytest.mark.parametrize(
    ("credential", "expected"),
    [
        (Credential("work", REAL, "authorization", "Bearer "), ("authorization", f"Bearer {REAL}")),
        (Credential("work", REAL, "x-api-key"), ("x-api-key", REAL)),
        (Credential("work", REAL, "x-custom", "Key "), ("x-custom", f"Key {REAL}")),
    ],
)
def test_the_credential_is_the_only_key_left(credential: Credential, expected: tuple[str, str]) -> None:
    keys = {"X-Api-Key": "a", "X-Goog-Api-Key": "b", "Authorization": "c", "api-key": "d", "x-api-key": "e"}
    fields = Headers([(b"Host", b"h"), *((k.encode(), v.encode()) for k, v in keys.items()), (b"Accept", b"*/*")])
    request = outgoing(fields, "/v1?key=x&a=%20b&KEY=y&c")
    apply(request, credential)
    left = {name.lower(): fields.get_all(name) for name in fields}
    assert left == {"host": ["h"], "accept": ["*/*"], expected[0]: [expected[1]]}
    assert request.path == "/v1?a=%20b&c"
    assert REAL not in repr(request)


def test_a_record_of_an_unusual_header_can_be_cleaned() -> None:
    assert Credential("work", REAL, "x-custom").hidden_in(f"Key {REAL}, {REAL}") == "Key REDACTED, REDACTED"


def test_the_header_keeps_its_place_and_spelling() -> None:
    fields = Headers([(b"A", b"1"), (b"AUTHORIZATION", b"Bearer sk-ccinspect-work"), (b"B", b"2")])
    apply(outgoing(fields), Credential("work", REAL, "authorization", "Bearer "))
    assert fields.fields == ((b"A", b"1"), (b"AUTHORIZATION", f"Bearer {REAL}".encode()), (b"B", b"2"))


def test_further_headers_go_along() -> None:
    fields = headers(x_api_key="sk-ccinspect-cloud")
    credential = Credential("cloud", REAL, "authorization", "Bearer ", headers=(("x-goog-user-project", "p"),))
    apply(outgoing(fields), credential)
    assert fields.get("x-goog-user-project") == "p"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/a", "/a"),
        ("/a?", "/a?"),
        ("/a?b=1&c", "/a?b=1&c"),
        ("/a?key=1", "/a"),
        ("/a?%6bey=1&b=%2F", "/a?b=%2F"),
        ("/a?b&key&c", "/a?b&c"),
        ("/a?monkey=1", "/a?monkey=1"),
        ("/a?x=key=1", "/a?x=key=1"),
        ("/a?key=1#f", "/a#f"),
    ],
)
def test_only_the_key_leaves_the_query(path: str, expected: str) -> None:
    assert without_key(path) == expected
