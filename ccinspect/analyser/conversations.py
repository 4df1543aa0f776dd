"""Which conversation a request belongs to, and what it is in it.

From the surest evidence to the weakest:

1. `response_id`: it names the response it follows.
2. `message_chain`: it begins with all the messages of an earlier request. The answer to that, said again
   next, makes it nearly certain; the agent's own session id makes it exact.
3. ids of threads, by which an agent says that a sub-agent asks.
4. `prompt`: it begins with a text that an answer's tool call handed on: a sub-agent.
5. `summary`: it begins with the summary that an earlier turn made: a compaction.
6. `session_id` alone: a side call or a compaction in a session known by its id.
7. `overlap`: it shares most of its history with an earlier request, of which something was left out or edited.

System prompt and tools take no part: thousands of conversations share them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ccinspect.analyser.identity import said_hash
from ccinspect.analyser.purposes import Purpose, starts_from_summary
from ccinspect.analyser.sessions import SessionMark
from ccinspect.analyser.traces import first_texts, overlap, sample, summary_traces
from ccinspect.analyser.turns import Certainty, ConversationIndex, Lineage, Relation, Turn
from ccinspect.wire.model import Block, Request


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, prepared to be placed."""

    id: str
    request: Request
    """With its history, if it named a response before it."""
    mark: SessionMark
    purpose: Purpose
    chain: Sequence[str]
    """One hash a message, as `identity.request_chain`."""
    marks: Mapping[str, int]
    """Identities of its largest blocks of history, with their weight in tokens."""
    started_at: float
    run: str | None = None
    complete: bool = True
    ends: Mapping[str, int] = field(default_factory=dict)
    """Beginnings of the chain that may have been requests, with their number of messages; `place` fills this in."""


_SESSION_TURNS = 50
_CANDIDATES = 20
_SAME_TIME = 3_600.0
"""Seconds within which equal requests without any id are taken for one being tried again."""


def place(asked: Asked, index: ConversationIndex) -> Lineage:
    """Find a request's place among the turns analysed before."""
    asked = replace(asked, ends=_possible_ends(asked))
    lineage = (
        _by_response(asked, index)
        or _by_chain(asked, index)
        or _by_thread(asked, index)
        or _by_prompt(asked, index)
        or _by_summary(asked, index)
        or _by_session(asked, index)
        or _by_overlap(asked, index)
        or _root(asked)
    )
    return lineage if asked.complete else replace(lineage, fidelity="partial")


def _root(asked: Asked) -> Lineage:
    exact = asked.mark.session is not None and asked.complete
    relation = Relation.SIDE_CALL if asked.purpose.is_side_call else Relation.ROOT
    certainty = Certainty.EXACT if exact else Certainty.INFERRED
    method = "session_id" if exact else "none"
    return Lineage(asked.id, relation, method=method, certainty=certainty, confidence=1.0 if exact else 0.8)


def _by_response(asked: Asked, index: ConversationIndex) -> Lineage | None:
    previous = asked.request.previous_response_id
    turn = index.by_response(previous) if previous else None
    if turn is None:
        return None
    if turn.purpose.is_side_call:
        # A connection was warmed up with the context; the conversation goes on from where it was before that.
        before = index.turn(turn.lineage.parent or "")
        if before is None or before.purpose.is_side_call:
            return Lineage(asked.id, Relation.ROOT, method="response_id", certainty=Certainty.EXACT)
        turn = before
    for follower in index.followers(turn.id):
        if asked.chain and follower.tip == asked.chain[-1] and follower.id != asked.id:
            return _retry(follower, index, "response_id", Certainty.EXACT, 1.0)
    return _follow(asked, turn, index, "response_id", Certainty.EXACT, 1.0)


def _follow(
    asked: Asked, turn: Turn, index: ConversationIndex, method: str, certainty: Certainty, confidence: float
) -> Lineage:
    """The request goes on from `turn`: as its continuation, as a branch if there is one already, or beside it."""
    if asked.purpose.is_side_call:
        return _beside(asked, turn, method, certainty, confidence)
    conversation = turn.lineage.conversation
    if asked.mark.subagent and turn.thread != asked.mark.thread:
        # A sub-agent that was given the history of its parent.
        return Lineage(asked.id, Relation.SUB_AGENT, turn.id, conversation, None, 1, method, certainty, confidence)
    if _went_on(asked, turn, index):
        return Lineage(
            asked.id, Relation.FORK, turn.id, conversation, None, turn.lineage.depth + 1, method, certainty, confidence
        )
    depth = turn.lineage.depth + 1
    return Lineage(conversation, Relation.CONTINUATION, turn.id, None, None, depth, method, certainty, confidence)


