"""Fuzz the decoders with atheris.

    python -m tests.wire.fuzz                      the names of all targets
    python -m tests.wire.fuzz NAME [SECONDS]       one target, for a minute if not said otherwise
    python -m tests.wire.fuzz all [SECONDS]        every target in turn, each in a process of its own

Needs `pip install atheris`. A find is written as `crash-...` into a temporary directory that is named on the way.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path


def fuzz(name: str, seconds: int) -> None:
    import atheris

    with atheris.instrument_imports(include=["ccinspect.wire"]):
        from tests.wire.fuzz.targets import TARGETS, seeds

    corpus = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
    for number, seed in enumerate(seeds(name)):
        (corpus / f"seed-{number}").write_bytes(seed)
    print(f"corpus and finds: {corpus}", flush=True)
    options = [f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048", f"-artifact_prefix={corpus}/"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], TARGETS[name])
    atheris.Fuzz()


def main() -> int:
    from tests.wire.fuzz.targets import TARGETS

    names = sys.argv[1:2]
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 60
    if not names:
        print("\n".join(TARGETS))
        return 0
    if names == ["all"]:
        runs = [[sys.executable, "-m", "tests.wire.fuzz", name, str(seconds)] for name in TARGETS]
        failed = [run[-2] for run in runs if subprocess.run(run, check=False).returncode]
        print(f"{len(runs)} targets, finds in: {', '.join(failed) or 'none'}")
        return 1 if failed else 0
    # Instrumentation must come before the imports, so the target's module is loaded anew.
    for module in [
        module for module in sys.modules if module.startswith(("ccinspect.wire", "tests.wire.fuzz.targets"))
    ]:
        del sys.modules[module]
    fuzz(names[0], seconds)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
