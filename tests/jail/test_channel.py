from __future__ import annotations

import pytest

from ccinspect.jail.channel import Channel, ChannelClosed


def test_the_last_words_are_heard_also_from_one_who_did_not_listen() -> None:
    near, far = Channel.pair()
    near.send({"do": "signal"})
    far.send({"exit": 42})
    far.close()
    assert near.receive() == ({"exit": 42}, [])
    with pytest.raises(ChannelClosed):
        near.receive()
    with pytest.raises(ChannelClosed):
        near.send({"do": "signal"})
    near.close()


def test_an_end_without_words_is_an_end() -> None:
    near, far = Channel.pair()
    near.send({"do": "signal"})
    far.close()
    with pytest.raises(ChannelClosed):
        near.receive()
    near.close()