def _beside(asked: Asked, turn: Turn, method: str, certainty: Certainty, confidence: float) -> Lineage:
    conversation = turn.lineage.conversation
    return Lineage(asked.id, Relation.SIDE_CALL, turn.id, conversation, None, 1, method, certainty, confidence)


def _went_on(asked: Asked, turn: Turn, index: ConversationIndex) -> bool:
    """Whether the conversation has gone on from `turn` otherwise than by this request."""
    for follower in index.followers(turn.id):
        if follower.id == asked.id or follower.lineage.relation is not Relation.CONTINUATION:
            continue
        # An unanswered attempt, or the request for a summary, does not carry the conversation on.
        if follower.ok and follower.purpose is not Purpose.COMPACTION:
            return True
    return False


# By the chain of messages


def _by_chain(asked: Asked, index: ConversationIndex) -> Lineage | None:
    if not asked.chain:
        return None
    found = index.by_tips(list(asked.ends))
    fits = [turn for turn in found if turn.id != asked.id and turn.tip and _fits(asked, turn)]
    if not fits:
        return None
    best = max(fits, key=lambda turn: (asked.ends[turn.tip], *_kinship(asked, turn)))
    if best.tip == asked.chain[-1]:
        return _again(asked, best, index)
    equals = [turn for turn in fits if turn.tip == best.tip]
    rivals = {turn.lineage.conversation for turn in equals if _kinship(asked, turn)[:-1] == _kinship(asked, best)[:-1]}
    if _same_session(asked, best):
        return _follow(asked, best, index, "session_id", Certainty.EXACT, 1.0)
    if len(rivals) > 1:
        return _follow(asked, best, index, "message_chain", Certainty.AMBIGUOUS, round(0.9 / len(rivals), 2))
    confidence = 0.98 if _answered(asked, best) else 0.6
    return _follow(asked, best, index, "message_chain", Certainty.INFERRED, confidence)


def _possible_ends(asked: Asked) -> dict[str, int]:
    """The beginnings before an answer, and the whole; to the hash of each, its number of messages."""
    if not asked.chain:
        return {}
    messages = asked.request.messages
    last = len(asked.chain)
    lengths = [length for length in range(1, last) if messages[length].role == "assistant"]
    # A conversation goes on from near its end; where it forks far back, from the last request before that we know.
    return {asked.chain[length - 1]: length for length in [*lengths[-_TIPS:], last]}


_TIPS = 1_000


def _fits(asked: Asked, turn: Turn) -> bool:
    """Whether a request that begins with all of a turn's messages goes on from it, or repeats it.

    Two conversations may begin with the same words. So without a common session the answer must have been the
    same too, or at least the run; and an equal request counts as a retry only soon after, and not when it was answered
    with nothing said before it.
    """
    if turn.purpose.is_side_call or not _same_thread_or_parent(asked, turn):
        return False
    if _same_session(asked, turn):
        return True
    if turn.tip != asked.chain[-1]:
        return _answered(asked, turn) or not _strangers(asked, turn)
    soon = abs(asked.started_at - turn.started_at) <= _SAME_TIME
    return asked.purpose.is_side_call or (soon and not _strangers(asked, turn) and not (turn.ok and turn.messages == 1))


def _same_session(asked: Asked, turn: Turn) -> bool:
    return turn.session is not None and turn.session == asked.mark.session


def _strangers(asked: Asked, turn: Turn) -> bool:
    return turn.run != asked.run or turn.session != asked.mark.session


def _same_thread_or_parent(asked: Asked, turn: Turn) -> bool:
    return not turn.thread or turn.thread in (asked.mark.thread, asked.mark.parent_thread)


