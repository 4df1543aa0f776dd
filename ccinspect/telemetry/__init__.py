"""OpenTelemetry: what was captured and analysed, told to the collectors and backends that people already have.

    analyst's process -> worker.py -> trees.py, calls.py: spans -> queue.py, bounded -> sdk.py -> collector

Everything but `sdk.py` is pure or plain Python; only `sdk.py` imports the SDK, and only where `otel.enabled` is set.
"""
