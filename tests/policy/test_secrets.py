"""Finding secrets in bodies, and taking them out without touching the rest."""

from __future__ import annotations

import base64
import json
import random
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccinspect.errors import ConfigError
from ccinspect.pipeline.message import Facts, Outgoing
from ccinspect.policy.secrets import Redaction, Redactor
from ccinspect.policy.settings import RedactConfig

SECRETS = {
    "GitHub token": "ghp_" + "aB3" * 12,
    "AWS key": "AKIAIOSFODNN7EXAMPLE",
    "Anthropic key": "sk-ant-api03-" + "x1Y_" * 20 + "-AA",
    "OpenAI key": "sk-proj-" + "abc123-_" * 8,
    "API key": "sk-" + "0af1" * 8,
    "Google API key": "AIza" + "Sy" * 17 + "x",
    "JSON Web Token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "private key": "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\nabc=\n-----END RSA PRIVATE KEY-----",
    "Slack token": "xoxb-123456789012-123456789012-abcdefghijklmnopqrstuvwx",
    "Stripe key": "sk_live_" + "a1" * 50,
    "Hugging Face token": "hf_" + "aBcDe" * 7,
    "GitLab token": "glpat-" + "aB3_" * 5,
    "npm token": "npm_" + "a1B2" * 9,
    "SendGrid key": f"SG.{'a' * 22}.{'b' * 43}",
}
KEYS = Redactor([RedactConfig(name="keys", secrets=True)])


def redactor(**entry: Any) -> Redactor:
    return Redactor([RedactConfig.model_validate({"name": "mine", **entry})])


def masked(body: bytes | str) -> Redaction:
    return KEYS.redact(body.encode() if isinstance(body, str) else body, "upstream")


@pytest.mark.parametrize(("name", "secret"), SECRETS.items())
@pytest.mark.parametrize(
    "around",
    ["{}", "key={}", "'{}'", "line\n{}\nline", "Bearer {},", "\x1b[32m{}\x1b[0m", "密钥{}。", "%3D{}&x", "\\n{}\\n"],
)
def test_well_known_secrets_are_masked_whole(name: str, secret: str, around: str) -> None:
    text = around.replace("{}", secret)
    for body, path in [
        (json.dumps({"messages": [{"content": [{"text": text}]}]}), ".messages[0].content[0].text"),
        (json.dumps({"messages": [{"content": [{"text": text}]}]}, ensure_ascii=False), ".messages[0].content[0].text"),
        (json.dumps({"arguments": json.dumps({"command": text})}), ".arguments"),
        ('{"a":"' + "".join(f"\\u{ord(character):04x}" for character in text) + '"}', ".a"),
        (json.dumps({text: 1}), None),
        (f"plain text {text} and more", None),
    ]:
        done = masked(body)
        assert name in [finding.name for finding in done.findings]
        assert done.stopped is None
        if path is not None:
            assert {finding.path for finding in done.findings} == {path}
            after = json.dumps(json.loads(done.body), ensure_ascii=False)
        else:
            after = done.body.decode()
        core = secret.split("\n")[1] if "\n" in secret else secret[4:]
        assert core not in after
        assert f"[redacted: {name}]" in after
        assert core not in repr(done.as_record()), "a record never holds the secret"


def test_a_password_in_a_url_and_one_in_an_environment() -> None:
    done = masked(
        '{"t": "postgres://app:hunter22@db/x AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}'
    )
    assert done.body == (
        b'{"t": "postgres://app:[redacted: password in a URL]@db/x AWS_SECRET_ACCESS_KEY=[redacted: AWS secret key]"}'
    )


@pytest.mark.parametrize(
    "text",
    [
        "aws_secret_access_key = {}",
        "AWS_SECRET_KEY: '{}'",
        'awsKey := "{}"',
        '\\"aws_token\\":\\"{}\\"',
        "aws.password=>{}",
    ],
)
def test_secret_keys_of_aws_go_by_their_name(text: str) -> None:
    secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    assert masked(text.replace("{}", secret)).body.decode() == text.replace("{}", "[redacted: AWS secret key]")


@pytest.mark.parametrize(
    "text",
    [
        "sk-ant-oat-ccinspect-anthropic", "sk-ccinspect-openai", "sk-learn-something-with-a-long-name", "task-force",
        "123e4567-e89b-12d3-a456-426614174000", "da39a3ee5e6b4b0d3255bfef95601890afd80709", "https://a.com:8080/a@b",
        "sha512-" + "q1W+" * 20 + "==", "eyJhbGciOiJIUzI1NiJ9", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END",
        "-----BEGIN PUBLIC KEY-----", "ghp_short", "AKIA", "toolu_01A09q90qw90lq917835lq9",
        "EqQBCgIYAhIM" * 40, "gAAAAABo" + "Zx-_" * 200, "the password is in the vault", "2026-11-20T12:00:00Z",
    ],
)  # fmt: skip
def test_what_is_none_is_left(text: str) -> None:
    body = json.dumps({"text": text}).encode()
    done = masked(body)
    assert done.findings == ()
    assert done.body is body


