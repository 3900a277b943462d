"""Traces, metrics and logs in OpenTelemetry's protocol, OTLP by HTTP."""
