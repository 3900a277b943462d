"""Who makes a request: signed tokens (JWT), and whose data a request may reach.

The page's service issues tokens, or another provider with the same secret does. Every service with
routes of users verifies them itself: it relies on no other service to have done so.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.routing import APIRouter
from fastapi.security import HTTPBearer
from starlette.requests import HTTPConnection

from services.common.problems import Refused, describe
from services.common.settings import settings

ALGORITHM, ISSUER, AUDIENCE = "HS256", "todo", "todo-api"
OPERATOR = "operator"
"""The scope of a token that may read what belongs to no single user."""

SHORTEST = 32
"""Bytes of a secret: a shorter key is weaker than HS256 itself (RFC 7518, section 3.2)."""

LIFETIME = timedelta(hours=8)
SKEW = timedelta(seconds=5)
"""The difference between the clocks of two machines that makes no token invalid."""

CLAIMS = ("iss", "aud", "sub", "iat", "nbf", "exp")
_caller: ContextVar[str | None] = ContextVar("caller", default=None)
"""The user of the current request, and of all that is done on its behalf."""


@dataclass(frozen=True)
class Identity:
    """What a verified token says.

    Attributes:
        token: the token itself, to be sent to other services.
        operator: whether it has the scope of operators.
    """

    user: str
    expires_at: datetime
    token: str
    operator: bool = False


def required() -> bool:
    """Whether users must sign in."""
    return settings().sign_in != "off"


def secret() -> str:
    """The key of all tokens.

    Raises:
        ValueError: it is too short to protect anything.
    """
    found = settings().better_auth_secret.get_secret_value()
    if len(found.encode()) < SHORTEST:
        raise ValueError(
            f"BETTER_AUTH_SECRET has {len(found.encode())} bytes, but must have at least "
            f"{SHORTEST}: set it to the output of `openssl rand -base64 32`, the same for all "
            "services, or set SIGN_IN=off for a first look without sign-in"
        )
    return found


@asynccontextmanager
async def ready() -> AsyncIterator[None]:
    """A part of a service: it does not start without a secret."""
    if required():
        secret()
    yield


def issue(user: str, *, lifetime: timedelta = LIFETIME, scope: str = "") -> Identity:
    """A new token for a user, who has proved to be that user."""
    import jwt  # on the first use: the import takes as long as that of a small service

    now = datetime.now(UTC).replace(microsecond=0)
    claims: dict[str, Any] = {
        "iss": ISSUER, "aud": AUDIENCE, "sub": user, "iat": now, "nbf": now, "exp": now + lifetime,
        **({"scope": scope} if scope else {}),
    }  # fmt: skip
    token = jwt.encode(claims, secret(), algorithm=ALGORITHM)
    return Identity(user, now + lifetime, token, scope == OPERATOR)


def verified(token: str) -> Identity:
    """What a token says, if it is valid now.

    Raises:
        Refused: 401, it is not.
    """
    import jwt

    key = secret()
    try:
        claims = jwt.decode(
            token, key, algorithms=[ALGORITHM], audience=AUDIENCE, issuer=ISSUER, leeway=SKEW,
            options={"require": list(CLAIMS)},
        )  # fmt: skip
        expires_at = datetime.fromtimestamp(claims["exp"], UTC)
    except jwt.InvalidTokenError as error:
        raise _unauthorized(_reason(error)) from None
    except (OverflowError, OSError, TypeError, ValueError):
        raise _unauthorized("the token contains a time that does not exist") from None
    user = claims["sub"]
    if not user:
        raise _unauthorized("the token names no user")
    return Identity(user, expires_at, token, claims.get("scope") == OPERATOR)


def bearer(request: Request) -> str | None:
    """The token in the request's header; None without such a header.

    Raises:
        Refused: 401, the header contains something else, or there are several.
    """
    given = request.headers.getlist("authorization")
    if not given:
        return None
    scheme, _, token = given[0].partition(" ")
    if len(given) > 1 or scheme.lower() != "bearer" or not token.strip():
        raise _unauthorized("one header is expected: Authorization: Bearer TOKEN")
    return token.strip()


async def current_user(request: Request) -> Identity:
    """The user who makes a request. For `fastapi.Depends`.

    Raises:
        Refused: 401, there is no valid token.
    """
    token = bearer(request)
    if token is None:
        raise _unauthorized("sign in first: a header Authorization: Bearer TOKEN is missing")
    return verified(token)


async def own_user(request: Request) -> None:
    """Accept only requests of the user in the path. For `fastapi.Depends`.

    Raises:
        Refused: 401 without a valid token, 403 with that of another user.
    """
    if required():
        act_for(await current_user(request))
        require_caller(request.path_params["user_id"])


async def operator(request: Request) -> None:
    """Accept only operators. For `fastapi.Depends`.

    Raises:
        Refused: 401 without a valid token, 403 with that of a user.
    """
    if required() and not (await current_user(request)).operator:
        raise Refused(403, "this is for operators: users may not read it")


def act_for(identity: Identity) -> None:
    """Make a user the caller for the rest of the current request."""
    _caller.set(identity.user)


def require_caller(user: str) -> None:
    """Check that the current request is made by this user.

    Raises:
        Refused: 403, by another one, or by none.
    """
    if required() and _caller.get() != user:
        raise Refused(403, "this belongs to another user")


class _Described(HTTPBearer):
    """Describes the header in OpenAPI; `own_user` and `operator` decide."""

    async def __call__(self, request: HTTPConnection) -> None:
        """Nothing to do."""


DESCRIBED = _Described(bearerFormat="JWT", scheme_name="token", auto_error=False)
OF_USER = (Depends(own_user), Depends(DESCRIBED))
OF_OPERATOR = (Depends(operator), Depends(DESCRIBED))


def for_users(app: FastAPI, *routers: APIRouter) -> None:
    """Add routes whose path contains a user: only for that user."""
    for router in routers:
        app.include_router(router, dependencies=OF_USER, responses=describe(401, 403))


def _reason(error: Exception) -> str:
    import jwt

    known: Sequence[tuple[type[Exception], str]] = (
        (jwt.ExpiredSignatureError, "the token has expired: sign in again"),
        (jwt.ImmatureSignatureError, "the token is not valid yet"),
        (jwt.InvalidSignatureError, "the token is signed with another key"),
        (jwt.InvalidAlgorithmError, f"the token is not signed with {ALGORITHM}"),
        (jwt.InvalidAudienceError, "the token is for another audience"),
        (jwt.InvalidIssuerError, "the token is from another issuer"),
        (jwt.MissingRequiredClaimError, f"the token needs all of {', '.join(CLAIMS)}"),
    )
    found = (reason for kind, reason in known if isinstance(error, kind))
    return next(found, "the token is not a valid JWT")


def _unauthorized(detail: str) -> Refused:
    return Refused(401, detail, {"www-authenticate": "Bearer"})


def main(user: str, scope: str = "") -> None:
    """Print a token for a user, perhaps with a scope: ``operator``."""
    sys.stdout.write(issue(user, scope=scope).token + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
