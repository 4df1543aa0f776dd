from __future__ import annotations

from dataclasses import replace

from ccinspect.analyser.expansion import MAX_STEPS, Expander
from tests.analyser.talk import answer, request, user


def chain(length):
    """Exchanges that each follow the one before: response id -> (request, response)."""
    exchanges = {}
    for at in range(length):
        previous = f"resp_{at - 1}" if at else None
        ask = replace(request(user(f"question {at}")), previous_response_id=previous)
        exchanges[f"resp_{at}"] = (ask, answer(f"answer {at}", id=f"resp_{at}"))
    return exchanges


def texts(request):
    return [block.text for message in request.messages for block in message.blocks]


def follow(response_id):
    return replace(request(user("now")), previous_response_id=response_id)


def test_history_is_put_before_the_request():
    expanded = Expander(chain(2).get).expand(follow("resp_1"))
    assert texts(expanded.request) == ["question 0", "answer 0", "question 1", "answer 1", "now"]
    assert [message.role for message in expanded.request.messages] == ["user", "assistant"] * 2 + ["user"]
    assert expanded.complete


def test_a_request_that_follows_nothing_is_left_alone():
    plain = request(user("now"))
    assert Expander(chain(1).get).expand(plain).request is plain


def test_what_was_not_seen_makes_it_incomplete():
    exchanges = chain(3)
    del exchanges["resp_0"]
    expanded = Expander(exchanges.get).expand(follow("resp_2"))
    assert texts(expanded.request)[:2] == ["question 1", "answer 1"]
    assert not expanded.complete


def test_the_next_turn_of_a_conversation_takes_one_lookup():
    exchanges = chain(51)
    asked = []
    expander = Expander(lambda response_id: asked.append(response_id) or exchanges.get(response_id))
    expander.expand(follow("resp_49"))
    assert len(asked) == 50
    asked.clear()
    expanded = expander.expand(follow("resp_50"))
    assert asked == ["resp_50"]
    assert len(expanded.request.messages) == 103
    assert expanded.complete


def test_histories_that_name_each_other_end():
    one = (replace(request(user("a")), previous_response_id="two"), answer("x"))
    two = (replace(request(user("b")), previous_response_id="one"), answer("y"))
    expanded = Expander({"one": one, "two": two}.get).expand(follow("one"))
    assert not expanded.complete
    assert len(expanded.request.messages) == 5


def test_a_history_is_followed_so_far_and_no_further():
    ask = request(user("x"))

    def endless(response_id):
        return replace(ask, previous_response_id=f"{int(response_id) + 1}"), answer("y")

    expanded = Expander(endless).expand(follow("0"))
    assert not expanded.complete
    assert len(expanded.request.messages) == 2 * MAX_STEPS + 1


def test_only_the_newest_histories_are_kept():
    exchanges = chain(10)
    asked = []
    expander = Expander(lambda response_id: asked.append(response_id) or exchanges.get(response_id), limit=2)
    for at in range(10):
        expander.expand(follow(f"resp_{at}"))
    asked.clear()
    expander.expand(follow("resp_1"))
    assert asked == ["resp_1", "resp_0"]
