"""Bytes to meaning and back: one codec per dialect around one neutral model. No input, no output, no clocks.

Start at `registry.py` (the dialects by name, and which of them a path speaks), `model.py` (what is found) and
`codec.py` (what each dialect offers). No decoder raises on any input, and none takes unbounded time or memory.
"""
