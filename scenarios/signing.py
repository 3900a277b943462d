"""Tokens for tests: each request is signed as the user whose path it is for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

SECRET = "${secret.better-auth}"
PURPOSE = "better-auth-secret"
"""The purpose of the same secret, for `World.token`."""

OPERATORS = "/api/dead-letters"
_OF_USER = re.compile(r"(?:^|/method)/(?:api|live)/([^/?]*)")


def sign(
    path: str, token_of: Callable[[str], str], now: datetime | None = None
) -> Mapping[str, str]:
    """The headers of a request for a path, see `Topology`; none if it belongs to no user."""
    if path.partition("?")[0].endswith(OPERATORS):
        return bearer(token_of(PURPOSE), "ops", now=now, scope="operator")
    found = _OF_USER.search(path)
    return bearer(token_of(PURPOSE), unquote(found[1]), now=now) if found else {}


def bearer(key: str, user: str, *, now: datetime | None = None, **claims: Any) -> dict[str, str]:
    """The header with a user's token."""
    return {"authorization": f"Bearer {token(key, user, now=now, **claims)}"}


def token(
    key: str, user: str, *, algorithm: str = "HS256", now: datetime | None = None, **claims: Any
) -> str:
    """A user's token, valid for an hour from a moment on, unless other claims are given.

    Args:
        now: the moment for the services; this machine's own time if None.
    """
    import jwt  # not for commands that send no requests

    now = now or datetime.now(UTC)
    said = {
        "iss": "todo", "aud": "todo-api", "sub": user,
        "iat": now, "nbf": now, "exp": now + timedelta(hours=1), **claims,
    }  # fmt: skip
    kept = {name: value for name, value in said.items() if value is not None}
    return jwt.encode(kept, key, algorithm=algorithm)
