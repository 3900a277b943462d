"""The optional packages: OpenTelemetry's SDK, and its messages."""

from __future__ import annotations

from importlib.util import find_spec

from harness.core.errors import Unavailable

PACKAGES = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.common")


def require_packages() -> None:
    """Check that what exports can be imported.

    Raises:
        Unavailable: it is not installed.
    """
    for package in PACKAGES:
        if not _is_installed(package):
            raise Unavailable(
                f"exporting by OTLP needs the package {package}, which is not installed",
                hint="pip install 'dapr-harness[otlp]'",
            )


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # of the package that it is in
        return False
