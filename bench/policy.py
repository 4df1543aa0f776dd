"""How long policy holds a request up: egress rules, and the search for secrets in a body of 1 MB.

    python -m bench.policy [--json]

The bar is 50 ms for a body of 1 MB, and 100 microseconds for a decision with a hundred rules.
"""

from __future__ import annotations

import base64
import json
import random
import sys
import time
from collections.abc import Callable
from typing import Any

from ccinspect.policy.egress import Egress
from ccinspect.policy.secrets import Redactor
from ccinspect.policy.settings import PolicyConfig, RedactConfig

BAR_BODY_MS = 50.0
BAR_DECISION_US = 100.0
SIZE = 1_000_000
ROUNDS = 7


def _prose(chance: random.Random, size: int) -> str:
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz_", k=chance.randint(2, 11))) for _ in range(2_000)]
    text = "".join(
        chance.choice(words) + chance.choice((" ", " ", " ", "\n", " = ", "(", ") ")) for _ in range(size // 8)
    )
    return text[:size]


def bodies() -> dict[str, bytes]:
    """Bodies of 1 MB as agents send them, without a secret but in the last."""
    chance = random.Random(4)
    turn = {"role": "user", "content": [{"type": "text", "text": _prose(chance, 2_000)}]}
    conversation = {"model": "m", "messages": [turn] * (SIZE // 2_100)}
    tools = {
        "tools": [{"name": f"t{n}", "description": _prose(chance, 120), "required": ["a"]} for n in range(SIZE // 180)]
    }
    image = {
        "messages": [{"content": [{"source": {"data": base64.b64encode(chance.randbytes(SIZE * 3 // 4)).decode()}}]}]
    }
    leak = {**conversation, "system": "key: ghp_" + "aB3d" * 9}
    made = {"conversation": conversation, "tool definitions": tools, "image": image, "with a secret": leak}
    return {name: json.dumps(value).encode() for name, value in made.items()}


def best(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Seconds of processor time of the fastest round: what else the machine does makes no difference to them."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def measure() -> dict[str, Any]:
    redactor = Redactor([RedactConfig(name="keys", secrets=True), RedactConfig(name="card", pattern=r"\b\d{16}\b")])
    redactor.redact(b"{}", "upstream")
    found: dict[str, Any] = {
        f"{name}, ms": round(1e3 * best(lambda body=body: redactor.redact(body, "upstream")), 1)  # type: ignore[misc]
        for name, body in bodies().items()
    }
    egress = Egress.of(PolicyConfig.model_validate({"deny": [f"*.example{n}.com/private/*" for n in range(100)]}))

    def decide() -> None:
        for number in range(1_000):
            egress.decide("api.anthropic.com", 443, f"/v1/messages/{number}?beta=true", "POST")

    found["decision with 100 rules, us"] = round(1e3 * best(decide), 1)
    return found


def main() -> int:
    found = measure()
    held = all(value <= (BAR_DECISION_US if name.endswith("us") else BAR_BODY_MS) for name, value in found.items())
    if "--json" in sys.argv:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name:35} {value:8.1f}")
        print("all bars held" if held else "a bar was NOT held")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
