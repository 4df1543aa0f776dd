"""How the settings' file may look: what is empty, what is said twice, what nobody can read."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccinspect.config import Config, load_config
from ccinspect.errors import ConfigError


def load(directory: Path, text: str | bytes, environ: dict[str, str] | None = None) -> Config:
    path = directory / "ccinspect.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_config(path, environ or {})


def refused(directory: Path, text: str | bytes, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(directory, text, environ)
    return f"{caught.value.message}\n{caught.value.hint}"


EVERY_BLOCK = "".join(f"{name}:\n" for name in Config.model_fields)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing yet\n",
        "---\n",
        "\ufeff# from an editor of Windows\n",
        EVERY_BLOCK,
        "inspector:\n  transforms:\nhooks:\n  inbound:\n  outbound:\npolicy:\n  allow:\n  deny:\n",
    ],
    ids=["empty", "comment", "start", "bom", "blocks", "lists"],
)
def test_what_is_named_and_not_given_has_its_default(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text) == Config()


def test_a_setting_that_may_be_nothing_can_be_set_to_nothing(tmp_path: Path) -> None:
    assert load(tmp_path, "store:\n  max_age: null\n").store.max_age is None


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ("policy:\n  deny: [a.example]\n\npolicy:\n  allow: [b.example]\n", 4, "policy"),
        ("providers:\n  work: {host: a.example}\n  work: {host: b.example}\n", 3, "work"),
        ("redact:\n  - {name: keys, secrets: true, name: others}\n", 2, "name"),
    ],
)
def test_a_key_that_comes_twice_is_refused(tmp_path: Path, text: str, line: int, key: str) -> None:
    assert f"line {line}: `{key}` stands there for the second time" in refused(tmp_path, text)


def test_anchors_and_merges_work(tmp_path: Path) -> None:
    text = "providers:\n  work: &one {host: a.example, type: anthropic}\n  play: {<<: *one, host: b.example}\n"
    providers = load(tmp_path, text).providers
    assert {name: provider.host for name, provider in providers.items()} == {"work": "a.example", "play": "b.example"}


def test_anchors_of_anchors_cost_nothing(tmp_path: Path) -> None:
    """Nine lines that stand for two thousand million words."""
    lists = ["&a0 [x, x, x, x, x, x, x, x, x, x]"]
    lists += [f"&a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    told = refused(tmp_path, "policy:\n  allow:\n" + "".join(f"  - {each}\n" for each in lists))
    assert "policy.allow" in told
    assert len(told) < 1000


def test_what_the_environment_says_of_a_block_that_is_none(tmp_path: Path) -> None:
    environ = {"CCINSPECT_STORE__BODIES": "none"}
    assert load(tmp_path, "store:\n", environ).store.bodies == "none"
    assert "`store`" in refused(tmp_path, "store: 5\n", environ)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"policy:\n  deny: [b\xfccher.example]\n", "UTF-8"),
        ("a: !!python/object/apply:os.system ['true']\n", "line 1: not valid YAML"),
        ("store:\n\tbodies: none\n", "line 2: not valid YAML"),
        ("- a\n", "expected blocks"),
        ("hello\n", "expected blocks"),
        ("store: {}\n---\nstore: {}\n", "another document"),
    ],
    ids=["latin-1", "python", "tab", "list", "word", "two"],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, text: str | bytes, words: str) -> None:
    assert words in refused(tmp_path, text)


@pytest.mark.parametrize("codes", ["on: [429]", '"on": [429]', "on:\n      - 429"])
def test_on_is_a_key_like_any_other(tmp_path: Path, codes: str) -> None:
    found = load(tmp_path, f"providers:\n  anthropic:\n    fallbacks:\n      {codes}\n")
    fallbacks = found.providers["anthropic"].fallbacks
    assert fallbacks is not None
    assert fallbacks.on == (429,)


def test_on_is_a_key_in_the_environment_too(tmp_path: Path) -> None:
    found = load(tmp_path, "", {"CCINSPECT_PROVIDERS__openai": "{fallbacks: {on: [500]}}"})
    fallbacks = found.providers["openai"].fallbacks
    assert fallbacks is not None
    assert fallbacks.on == (500,)


def test_on_is_true_where_a_value_stands(tmp_path: Path) -> None:
    assert load(tmp_path, "inspector: {keylog: on}\n").inspector.keylog


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "inspector: {transforms: [{match_hos: a, action: deny}]}",
            ["no setting", ".match_hos`", "did you mean `match_host`?"],
        ),
        ("policy: {allow: [{hots: a}]}", ["policy.allow.0.hots", "did you mean `host`?"]),
        ("providers: {host: {hots: [a]}}", ["providers.host.hots", "did you mean `hosts`?"]),
        ("providers: {x: {auth: {file: a, filed: b}}}", ["`providers.x.auth.filed`", "did you mean"]),
        ("providers: {x: {auth: {env: A B}}}", ["`providers.x.auth.env`", "not the name"]),
        ("providers: {x: {host: 'https://a.example/v1'}}", ["`providers.x.host`", "a host name"]),
        ("proxy: {token: {env: X}}", ["no setting `proxy.token.env`", "known here: command, file"]),
        ("proxy: {token: 12345}", ["`proxy.token`: has to be a text; put it in quotes"]),
        ("jail: {host_ports: some}", ["`jail.host_ports`: has to be 'auto' or 'none' (got 'some')"]),
        ("inspector: {transforms: {action: deny}}", ["`inspector.transforms`: has to be a list"]),
        ("inspector: {transforms: [deny]}", ["`inspector.transforms.0`: has to be a block of settings"]),
        ("budgets: [{per: day, max_cost: 5}, {per: week, max_cost: 5}]", ["budgets.1.per", "has to be 'run' or 'day'"]),
        ("redact: [{secrets: true}]", ["`redact.0.name`: is missing"]),
        ("store: {bodies: full, kept: 1}", ["no setting `store.kept`"]),
    ],
)
def test_a_mistake_is_told_in_words_of_the_settings(tmp_path: Path, text: str, told: list[str]) -> None:
    said = refused(tmp_path, text)
    assert ", line 1: " in said
    for part in told:
        assert part in said
    assert " should " not in said


def test_a_name_that_cannot_be_one_is_told_in_the_same_words(tmp_path: Path) -> None:
    said = refused(tmp_path, "providers: {Work Key: {host: h}}")
    assert "`providers.Work Key`: has to match pattern" in said


def test_a_link_to_nowhere_is_not_taken_for_no_settings(tmp_path: Path) -> None:
    path = tmp_path / "ccinspect.yaml"
    path.symlink_to(tmp_path / "dotfiles" / "ccinspect.yaml")
    with pytest.raises(ConfigError, match="is a link to what does not exist"):
        load_config(path, {})


def test_what_nests_without_end_is_told(tmp_path: Path) -> None:
    assert "nested too deeply" in refused(tmp_path, "[" * 5000 + "]" * 5000)
    assert "nested too deeply" in refused(tmp_path, "hooks: " + "{a: " * 5000 + "1" + "}" * 5000)


@pytest.mark.parametrize(("text", "key"), [("1: 2", "1"), ("store: {2: 3}", "store.2")])
def test_a_key_that_is_a_number_is_told(tmp_path: Path, text: str, key: str) -> None:
    assert f"no setting `{key}`" in refused(tmp_path, text)


def test_what_may_be_a_secret_is_not_repeated(tmp_path: Path) -> None:
    assert "12345" not in refused(tmp_path, "proxy: {token: 12345}")


@pytest.mark.parametrize("source", ["{gcp: default}", "{gcp: }", "{gcp: {}}", "{gcp: true}", "{aws: default}"])
def test_a_cloud_needs_no_more_than_its_name(tmp_path: Path, source: str) -> None:
    auth = load(tmp_path, f"providers: {{x: {{auth: {source}}}}}").providers["x"].auth
    assert auth is not None
    assert auth.type in source
