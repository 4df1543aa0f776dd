from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ccinspect.analyser.composition import measure
from ccinspect.analyser.purposes import Purpose
from ccinspect.analyser.tokens import TokenCounter
from ccinspect.analyser.traces import MARKS, first_texts, handed_on, marks_of, overlap, sample, summary_traces
from tests.analyser.talk import COUNTS, answer, assistant, call, calls, request, result, user

WORDS = "eight words at least are needed for a mark, number {}"


def marks(*messages):
    return marks_of(measure(request(*messages, system=WORDS.format("system")), TokenCounter(COUNTS)))


def test_what_is_said_weighs_most_and_results_and_the_system_prompt_nothing():
    question = user(WORDS.format(1))
    found = marks(
        question, assistant(call("1", "Read", file_path="/a/long/path/to/a/file.py")), user(result("1", WORDS * 99))
    )
    assert len(found) == 2
    said = next(iter(marks(question).values()))
    assert max(found.values()) == said >= 4 * 8


weights = st.dictionaries(
    st.text(alphabet="0123456789abcdef", min_size=8, max_size=8), st.integers(1, 800), min_size=2, max_size=150
)


@given(weights)
def test_a_conversation_overlaps_with_itself_wholly(all_marks):
    assert overlap(all_marks, sample(all_marks)) == 1.0


@given(weights, weights)
def test_an_overlap_is_a_share(child, parent):
    assert 0.0 <= overlap(child, sample(parent)) <= 1.0
    assert len(sample(parent)) <= MARKS


@given(weights)
def test_what_was_kept_whole_overlaps_well_whatever_was_added(all_marks):
    more = {f"new{at}": 800 for at in range(300)}
    assert overlap(all_marks | more, sample(all_marks)) >= 0.75


def test_prompts_of_calls_are_found_again_at_the_beginning_of_a_conversation():
    prompt = "Look through the tests, please"
    spawn = answer(
        "ok", calls("c1", "Task", prompt=prompt, kind="x"), calls("c2", "spawn", items=[{"text": prompt + "!"}])
    )
    handed = handed_on(spawn, Purpose.USER_TURN)
    assert [handed.get(key) for key in first_texts(request(user(f"  {prompt}\n")).messages)] == ["c1"]
    assert [handed.get(key) for key in first_texts(request(user(prompt + "!")).messages)] == ["c2"]
    assert first_texts(request(user("short")).messages) == []


def test_lines_of_a_summary_are_found_again_in_any_dress():
    lines = [f"{at}. A line of the summary that says something about step {at}." for at in range(400)]
    made = handed_on(answer("<summary>\n" + "\n".join(lines) + "\n</summary>"), Purpose.COMPACTION)
    begun = request(user("It goes on from here:\n" + "\n".join(f"  {line}" for line in lines) + "\nThat is all."))
    assert 0 < len(made) <= 24
    found = set(summary_traces(begun.messages))
    assert len(found & made.keys()) >= 0.9 * len(made)
    assert not set(summary_traces(request(user("Something else altogether, and long enough.")).messages)) & made.keys()


def test_what_is_kept_is_bounded_whatever_is_said():
    flood = answer(
        *[
            calls(f"c{at}", "f", **{f"a{n}": f"a text that is long enough {n} {at}" for n in range(50)})
            for at in range(99)
        ]
    )
    assert len(handed_on(flood, Purpose.USER_TURN)) <= 40
    assert handed_on(None, Purpose.USER_TURN) == {}
    assert len(handed_on(answer(calls("c", "f", a=[["x" * 99] * 9] * 9)), Purpose.USER_TURN)) <= 40