def test_images_hold_no_secrets() -> None:
    chance = random.Random(7)
    for size in (100_000, 1_500_000):
        for encode in (base64.b64encode, base64.urlsafe_b64encode, base64.encodebytes):
            text = encode(chance.randbytes(size)).decode()
            assert masked(json.dumps({"data": text})).findings == ()


def test_everything_else_keeps_its_bytes() -> None:
    secret = SECRETS["GitHub token"]
    body = (
        '\ufeff{ "b" : 1.0e0,\t"a":"x\\/\\u00e9' + secret + '\\ud83d\\ude00\\ud83d", "a": "' + secret + '",\r\n'
        '"n": 10000000000000000000000000001 , "é":[ ] }\n'
    ).encode()
    assert masked(body).body == body.replace(secret.encode(), b"[redacted: GitHub token]")


def test_equal_keys_do_not_hide_one() -> None:
    body = json.dumps({"a": SECRETS["AWS key"]})[:-1] + ', "a": "harmless"}'
    assert b"AKIA" not in masked(body).body


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32-be", "utf-8-sig"])
def test_other_encodings(encoding: str) -> None:
    body = json.dumps({"a": "é" + SECRETS["AWS key"]}, ensure_ascii=False).encode(encoding)
    done = masked(body)
    assert json.loads(done.body) == {"a": "é[redacted: AWS key]"}


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": "%s', b'{"a": "%s\\', b'{"a": "\\x %s"}', b'{"a": "%s"', b'{"a": "%s"} trailing',
        b'{"a": 1}\n{"a": "%s"}\n',
        b'["%s",]', b'\xff\xfe\xfd %s \x00\x80', b'{"a": "\xff %s \xe9"}', b"--boundary\r\n\r\n%s\r\n--boundary--",
        b"k=%s&x=1",
        b"event: x\ndata: {\"a\": \"%s\"}\n\n", b'"%s"', b'{"a": "\\ud800 %s"}',
    ],
)  # fmt: skip
def test_bodies_that_are_no_proper_json(body: bytes) -> None:
    secret = b"AKIAIOSFODNN7EXAMPLE"
    assert masked(body.replace(b"%s", secret)).body == body.replace(b"%s", b"[redacted: AWS key]")


@given(st.binary(max_size=300))
def test_any_body_can_be_searched(data: bytes) -> None:
    done = masked(data)
    if not done.findings:
        assert done.body is data
    around = b"{" + data + b' "' + SECRETS["GitHub token"].encode() + b'"'
    assert masked(around).stopped is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(json_values, st.booleans(), st.sampled_from([None, 2]))
def test_paths_lead_to_what_was_found(value: Any, ascii_only: bool, indent: int | None) -> None:
    secret = SECRETS["GitHub token"]
    whole = {"before": value, "list": [value, {"here": f"a {secret}"}], "after": value}
    done = masked(json.dumps(whole, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "surrogatepass"))
    assert [finding.path for finding in done.findings] == [".list[1].here"]
    assert (done.findings[0].start, done.findings[0].end) == (2, 42)
    clean = {"before": value, "list": [value, {"here": "a [redacted: GitHub token]"}], "after": value}
    assert done.body == json.dumps(clean, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "surrogatepass")


def test_own_patterns_see_each_string_by_itself() -> None:
    body = b'{"a": "ACME-1", "b": ["x ACME-22 y", "ACME-"], "c": "3"}'
    assert redactor(pattern=r"ACME-\d+").redact(body, "upstream").body == (
        b'{"a": "[redacted: mine]", "b": ["x [redacted: mine] y", "ACME-"], "c": "3"}'
    )
    assert redactor(pattern=r"^ACME-\d+$").redact(body, "upstream").body == body.replace(b"ACME-1", b"[redacted: mine]")
    assert redactor(pattern=r"ACME-\s*\d*$").redact(body, "upstream").body.endswith(b'"[redacted: mine]"], "c": "3"}')
    assert (
        json.loads(redactor(pattern=r"[^z]+").redact(body, "upstream").body)["[redacted: mine]"] == "[redacted: mine]"
    )


@given(
    st.lists(st.text("ab\n1", max_size=6), max_size=6),
    st.sampled_from(["a+", "[^b]+", r"a\s*1", "b.a", r"\ba", "(a|1)b"]),
)
def test_searching_all_at_once_finds_what_searching_each_does(texts: list[str], pattern: str) -> None:
    together = redactor(pattern=pattern).redact(json.dumps(texts).encode(), "upstream")
    apart = redactor(pattern=f"(?=){pattern}").redact(json.dumps(texts).encode(), "upstream")
    assert together.body == apart.body


def test_numbers_become_strings() -> None:
    done = redactor(pattern=r"\b\d{16}\b").redact(b'{"card": 4111111111111111, "x": 1e5}', "upstream")
    assert done.body == b'{"card": "[redacted: mine]", "x": 1e5}'
    assert done.findings[0].path == ".card"