def _answered(asked: Asked, turn: Turn) -> bool:
    """Whether the request goes on with what that turn was answered."""
    if turn.said is None or turn.tip not in asked.ends:
        return False
    return turn.said == _said_next(asked, asked.ends[turn.tip])


def _said_next(asked: Asked, length: int) -> str | None:
    """What the model said after the first `length` messages, by the request's own account."""
    answer: list[Block] = []
    for message in asked.request.messages[length:]:
        if message.role != "assistant":
            break
        answer += message.blocks
    return said_hash(answer)


def _kinship(asked: Asked, turn: Turn) -> tuple[bool, bool, bool, bool, float]:
    """How near a turn is, among those with the same messages: the larger, the nearer; the newest last of all."""
    return (
        _same_session(asked, turn),
        turn.thread == asked.mark.thread,
        _answered(asked, turn),
        turn.run == asked.run,
        turn.started_at,
    )


def _again(asked: Asked, turn: Turn, index: ConversationIndex) -> Lineage:
    """The same messages were sent before."""
    same = _same_session(asked, turn)
    certainty = Certainty.EXACT if same else Certainty.INFERRED
    method = "session_id" if same else "message_chain"
    if asked.purpose.is_side_call:
        return _beside(asked, turn, method, certainty, 1.0 if same else 0.9)
    return _retry(turn, index, method, certainty, 1.0 if same else 0.7 if turn.ok else 0.9)


def _retry(turn: Turn, index: ConversationIndex, method: str, certainty: Certainty, confidence: float) -> Lineage:
    first = turn
    if turn.lineage.relation is Relation.RETRY and turn.lineage.parent:
        first = index.turn(turn.lineage.parent) or turn
    spot = first.lineage
    return Lineage(spot.conversation, Relation.RETRY, first.id, None, None, spot.depth, method, certainty, confidence)


# By ids, prompts and summaries


def _by_thread(asked: Asked, index: ConversationIndex) -> Lineage | None:
    """An agent's own word that this is a sub-agent's request, or one of a thread seen before."""
    mark = asked.mark
    if mark.session is None or not (mark.subagent or mark.thread):
        return None
    turns = [turn for turn in index.by_session(mark.session, _SESSION_TURNS) if turn.id != asked.id]
    own = [turn for turn in turns if turn.thread == mark.thread and not turn.purpose.is_side_call]
    if mark.thread and own:
        return _same_thread(asked, own[0])
    starter = _starter(asked, turns)
    if starter is None or not mark.subagent:
        return None
    call = _calls_with(asked, starter)
    return Lineage(
        asked.id, Relation.SUB_AGENT, starter.id, starter.lineage.conversation, call, 1, "session_id", Certainty.EXACT
    )


def _starter(asked: Asked, turns: Sequence[Turn]) -> Turn | None:
    parents = [turn for turn in turns if turn.thread == asked.mark.parent_thread and not turn.purpose.is_side_call]
    handed = [turn for turn in parents if _calls_with(asked, turn) is not None]
    return next(iter(handed or parents), None)


def _same_thread(asked: Asked, newest: Turn) -> Lineage:
    """The thread goes on with other messages than it had: it was compacted, or its history was edited."""
    spot = newest.lineage
    if asked.purpose.is_side_call:
        return _beside(asked, newest, "session_id", Certainty.EXACT, 1.0)
    shorter = len(asked.chain) < newest.messages
    summary = starts_from_summary(asked.request.messages)
    relation = Relation.COMPACTION if shorter or summary else Relation.CONTINUATION
    return Lineage(spot.conversation, relation, newest.id, None, None, spot.depth + 1, "session_id", Certainty.EXACT)


def _by_prompt(asked: Asked, index: ConversationIndex) -> Lineage | None:
    """A conversation that begins with what a tool call handed on."""
    if any(message.role == "assistant" for message in asked.request.messages):
        return None
    keys = first_texts(asked.request.messages)
    found = [turn for turn in index.by_prompts(keys, _CANDIDATES) if turn.id != asked.id] if keys else []
    found = [turn for turn in found if any(turn.prompts.get(key) for key in keys)]
    if not found:
        return None
    session = asked.mark.session
    best = max(found, key=lambda turn: (turn.session == session, turn.run == asked.run, turn.started_at))
    call = _calls_with(asked, best)
    same = session is not None and best.session == session
    strange = not same and (best.run != asked.run or abs(asked.started_at - best.started_at) > _SAME_TIME)
    confidence = 0.97 if same else 0.6 if strange else 0.9
    conversation = best.lineage.conversation
    relation = Relation.SIDE_CALL if asked.purpose.is_side_call else Relation.SUB_AGENT
    return Lineage(asked.id, relation, best.id, conversation, call, 1, "prompt", Certainty.INFERRED, confidence)


