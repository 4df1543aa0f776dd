"""OpenTelemetry: what was captured and analysed, told to the collectors and backends that people already have.

    analyst's process -> worker.py -> trees.py, calls.py: spans -> queue.py, bounded -> sdk.py -> collector

Only `sdk.py`, `metrics.py` and `worker.py` import the SDK; they are loaded where `otel.enabled` is set, and in that
process only.
"""
