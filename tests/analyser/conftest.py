from __future__ import annotations

from hypothesis import settings

# The first example loads the vocabulary, and the machine may be busy: time is tested where it matters, and as CPU time.
settings.register_profile("analyser", deadline=None)
settings.load_profile("analyser")
