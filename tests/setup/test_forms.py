from __future__ import annotations

from typing import Any

import pytest

from ccinspect.setup import fences
from ccinspect.setup.edits import InTheWay, NotUnderstood, apply, take_back
from ccinspect.setup.forms import FORMS, read_dotenv

TARGET = {"port": 4012, "upstream": "http://127.0.0.1:11434"}
SETTINGS: dict[str, dict[tuple[str, ...], Any]] = {
    "toml": {
        ("openai_base_url",): "http://127.0.0.1:4000/v1",
        ("mcp_servers", "mine"): {"command": "a b", "args": ["c", "ü"]},
    },
    "dotenv": {("A",): "http://127.0.0.1:4000", ("B",): "/a directory/ca.pem"},
    "yaml": {("set-env",): ["A=1", "B=2 # no comment"]},
    "reverse-targets": {("inspector", "reverse_targets"): (TARGET,)},
}
TEXTS = {
    "toml": [
        "",
        "[mcp_servers.other]\ncommand = 'x'\n",
        '# mine\nmodel = "x"\n\n[table]\na = 1',
        "[table]\r\na = 1\r\n",
        "\ufeffa = 1\n",
    ],
    "dotenv": ["", "X=1\n", "export X='1'\n# B=2", "X=1\r\n"],
    "yaml": ["", "dark-mode: true # mine\n", "a:\n  - b", "# nothing\n"],
    "reverse-targets": [
        "",
        "store:\n  max_age: 30d\n",
        "inspector:\n  #reverse_port: 4000\n\nstore:\n",
        "inspector:",
        "inspector:\n    web_port: 1 # mine\n",
        "inspector:\n  reverse_targets:\n  - {port: 1, upstream: 'http://x'}\n  web_port: 2\n",
        "inspector:\n  reverse_targets: # mine\n    # first\n    - port: 1\n      upstream: http://x\n",
    ],
}
CASES = [(form, text) for form, texts in TEXTS.items() for text in texts]


@pytest.mark.parametrize(("form", "text"), CASES)
def test_lines_are_added_and_taken_out_byte_for_byte(form: str, text: str) -> None:
    inserts = FORMS[form].add(text, SETTINGS[form])
    after = apply(text, inserts)
    assert fences.find(after)
    assert take_back(after, inserts) == text
    assert FORMS[form].add(after, SETTINGS[form]) == []
    # Somebody has added a line since.
    assert FORMS[form].remove(after + "\n", SETTINGS[form], ()).rstrip() == text.rstrip()


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("toml", 'openai_base_url = "https://gateway.example"\n'),
        ("toml", '[mcp_servers.mine]\ncommand = "x"\n'),
        ("toml", "mcp_servers = 1\n"),
        ("dotenv", "export A = https://gateway.example # ours\n"),
        ("yaml", "set-env: [X=1]\n"),
        ("reverse-targets", "inspector:\n  reverse_targets:\n  - {port: 4012, upstream: 'http://127.0.0.1:1'}\n"),
    ],
)
def test_what_somebody_else_has_set_is_in_the_way(form: str, text: str) -> None:
    with pytest.raises(InTheWay):
        FORMS[form].add(text, SETTINGS[form])


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("toml", "not toml"),
        ("yaml", "- a\n- list\n"),
        ("yaml", "a: 1\n...\n"),
        ("yaml", "{a: 1}\n"),
        ("yaml", "a: [1\n"),
        ("yaml", "a: |\n  text"),
        ("reverse-targets", "inspector: {web_port: 1}\n"),
        ("reverse-targets", "{store: {}}\n"),
        ("reverse-targets", "inspector:\n  reverse_targets: []\n"),
        ("reverse-targets", "inspector: 5\n"),
        ("reverse-targets", "- a\n"),
        ("reverse-targets", "inspector: &a\n  b: *c\n"),
    ],
)
def test_a_file_that_cannot_take_our_lines_is_not_understood(form: str, text: str) -> None:
    with pytest.raises(NotUnderstood):
        FORMS[form].add(text, SETTINGS[form])


@pytest.mark.parametrize(
    "text",
    [
        f"{fences.BEGIN}\na\n",
        f"a\n{fences.END}\n",
        f"{fences.END}\n{fences.BEGIN}\n",
        f"{fences.BEGIN}\n{fences.BEGIN}\n{fences.END}\n",
    ],
)
def test_damaged_markers_are_refused(text: str) -> None:
    with pytest.raises(NotUnderstood, match="no pair"):
        fences.find(text)


def test_an_env_file_is_read_as_its_readers_do() -> None:
    text = "A=1\n export B = 'x y' \n#C=3\nD=\"q\"\r\nE=a#b # c\nF=\n"
    assert read_dotenv(text) == {"A": "1", "B": "x y", "D": "q", "E": "a#b", "F": ""}