def test_modes() -> None:
    body = b'{"a": "ACME"}'
    flagged = redactor(pattern="ACME", mode="flag").redact(body, "upstream")
    assert (flagged.body, flagged.stopped, len(flagged.findings)) == (body, None, 1)
    stopped = redactor(pattern="ACME", mode="stop").redact(body, "upstream")
    assert stopped.stopped == "the request holds what may not leave: mine at .a (rule mine)"
    stored = redactor(pattern="ACME", where="store")
    assert stored.redact(body, "upstream").body is body
    assert stored.redact(body, "store").body == b'{"a": "[redacted: mine]"}'
    assert stored.wants("store")
    assert not stored.wants("upstream")


def test_projects() -> None:
    mine = redactor(pattern="ACME", projects=["web-*"])
    assert mine.wants("upstream", Facts("f", "proxy", project="web-1"))
    assert not mine.wants("upstream", Facts("f", "proxy", project="other"))
    assert not mine.redact(b"ACME", "upstream").findings
    assert mine.redact(b"ACME", "upstream", "web-1").findings


def test_what_is_to_be_ignored() -> None:
    lenient = redactor(secrets=True, ignore=[r"AKIA\w+EXAMPLE"])
    assert not lenient.redact(b'["AKIAIOSFODNN7EXAMPLE"]', "upstream").findings
    assert lenient.redact(b'["AKIAIOSFODNN7EXAMPLF"]', "upstream").findings


def test_a_request_on_its_way_out() -> None:
    outgoing = Outgoing("POST", "https", "a.com", 443, "/", body=b'{"a": "AKIAIOSFODNN7EXAMPLE"}')
    done = KEYS.apply(outgoing, Facts("f", "proxy"))
    assert outgoing.body == done.body == b'{"a": "[redacted: AWS key]"}'
    unread = Outgoing("POST", "https", "a.com", 443, "/")
    assert KEYS.apply(unread, Facts("f", "proxy")).findings == ()
    assert unread.body is None


@pytest.mark.parametrize(("mode", "stopped"), [("mask", True), ("stop", True), ("flag", False)])
def test_a_body_that_cannot_be_unpacked_is_as_one_that_was_not_searched(mode: str, stopped: bool) -> None:
    outgoing = Outgoing("POST", "https", "a.com", 443, "/", body=b"\x1f\x8b...")
    rules = Redactor(
        [RedactConfig(name="r", pattern="x", mode=mode), RedactConfig(name="s", pattern="x", where="store")]
    )
    done = rules.apply(outgoing, Facts("f", "proxy", sealed="broken data"))
    assert done.unsearched == ("r",)
    assert (done.stopped is not None and "broken data" in done.stopped) is stopped
    assert outgoing.body == b"\x1f\x8b..."


@pytest.mark.parametrize(("mode", "stopped"), [("mask", True), ("stop", True), ("flag", False)])
def test_a_pattern_that_does_not_end_is_ended(mode: str, stopped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ccinspect.policy.secrets.SECONDS", 0.2)
    start = time.monotonic()
    done = redactor(pattern=r"(?:a|a|aa)+(?:a|aa)+\d?z", mode=mode).redact(b'"' + b"a" * 5_000 + b'"', "upstream")
    assert time.monotonic() - start < 10
    assert done.unsearched == ("mine",)
    assert (done.stopped is not None) is stopped


@pytest.mark.parametrize(
    "text",
    ["sk-" * 300_000 + "T3BlbkFJ", "eyJ-" * 250_000, "eyJa." * 200_000, "://a:" * 200_000, '"' * 900_000,
     "\\" * 900_000, "%3DeyJ" * 150_000, "eyJhbGciOiJIUzI1NiJ9." * 40_000, "\\neyJ" * 180_000, "ghp_" * 220_000,
     "-----BEGIN PRIVATE KEY-----" * 30_000, "aws" * 300_000, "xoxb-1-" * 130_000, "[" * 900_000, "1" * 900_000,
     "{\"a\":" * 150_000, "npm_" * 220_000, "\\u0041" * 150_000, "AKIA" * 220_000, "1.1." * 220_000],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_hostile_bodies_take_bounded_time(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # What is measured is the work, not how busy this machine is.
    monkeypatch.setattr("ccinspect.policy.secrets.SECONDS", 60.0)
    monkeypatch.setattr("ccinspect.policy.secrets.MAX_SECONDS", 60.0)
    for body in (text.encode(), json.dumps({"a": text}).encode(), b'{"a": "' + text.encode()):
        start = time.process_time()
        done = masked(body)
        assert time.process_time() - start < 4
        assert done.unsearched == ()


@pytest.mark.parametrize(
    "entry",
    [{}, {"pattern": "("}, {"pattern": "a", "secrets": True}, {"pattern": "a", "where": "store", "mode": "stop"},
     {"pattern": "a", "name": "]"}, {"pattern": ""}],
)  # fmt: skip
def test_no_redaction(entry: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        RedactConfig.model_validate({"name": "mine", **entry})


def test_a_pattern_that_this_engine_does_not_take() -> None:
    with pytest.raises(ConfigError, match="redact, mine"):
        Redactor([RedactConfig.model_construct(name="mine", pattern="(", ignore=(), secrets=False)])
