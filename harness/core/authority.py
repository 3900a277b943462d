"""The certificates of a stack with mTLS."""

from __future__ import annotations

from typing import Protocol


class Authority(Protocol):
    """The certificates of a stack with mTLS, as PEM."""

    @property
    def anchors(self) -> str:
        """The root certificate, which everyone trusts."""
        ...

    @property
    def certificate(self) -> str:
        """The issuer's certificate, with which sentry signs."""
        ...

    @property
    def key(self) -> str:
        """The issuer's private key."""
        ...
