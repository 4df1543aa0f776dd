"""The recorder's process, which masks what the rules of `redact` name before anything is written.

It is here, and not in the daemon, that records are searched: in their order, off the proxy's loop and its lock, and a
daemon that is killed in the middle leaves nothing unmasked behind and nothing unrecorded.
"""

from __future__ import annotations

import sys
from typing import Any

from ccinspect.store import worker
from ccinspect.store.losses import Losses
from ccinspect.store.recorder import RULES


def prepare(message: dict[str, Any], losses: Losses) -> dict[str, Any]:
    """The message as it may be written."""
    rules = message.pop(RULES, None)
    if rules is None:
        return message
    # Only where there are rules: it takes longer to load than all the rest.
    from ccinspect.policy.masking import masked

    return masked(message, rules, losses)


if __name__ == "__main__":
    sys.exit(worker.main(sys.argv[1:], prepare))
