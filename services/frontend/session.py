"""Signing in on the page: a cookie with a token, which scripts cannot read.

The provider is for development: whoever gives a name is that user, without a password. With
SIGN_IN=external, another provider sets the cookie, signed with the same secret.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict

from services.common.browsers import change
from services.common.identity import (
    LIFETIME,
    Identity,
    act_for,
    bearer,
    current_user,
    issue,
    require_caller,
    required,
    verified,
)
from services.common.problems import Refused, describe
from services.common.settings import settings
from services.common.text_types import UserId

COOKIE = "todo-session"
router = APIRouter(tags=["session"], dependencies=[Depends(change)])


class Named(BaseModel):
    """Who signs in."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"user": "ada"}]})

    user: UserId


class Session(BaseModel):
    """Who is signed in, and how one signs in.

    Attributes:
        sign_in: the setting SIGN_IN.
        user: None if nobody is signed in.
        expires_at: when the session ends.
    """

    sign_in: Literal["development", "external", "off"]
    user: str | None = None
    expires_at: datetime | None = None


class Token(BaseModel):
    """A token for a program, as in RFC 6749."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - a kind of token
    expires_in: int


@router.get("/session")
async def read_session(request: Request) -> Session:
    """Who is signed in; an invalid cookie counts as none."""
    try:
        found = await signed_in(request)
    except Refused:
        found = None
    return _session(found)


@router.post("/session", status_code=201, responses=describe(403))
async def sign_in(request: Request, named: Named, response: Response) -> Session:
    """Sign in under a name; the token is in a cookie."""
    made = _issued(named.user)
    response.set_cookie(
        COOKIE,
        made.token,
        max_age=int(LIFETIME.total_seconds()),
        httponly=True,
        samesite="strict",
        # A proxy may terminate TLS; without it, browsers would drop a cookie with this mark.
        secure=request.headers.get("origin", "").startswith("https:"),
    )
    return _session(made)


@router.delete("/session", status_code=204)
async def sign_out(response: Response) -> None:
    """Sign out: the browser forgets the token."""
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")


@router.post("/token", status_code=201, responses=describe(403))
async def create_token(named: Named) -> Token:
    """A token for a program, which sends it as ``Authorization: Bearer TOKEN``."""
    made = _issued(named.user)
    left = made.expires_at - datetime.now(UTC)
    return Token(access_token=made.token, expires_in=int(left.total_seconds()))


async def signed_in(request: Request) -> Identity | None:
    """Who makes a request: by the header, or else by the cookie; None if sign-in is off.

    Raises:
        Refused: 401, there is no valid token.
    """
    if not required():
        return None
    cookie = request.cookies.get(COOKIE)
    if cookie is not None and bearer(request) is None:
        return verified(cookie)
    return await current_user(request)


async def own_page(request: Request) -> None:
    """Accept only requests of the user in the path. For `fastapi.Depends`.

    Raises:
        Refused: 401 without a valid token, 403 with that of another user.
    """
    found = request.state.identity = await signed_in(request)
    if found is not None:
        act_for(found)
        require_caller(request.path_params["user_id"])


def _issued(user: str) -> Identity:
    if settings().sign_in != "development":
        raise Refused(403, f"nobody signs in here: SIGN_IN is {settings().sign_in}")
    return issue(user)


def _session(found: Identity | None) -> Session:
    said = settings().sign_in
    if found is None:
        return Session(sign_in=said)
    return Session(sign_in=said, user=found.user, expires_at=found.expires_at)
