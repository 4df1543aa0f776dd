"""Conversations as agents hold them, request by request; each test is one story."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from ccinspect.analyser.turns import Certainty, Relation
from tests.analyser.talk import Agent, answer, assistant, call, calls, failure, request, result, tool, user

TOOLS = [tool("Read"), tool("Bash")]
COMPACT = "Your task is to create a detailed summary of the conversation so far, in these sections."
CONTINUED = "This session is being continued from a previous conversation that ran out of context.\n\n"


def agentic(*, session=None, run="run-1"):
    """An agent that was asked something, read a file, and answered: the three requests so far."""
    agent = Agent(session=session, run=run)
    talk = [user("Find the bug in the parser")]
    first = agent.send(request(*talk, tools=TOOLS), answer("Let me look.", calls("t1", "Read", file_path="/p.py")))
    talk += [assistant("Let me look.", call("t1", "Read", file_path="/p.py")), user(result("t1", "def parse(): ..."))]
    second = agent.send(request(*talk, tools=TOOLS), answer("It is in line 1."))
    talk += [assistant("It is in line 1."), user("Fix it then, please")]
    third = agent.send(request(*talk, tools=TOOLS), answer("Fixed."))
    talk += [assistant("Fixed."), user("And the tests?")]
    return agent, talk, [first.analysis.lineage, second.analysis.lineage, third.analysis.lineage]


def test_turns_follow_each_other():
    _, _, (first, second, third) = agentic()
    assert (first.relation, first.conversation, first.parent, first.depth) == (Relation.ROOT, "flow-1", None, 1)
    assert (second.relation, second.conversation, second.parent, second.depth) == (
        Relation.CONTINUATION,
        "flow-1",
        "flow-1",
        2,
    )
    assert (third.relation, third.conversation, third.parent, third.depth) == (
        Relation.CONTINUATION,
        "flow-1",
        "flow-2",
        3,
    )


def test_inference_says_its_confidence():
    _, _, (_, second, _) = agentic()
    assert (second.method, second.certainty) == ("message_chain", Certainty.INFERRED)
    assert second.confidence == 0.98


def test_a_session_id_makes_it_exact():
    _, _, lineages = agentic(session="s")
    assert {(each.method, each.certainty, each.confidence) for each in lineages} == {
        ("session_id", Certainty.EXACT, 1.0)
    }


def test_going_on_from_an_earlier_turn_is_a_fork():
    agent, talk, _ = agentic()
    fork = agent.send(request(*talk[:4], user("Explain it instead"), tools=TOOLS), answer("Well...")).analysis.lineage
    assert (fork.relation, fork.conversation, fork.parent, fork.origin) == (Relation.FORK, "flow-4", "flow-2", "flow-1")
    more = [*talk[:4], user("Explain it instead"), assistant("Well..."), user("Shorter")]
    later = agent.send(request(*more, tools=TOOLS), answer("Ok")).analysis.lineage
    assert (later.relation, later.conversation, later.parent) == (Relation.CONTINUATION, "flow-4", "flow-4")
    main = agent.send(request(*talk, tools=TOOLS), answer("Done")).analysis.lineage
    assert (main.relation, main.conversation, main.parent) == (Relation.CONTINUATION, "flow-1", "flow-3")


def test_the_same_request_again_after_a_failure_is_a_retry():
    agent = Agent()
    ask = request(user("Find the bug in the parser"), tools=TOOLS)
    agent.send(ask, failure())
    again = agent.send(ask, failure()).analysis.lineage
    third = agent.send(ask, answer("It is there.")).analysis.lineage
    assert (again.relation, again.parent, again.conversation) == (Relation.RETRY, "flow-1", "flow-1")
    assert (third.relation, third.parent, third.conversation) == (Relation.RETRY, "flow-1", "flow-1")
    on = request(user("Find the bug in the parser"), assistant("It is there."), user("Where?"), tools=TOOLS)
    after = agent.send(on, answer("There.")).analysis.lineage
    assert (after.relation, after.parent, after.depth) == (Relation.CONTINUATION, "flow-3", 2)


def test_a_retry_is_no_reason_to_call_the_next_turn_a_fork():
    agent, talk, _ = agentic()
    agent.send(request(*talk, tools=TOOLS), failure())
    agent.send(request(*talk, tools=TOOLS), answer("They pass."))
    more = request(*talk, assistant("They pass."), user("Great"), tools=TOOLS)
    lineage = agent.send(more, answer("Thanks")).analysis.lineage
    assert (lineage.relation, lineage.conversation, lineage.parent) == (Relation.CONTINUATION, "flow-1", "flow-5")


def test_equal_words_in_two_runs_are_two_conversations():
    agent, talk, _ = agentic(run="run-1")
    other = agent.another(run="run-2", sent=100)
    answers = [
        answer("Let me look.", calls("t1", "Read", file_path="/p.py")),
        answer("It is in line 1."),
        answer("Fixed."),
    ]
    lineages = [
        other.send(request(*talk[: 2 * turn + 1], tools=TOOLS), said).analysis.lineage
        for turn, said in enumerate(answers)
    ]
    assert {each.conversation for each in lineages} == {"flow-101"}
    assert [each.relation for each in lineages] == [Relation.ROOT, Relation.CONTINUATION, Relation.CONTINUATION]


def test_equal_beginnings_with_different_answers_are_two_conversations():
    agent, talk, _ = agentic(run="run-1")
    other = agent.another(run="run-2", sent=100)
    other.send(request(talk[0], tools=TOOLS), answer("Where is it?"))
    more = request(talk[0], assistant("Where is it?"), user("Here"), tools=TOOLS)
    lineage = other.send(more, answer("Ah.")).analysis.lineage
    assert (lineage.relation, lineage.conversation) == (Relation.CONTINUATION, "flow-101")


def test_equal_words_in_two_sessions_are_two_conversations():
    agent, talk, _ = agentic(session="one")
    other = agent.another(session="two", sent=100)
    lineages = [
        other.send(request(*talk[:length], tools=TOOLS), answer("Let me see.")).analysis.lineage for length in (1, 3)
    ]
    assert [(each.conversation, each.relation) for each in lineages] == [
        ("flow-101", Relation.ROOT),
        ("flow-101", Relation.CONTINUATION),
    ]


def test_a_conversation_resumed_under_another_session_id_goes_on():
    agent, talk, _ = agentic(session="one")
    other = agent.another(session="two", run="run-2", sent=100, now=90_000.0)
    lineage = other.send(request(*talk, tools=TOOLS), answer("They pass.")).analysis.lineage
    assert (lineage.relation, lineage.conversation, lineage.certainty) == (
        Relation.CONTINUATION,
        "flow-1",
        Certainty.INFERRED,
    )


def test_an_answer_that_comes_back_in_another_shape_is_the_same_answer():
    agent = Agent(run=None)
    agent.send(request(user("Find the bug")), answer("Let me  look.", calls("t1", "Read", b=1, a=2)))
    back = assistant("Let me look.\n", call("t1", "Read", a=2, b=1))
    lineage = agent.send(request(user("Find the bug"), back, user(result("t1", "x"))), answer("ok")).analysis.lineage
    assert lineage.confidence == 0.98


# Sub-agents

PROMPT = "Look through the tests directory and list which tests touch the parser."


def with_task(session=None):
    agent = Agent(session=session)
    ask = request(user("Find the bug"), tools=TOOLS)
    agent.send(ask, answer("I will ask.", calls("task-1", "Task", description="Look", prompt=PROMPT)))
    return agent


def test_a_conversation_that_begins_with_a_tool_calls_prompt_is_a_sub_agents():
    agent = with_task()
    reminder = "<system-reminder>Be brief.</system-reminder>"
    child = request(user(reminder, PROMPT), system="You are a searcher.", tools=TOOLS[:1])
    lineage = agent.send(child, answer("None.")).analysis.lineage
    assert (lineage.relation, lineage.conversation, lineage.origin) == (Relation.SUB_AGENT, "flow-2", "flow-1")
    assert (lineage.parent, lineage.call_id, lineage.method) == ("flow-1", "task-1", "prompt")
    assert lineage.certainty is Certainty.INFERRED
    assert lineage.confidence == 0.9


def test_the_same_session_makes_a_sub_agent_nearly_certain():
    agent = with_task(session="s")
    lineage = agent.send(request(user(PROMPT), system="You search."), answer("None.")).analysis.lineage
    assert (lineage.relation, lineage.call_id, lineage.confidence) == (Relation.SUB_AGENT, "task-1", 0.97)


def test_an_agents_own_word_makes_it_exact():
    agent = with_task(session="s")
    headers = {"x-claude-code-session-id": "s", "x-claude-code-agent-id": "a1"}
    first = agent.send(request(user(PROMPT + " Go."), tools=TOOLS), answer("Hm."), headers=headers).analysis.lineage
    assert (first.relation, first.origin, first.certainty) == (Relation.SUB_AGENT, "flow-1", Certainty.EXACT)
    more = request(user(PROMPT + " Go."), assistant("Hm."), user("go on, please"), tools=TOOLS)
    second = agent.send(more, answer("None."), headers=headers).analysis.lineage
    assert (second.relation, second.conversation, second.certainty) == (
        Relation.CONTINUATION,
        "flow-2",
        Certainty.EXACT,
    )


def test_two_sub_agents_of_one_session_do_not_mix():
    agent = with_task(session="s")
    one = {"x-claude-code-session-id": "s", "x-claude-code-agent-id": "a1"}
    two = {"x-claude-code-session-id": "s", "x-claude-code-agent-id": "a2"}
    agent.send(request(user(PROMPT), tools=TOOLS), answer("Hm."), headers=one)
    agent.send(request(user(PROMPT), tools=TOOLS), answer("Hm."), headers=two)
    more = request(user(PROMPT), assistant("Hm."), user("go on, please"), tools=TOOLS)
    assert agent.send(more, answer("x"), headers=one).analysis.lineage.conversation == "flow-2"
    assert agent.send(more, answer("x"), headers=two).analysis.lineage.conversation == "flow-3"


def test_the_main_conversation_goes_on_after_a_sub_agent():
    agent = with_task(session="s")
    agent.send(request(user(PROMPT), system="You search."), answer("None."))
    back = assistant("I will ask.", call("task-1", "Task", description="Look", prompt=PROMPT))
    lineage = agent.send(
        request(user("Find the bug"), back, user(result("task-1", "None.")), tools=TOOLS), answer("ok")
    ).analysis.lineage
    assert (lineage.relation, lineage.conversation, lineage.parent) == (Relation.CONTINUATION, "flow-1", "flow-1")


# Compaction

SUMMARY = """<summary>
1. Primary request: the user wants the parser's bug found and fixed.
2. Files: /p.py holds the parser.
3. Errors: parse() dropped the last token of every line.
4. Pending: run all the tests again.
</summary>"""


def test_a_summary_is_made_in_the_conversation_and_the_next_turn_goes_on_from_it():
    agent, talk, _ = agentic()
    asked = agent.send(request(*talk, user(COMPACT), tools=TOOLS), answer(SUMMARY)).analysis
    assert (asked.purpose, asked.lineage.conversation) == ("compaction", "flow-1")
    begun = request(user(CONTINUED + SUMMARY.replace("<summary>", "Summary:"), "Go on, please"), tools=TOOLS)
    lineage = agent.send(begun, answer("Running the tests.")).analysis.lineage
    assert (lineage.relation, lineage.conversation, lineage.parent) == (Relation.COMPACTION, "flow-1", "flow-4")
    assert (lineage.method, lineage.certainty) == ("summary", Certainty.INFERRED)
    assert lineage.confidence > 0.8


def test_a_compaction_whose_summary_was_not_seen_is_known_by_the_session():
    agent, _, _ = agentic(session="s")
    begun = request(user(CONTINUED + "Something was done to something."), tools=TOOLS)
    lineage = agent.send(begun, answer("ok")).analysis.lineage
    assert (lineage.relation, lineage.conversation, lineage.parent) == (Relation.COMPACTION, "flow-1", "flow-3")


def test_asking_for_a_summary_does_not_make_the_next_turn_a_fork():
    agent, talk, _ = agentic()
    agent.send(request(*talk, user(COMPACT), tools=TOOLS), answer(SUMMARY))
    lineage = agent.send(request(*talk, tools=TOOLS), answer("They pass.")).analysis.lineage
    assert (lineage.relation, lineage.conversation, lineage.parent) == (Relation.CONTINUATION, "flow-1", "flow-3")


def test_a_conversation_whose_history_was_edited_is_known_by_what_was_kept():
    agent = Agent()
    talk = [user("Find the bug in the parser, it must be somewhere in the code that reads the numbers, I would think.")]
    for turn in range(8):
        text = (
            f"Step {turn}: I have looked at function number {turn} and it does what it should, as far as I can see now."
        )
        agent.send(request(*talk, tools=TOOLS), answer(text, calls(f"t{turn}", "Read", file_path=f"/{turn}.py")))
        said = assistant(text, call(f"t{turn}", "Read", file_path=f"/{turn}.py"))
        talk += [said, user(result(f"t{turn}", f"def function_{turn}(): return {turn}  # and many words more\n" * 5))]
    cleared = [user("[Old history was removed by the agent to save space in the context window]"), *talk[2:]]
    lineage = agent.send(request(*cleared, tools=TOOLS), answer("ok")).analysis.lineage
    assert (lineage.relation, lineage.conversation, lineage.parent) == (Relation.CONTINUATION, "flow-1", "flow-8")
    assert (lineage.method, lineage.certainty) == ("overlap", Certainty.INFERRED)
    assert 0.4 < lineage.confidence < 0.95


def test_reading_the_same_files_is_no_sign_of_the_same_conversation():
    source = "def parse(text): return text.split()\n" * 100
    agent = Agent(run="run-1")
    talk = [
        user("Find the bug in the parser"),
        assistant("I am looking.", call("a", "Read", file_path="/p.py")),
        user(result("a", source)),
    ]
    agent.send(request(*talk, tools=TOOLS), answer("There."))
    talk = [
        user("Write documentation for it"),
        assistant("Reading first.", call("b", "Read", file_path="/p.py")),
        user(result("b", source)),
    ]
    lineage = agent.send(request(*talk, tools=TOOLS), answer("Here.")).analysis.lineage
    assert lineage.relation is Relation.ROOT


# Side calls

TITLE = "You are a title generator. You output ONLY a thread title."


def test_side_calls_stand_beside_the_conversation_and_nothing_goes_on_from_them():
    agent = Agent(session="s")
    talk = [user("Find the bug in the parser")]
    title = agent.send(request(*talk, system=TITLE), answer("Parser bug")).analysis
    assert (title.purpose, title.lineage.relation) == ("housekeeping", Relation.SIDE_CALL)
    first = agent.send(request(*talk, tools=TOOLS), answer("Where?")).analysis.lineage
    assert (first.relation, first.conversation) == (Relation.ROOT, "flow-2")
    counted = agent.send(
        request(*talk, tools=TOOLS, path="/v1/messages/count_tokens"), answer(usage=None, count=9)
    ).analysis
    assert (counted.purpose, counted.lineage.relation, counted.lineage.origin) == (
        "count_tokens",
        Relation.SIDE_CALL,
        "flow-2",
    )
    second = agent.send(request(*talk, assistant("Where?"), user("There"), tools=TOOLS), answer("Ok")).analysis.lineage
    assert (second.relation, second.parent, second.depth) == (Relation.CONTINUATION, "flow-2", 2)


def test_a_side_call_in_a_session_belongs_to_its_newest_conversation():
    agent, _, _ = agentic(session="s")
    lineage = agent.send(request(user("Summarise: parser fixed"), system=TITLE), answer("Parser")).analysis.lineage
    assert (lineage.relation, lineage.origin, lineage.certainty) == (Relation.SIDE_CALL, "flow-1", Certainty.EXACT)


# History kept by the provider


def test_a_response_id_is_exact_and_beats_everything_else():
    agent = Agent(session="s")
    agent.send(request(user("Find the bug")), answer("Let me look.", id="resp_1"))
    other = agent.another(session="other", run="run-2", sent=100)
    follow = request(user("Go on"))
    lineage = other.send(previous(follow, "resp_1"), answer("Found.", id="resp_2")).analysis.lineage
    assert (lineage.relation, lineage.conversation, lineage.parent) == (Relation.CONTINUATION, "flow-1", "flow-1")
    assert (lineage.method, lineage.certainty, lineage.fidelity) == ("response_id", Certainty.EXACT, "full")


def previous(ask, response_id):
    return replace(ask, previous_response_id=response_id)


def test_two_requests_that_follow_one_response_are_a_turn_and_a_fork_or_a_retry():
    agent = Agent()
    agent.send(request(user("Find the bug")), answer("Let me look.", id="resp_1"))
    first = agent.send(previous(request(user("Go on")), "resp_1"), answer("Found.", id="resp_2")).analysis.lineage
    retry = agent.send(previous(request(user("Go on")), "resp_1"), answer("Found.", id="resp_3")).analysis.lineage
    fork = agent.send(previous(request(user("Stop")), "resp_1"), answer("Ok.", id="resp_4")).analysis.lineage
    assert [each.relation for each in (first, retry, fork)] == [Relation.CONTINUATION, Relation.RETRY, Relation.FORK]


def test_a_response_that_we_did_not_see_makes_it_partial():
    agent = Agent()
    outcome = agent.send(previous(request(user("Go on")), "resp_0"), answer("Found."))
    assert outcome.analysis.lineage.fidelity == "partial"
    assert outcome.analysis.lineage.relation is Relation.ROOT


def test_history_from_the_provider_is_in_the_composition():
    agent = Agent()
    agent.send(request(user("Find the bug " * 50)), answer("Let me look.", id="resp_1"))
    outcome = agent.send(previous(request(user("Go on")), "resp_1"), answer("Found.", id="resp_2"))
    assert outcome.analysis.composition.categories["conversation_history"] > 0


# Whatever an agent does: the properties that always hold


steps = st.lists(
    st.tuples(st.sampled_from(["turn", "turn", "turn", "retry", "fork", "fail"]), st.integers(0, 2**16)),
    min_size=1,
    max_size=14,
)


@settings(max_examples=60)
@given(steps, st.booleans())
def test_turns_retries_and_forks_are_told_apart_whatever_their_order(steps, has_session):
    agent = Agent(session="s" if has_session else None)
    sent = 0

    def send(talk, response):
        nonlocal sent
        sent += 1
        return agent.send(request(*talk), response, name=f"flow-{sent}").analysis.lineage

    talk = [user("Question 0, asked at the very beginning")]
    root = send(talk, answer("Answer 0"))
    # The turns of the conversation that is being held: (messages, answer, flow, conversation).
    held = [(talk, "Answer 0", "flow-1", root.conversation)]
    for number, (step, chance) in enumerate(steps, start=1):
        said, ask = f"Answer {number}", user(f"Question {number}, which nobody asked before")
        if step == "retry":
            talk, _, flow, conversation = held[-1]
            send(talk, failure())
            continue
        if step == "fork" and len(held) > 1:
            held = held[: 1 + chance % (len(held) - 1)]
        talk, last, flow, conversation = held[-1]
        following = [*talk, assistant(last), ask]
        if step == "fail":
            lineage = send(following, failure())
            assert lineage.conversation in (conversation, f"flow-{sent}")
            continue
        lineage = send(following, answer(said))
        assert lineage.parent == flow or agent.index.turn(lineage.parent).lineage.parent == flow
        if step == "fork" and lineage.relation is Relation.FORK:
            assert (lineage.conversation, lineage.origin) == (f"flow-{sent}", conversation)
        else:
            assert lineage.relation is Relation.CONTINUATION
            assert lineage.conversation == conversation
        held.append((following, said, f"flow-{sent}", lineage.conversation))