def _calls_with(asked: Asked, turn: Turn) -> str | None:
    """The id of the turn's tool call that handed on the request's first text."""
    return next((turn.prompts[key] for key in first_texts(asked.request.messages) if turn.prompts.get(key)), None)


def _by_summary(asked: Asked, index: ConversationIndex) -> Lineage | None:
    """A conversation that begins with the summary which an earlier turn made."""
    if asked.purpose.is_side_call:
        return None
    keys = summary_traces(asked.request.messages)
    found = index.by_prompts(keys, _CANDIDATES) if keys else ()
    found = [turn for turn in found if turn.purpose is Purpose.COMPACTION and turn.id != asked.id]
    scored = [(sum(key in turn.prompts for key in keys) / max(1, len(turn.prompts)), turn) for turn in found]
    scored = [pair for pair in scored if pair[0] >= _SUMMARY_SHARE]
    if not scored:
        return None
    score, best = max(scored, key=lambda pair: (pair[0], pair[1].started_at))
    same = best.session is not None and best.session == asked.mark.session
    spot = best.lineage
    certainty = Certainty.EXACT if same else Certainty.INFERRED
    confidence = 1.0 if same else round(0.5 + 0.45 * min(1.0, score), 2)
    conversation = spot.origin if spot.relation is Relation.SIDE_CALL and spot.origin else spot.conversation
    return Lineage(
        conversation, Relation.COMPACTION, best.id, None, None, spot.depth + 1, "summary", certainty, confidence
    )


_SUMMARY_SHARE = 0.3


def _by_session(asked: Asked, index: ConversationIndex) -> Lineage | None:
    """Side calls and compactions in a session known by its id."""
    if asked.mark.session is None:
        return None
    turns = [turn for turn in index.by_session(asked.mark.session, _SESSION_TURNS) if turn.id != asked.id]
    main = [turn for turn in turns if turn.thread == asked.mark.thread and not turn.purpose.is_side_call]
    if not main:
        return None
    if asked.purpose.is_side_call:
        return _beside(asked, main[0], "session_id", Certainty.EXACT, 1.0)
    if starts_from_summary(asked.request.messages):
        spot = main[0].lineage
        depth = spot.depth + 1
        return Lineage(
            spot.conversation, Relation.COMPACTION, main[0].id, None, None, depth, "session_id", Certainty.EXACT, 0.9
        )
    return None


# By shared history

_SHARED_ENOUGH = 0.5
_NEARLY = 0.05


def _by_overlap(asked: Asked, index: ConversationIndex) -> Lineage | None:
    """A request that keeps most of an earlier one's history, though not from the beginning or not unchanged."""
    answers = any(message.role == "assistant" for message in asked.request.messages)
    if not asked.marks or not answers or asked.purpose.is_side_call:
        return None
    found = index.by_marks(list(sample(asked.marks)), _CANDIDATES)
    fits = [turn for turn in found if turn.id != asked.id and _same_thread_or_parent(asked, turn)]
    scored = [(overlap(asked.marks, turn.marks), turn) for turn in fits if not turn.purpose.is_side_call]
    scored = [pair for pair in scored if pair[0] >= _SHARED_ENOUGH]
    if not scored:
        return None
    score, best = max(scored, key=lambda pair: (round(pair[0], 1), *_kinship(asked, pair[1])))
    if _same_session(asked, best):
        return _follow(asked, best, index, "session_id", Certainty.EXACT, 1.0)
    near = [turn for other, turn in scored if score - other < _NEARLY and turn.run == best.run]
    rivals = {turn.lineage.conversation for turn in near}
    certainty = Certainty.AMBIGUOUS if len(rivals) > 1 else Certainty.INFERRED
    return _follow(asked, best, index, "overlap", certainty, round(0.9 * score / len(rivals), 2))
