"""Addresses as values."""

from __future__ import annotations

from dataclasses import dataclass

LOOPBACK = "127.0.0.1"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - bound inside containers only, never on the machine itself


@dataclass(frozen=True)
class Endpoint:
    """A host and a port, as seen by the viewer that asked the runtime for it."""

    host: str
    port: int

    def __post_init__(self) -> None:
        if not 0 < self.port < 65536:
            raise ValueError(f"a port must be between 1 and 65535, not {self.port}")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def http(self) -> str:
        """The ``http://`` URL without a trailing slash."""
        return f"http://{self}"
