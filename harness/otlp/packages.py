"""The optional packages: OpenTelemetry's SDK, and its messages."""

from __future__ import annotations

from importlib.util import find_spec

from harness.core.errors import Unavailable
from harness.otlp.destination import GRPC, GRPCS

PACKAGES = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.common")


def require_packages(url: str) -> None:
    """Check that what exports to a collector can be imported.

    Args:
        url: the collector's.

    Raises:
        Unavailable: it is not installed.
    """
    by_grpc = url.startswith((f"{GRPC}:", f"{GRPCS}:"))
    for package in (*PACKAGES, "grpc") if by_grpc else PACKAGES:
        if not _is_installed(package):
            extra = "otlp-grpc" if package == "grpc" else "otlp"
            raise Unavailable(
                f"exporting by OTLP needs the package {package}, which is not installed",
                hint=f"pip install 'dapr-harness[{extra}]'",
            )


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # of the package that it is in
        return False
