"""How sidecars and apps send their telemetry to the exporter, if the stack has one."""

from __future__ import annotations

from harness.core.names import EXPORTER
from harness.core.node import Scope


def exporting(scope: Scope, node: str, app_id: str) -> dict[str, str]:
    """The variables with which a sidecar or an app sends its telemetry; none without an exporter.

    Args:
        scope: the node's.
        node: its name.
        app_id: its ``service.name``.
    """
    if not scope.has(EXPORTER):
        return {}
    from harness.otlp.attributes import as_variable, described

    given = dict(scope.exports(EXPORTER, waits=False))
    url = given.pop("url")
    # What is inherited for another collector would take precedence.
    none = {
        f"OTEL_EXPORTER_OTLP_{signal}_{what}": ""
        for signal in ("TRACES", "METRICS", "LOGS")
        for what in ("ENDPOINT", "PROTOCOL", "HEADERS")
    }
    return {
        **none,
        "OTEL_EXPORTER_OTLP_HEADERS": "",
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_INSECURE": "true",
        "OTEL_SERVICE_NAME": app_id,
        "OTEL_RESOURCE_ATTRIBUTES": as_variable(described(node, app_id, given)),
    }
