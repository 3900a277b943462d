"""Errors of the reference services, as problem details."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from services.common import problems


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("select 1", None, Exception("the server has gone")),
        PoolTimeout("QueuePool limit of size 5 overflow 10 reached"),
        ConnectionRefusedError(111, "Connection refused"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_database_that_is_unavailable_is_a_503(error: Exception) -> None:
    """With Retry-After, whichever layer noticed."""
    app = FastAPI()
    problems.install(app)

    @app.get("/")
    async def ask() -> None:
        raise error

    async def answered() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            return await client.get("/")

    answer = asyncio.run(answered())
    assert (503, "1") == (answer.status_code, answer.headers.get("retry-after"))
    assert "application/problem+json" == answer.headers["content-type"]
