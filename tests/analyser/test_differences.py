from __future__ import annotations

import time

from ccinspect.analyser.cache_misses import prefix_of
from ccinspect.analyser.composition import measure
from ccinspect.analyser.differences import changed_block, difference
from ccinspect.analyser.tokens import TokenCounter
from tests.analyser.talk import COUNTS, assistant, call, request, result, tool, user
from tests.analyser.test_media import png

IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": png(280, 280)}}


def test_the_difference_shows_the_first_changed_lines_with_those_around():
    before = "You are an agent.\nToday is Monday.\nBe brief.\nBe kind.\nBye."
    after = "You are an agent.\nToday is Tuesday.\nBe brief.\nBe kind.\nBye."
    assert difference(before, after).split("\n") == [
        "@@ line 2 @@",
        "  You are an agent.",
        "- Today is Monday.",
        "+ Today is Tuesday.",
        "  Be brief.",
        "  Be kind.",
    ]


def test_the_difference_of_long_lines_shows_where_they_differ():
    shown = difference("a" * 5_000 + "one" + "b" * 5_000, "a" * 5_000 + "two" + "b" * 5_000)
    assert "one" in shown
    assert "two" in shown
    assert len(shown) < 1_000


def test_the_difference_of_anything_is_about_a_screenful_and_takes_bounded_time():
    start = time.process_time()
    shown = difference("\n".join(f"{at}" for at in range(200_000)), "\n".join(f"{at}x" for at in range(200_000)))
    assert len(shown.split("\n")) < 40
    difference("a\n" * 500_000, "a\n" * 499_999)
    assert time.process_time() - start < 3


OLD, NEW = ({"type": "text", "text": text} for text in ("old", "new"))
TALK = [user("Look", IMAGE), assistant(call("1", "Read", path="a")), user(result("1", [OLD, IMAGE]))]


def test_the_block_that_changed_is_found_by_its_number():
    changed = [*TALK[:2], user(result("1", [NEW, IMAGE]))]
    before, after = (request(*talk, system="You are.", tools=[tool("Read")]) for talk in (TALK, changed))
    prefixes = [prefix_of("f", 0.0, each, measure(each, TokenCounter(COUNTS)), None) for each in (before, after)]
    pairs = enumerate(zip(prefixes[0].hashes, prefixes[1].hashes, strict=True))
    at = next(at for at, (old, new) in pairs if old != new)
    assert changed_block(before, after, at).split("\n")[1:3] == ["- old", "+ new"]


def test_every_block_can_be_shown():
    before = request(*TALK, system="You are.", tools=[tool("Read")])
    shown = [changed_block(before, request(), at) for at in range(8)]
    assert "Does what it says." in shown[0]
    assert "- You are." in shown[1]
    assert "image/png" in shown[3]
    assert '"path": "a"' in shown[4]
    assert all(shown[:7])
    assert shown[7] == ""
