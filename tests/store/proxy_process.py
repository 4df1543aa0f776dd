"""A proxy to be killed: puts flows, says the recorder's pid, and waits for its end.

`python -m tests.store.proxy_process DIR NUMBER [--ready]`
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from ccinspect.store.options import StoreOptions
from ccinspect.store.recorder import Recorder
from tests.store.records import ended, flow, run, started


async def main(store_dir: Path, number: int) -> None:
    recorder = Recorder.start(store_dir, StoreOptions())
    if "--ready" in sys.argv:
        await recorder.ready()
    recorder.put({"kind": "run_started", "run": run(id="the-run")})
    for count in range(number):
        sink = recorder.new_body()
        for _ in range(3):
            sink.feed(b"%d" % count * 20_000)
        record = flow(run="the-run")
        recorder.put(started(record))
        recorder.put(ended(record, sink.finish(), b"answer"))
    recorder.put(started(flow()))
    print(recorder.stats()["pid"], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
